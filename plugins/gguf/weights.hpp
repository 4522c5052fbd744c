// Weight classes of what a GGUF file stores, all of it and nothing else: tensors of one name and shape over layers are one class, placed
// by what the name says. A name that says nothing is placed by the shape, as the host places what no planner claims. Threads: built in a
// planner's constructor, immutable afterwards.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "model.hpp"

namespace gguf {

// One name, one shape.
struct Stored {
  std::string pattern, name; // "blk.{layer}.ffn_up.weight", "ffn_up.weight"
  std::vector<std::uint64_t> dims;
  Layers layers;      // empty: exists once
  bool draft = false; // of layers that predict further tokens
};

// Throws plimsoll::Error where the model has no checkpoint, or one that no file of a model can be.
std::vector<Stored> read_stored(const Config& config, const Model& model);

void declare(const std::vector<Stored>& stored, const Model& model, const plimsoll::Sink& out);

} // namespace gguf
