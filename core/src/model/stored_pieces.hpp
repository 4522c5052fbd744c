// How the stored tensors of one weight class in one layer fill the tensor that lies in memory: as runs of bytes with strides.
// Called by weight_sources.cpp for every class and layer. Knows shapes and orders, no names of architectures; refuses whatever does not
// fill the tensor exactly, so pieces never overlap and leave no byte. Reads no file. Threads: pure functions.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/dtype.hpp"
#include "checkpoint/gguf_words.hpp"
#include "model/declared.hpp"
#include "model/matcher.hpp"
#include "plimsoll/result.hpp"
#include "plimsoll/weight_sources.hpp"

namespace plimsoll {

// A stored tensor that is a class's in one layer, or one of its parts or experts, or holds it among others.
struct StoredPiece {
  std::string name; // as the file has it
  std::uint32_t file = 0;
  std::uint64_t offset_bytes = 0;
  Dtype dtype;
  std::vector<std::uint64_t> shape;
  StoredOrder order;
  std::int32_t part = StoredPlace::kWhole;
  bool packed = false;
  std::uint32_t expert = 0;
  // Where several classes share it: rows of one expert in all, and those of the classes before this one. 0: they do not.
  std::uint64_t joint_rows = 0, joint_rows_before = 0;
  // Not null: `dtype` and `shape` are those of the float32 that it becomes, counted from the first.
  std::shared_ptr<const QuantizedMatrices> quantized;
};

// Whether a class's matrices are [in, out].
bool inputs_first(const WeightClass& c);
// Rows of one expert's tensor: its extent along the output dimension; 1 for a scalar.
std::uint64_t rows_of(const WeightClass& c);

// The tensor of class `c` in its `layer`-th layer out of what is stored of it. kBadCheckpoint or kUnsupportedArchitecture; a message
// names what is missing or wrong, without the file. No more than `most_pieces`. `unpacked`: float32, whatever is stored.
Result<WeightTensor> tensor_of_pieces(const WeightClass& c, std::size_t layer, std::span<const StoredPiece> stored, std::size_t most_pieces,
                                      bool unpacked);

} // namespace plimsoll
