// Where a model's layers are in the names of its tensors: "layers.3." of the language model, "visual.blocks.3." of a tower.
// Tells, of a tensor that no class knows, which layer it belongs to; never guesses from a number alone.
// Threads: immutable after construction.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/tensor_entry.hpp"
#include "model/declared.hpp"

namespace plimsoll {

// A layer under one prefix. No site: the name has no layer that the planners know.
struct LayerPlace {
  static constexpr std::int32_t kNoSite = -1;
  std::int32_t site = kNoSite;
  std::uint32_t layer = 0;
  bool on_stage = false; // a pipeline stage holds this layer; otherwise any rank may need it
  auto operator<=>(const LayerPlace&) const = default;
};

class LayerSites {
public:
  explicit LayerSites(const Declared& declared);
  // Of a tensor that no class knows. GGUF files call every layer of the language model "blk.N".
  LayerPlace place_of(const TensorEntry& entry) const;
  // Of a class's layer; no site where the class exists once.
  std::int32_t site_of(const WeightClass& c) const;

private:
  struct Site {
    std::string prefix;  // without wrappers, up to the number
    bool staged = false; // some class's layers are split over pipeline stages
    bool matches(std::string_view name, std::uint32_t& layer) const;
  };
  LayerPlace at(std::size_t site, std::uint32_t layer) const;

  std::uint32_t n_layers_;
  std::vector<Site> sites_;
};

} // namespace plimsoll
