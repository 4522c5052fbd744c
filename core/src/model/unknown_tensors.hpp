// Stored tensors that no planner claims, sorted by what the generic rules of placement ask: which layer, and whether the shape
// is that of a linear layer or of experts. Keeps sums, not names. What is not clearly one of these is whole on its ranks.
// Threads: plain values; those of several scanning threads are added up.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <utility>

#include "checkpoint/tensor_entry.hpp"
#include "model/layer_sites.hpp"

namespace plimsoll {

enum class UnknownKind : std::uint8_t {
  kWhole,
  kLinear, // [a, b] of a known layer: one side is the hidden width, the other no narrower, as wide as `extent`
  kExperts // [experts, ...] of a known layer; `extent`: the side that is not the hidden width, 0 where none is
};

// What the rules treat alike.
struct UnknownGroup {
  LayerPlace place;
  UnknownKind kind = UnknownKind::kWhole;
  std::uint64_t extent = 0;
  auto operator<=>(const UnknownGroup&) const = default;
};

struct UnknownBytes {
  std::uint64_t stored_bytes = 0;
  std::uint64_t common_bytes = 0, common_elements = 0; // of tensors of the model's common type: a cast changes them
};

class UnknownTensors {
public:
  // `common` is the type of what is not quantised, nullptr where no class has it.
  void add(const TensorEntry& entry, const LayerPlace& place, const plimsoll_facts& facts, const Dtype* common);
  void add(const UnknownTensors& other);

  std::uint64_t bytes() const { return bytes_; }
  std::uint64_t count() const { return count_; }
  bool in_layer(std::int32_t site, std::uint32_t layer) const { return layers_.contains({site, layer}); }
  // Of tensors whose names have no layer that the planners know.
  std::uint64_t outside_bytes() const { return outside_bytes_; }
  const std::map<UnknownGroup, UnknownBytes>& groups() const { return groups_; }

private:
  std::map<UnknownGroup, UnknownBytes> groups_;
  std::set<std::pair<std::int32_t, std::uint32_t>> layers_;
  std::uint64_t bytes_ = 0, outside_bytes_ = 0, count_ = 0;
};

} // namespace plimsoll
