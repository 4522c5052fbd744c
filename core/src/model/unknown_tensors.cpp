#include "model/unknown_tensors.hpp"

#include <span>

namespace plimsoll {
namespace {

// The side of a matrix that is not `hidden` wide; 0 where neither is.
std::uint64_t other_side(std::span<const std::uint64_t> matrix, std::uint64_t hidden) {
  if (matrix[0] == hidden) return matrix[1];
  return matrix[1] == hidden ? matrix[0] : 0;
}

UnknownGroup group_of(const TensorEntry& entry, const LayerPlace& place, const plimsoll_facts& facts) {
  UnknownGroup group{place, UnknownKind::kWhole, 0};
  if (!place.on_stage || facts.hidden_elements == 0) return group;
  const std::span<const std::uint64_t> shape = entry.shape();
  if (shape.size() == 3 && facts.experts > 1 && shape[0] == facts.experts) {
    group.kind = UnknownKind::kExperts;
    group.extent = other_side(shape.subspan(1), facts.hidden_elements);
  } else if (shape.size() == 2) {
    // Narrower matrices may be projections that engines copy: to latents, to few heads, to experts.
    const std::uint64_t side = other_side(shape, facts.hidden_elements);
    if (side >= facts.hidden_elements) {
      group.kind = UnknownKind::kLinear;
      group.extent = side;
    }
  }
  return group;
}

} // namespace

void UnknownTensors::add(const TensorEntry& entry, const LayerPlace& place, const plimsoll_facts& facts, const Dtype* common) {
  UnknownBytes& sums = groups_[group_of(entry, place, facts)];
  sums.stored_bytes += entry.stored_bytes;
  if (common != nullptr && entry.dtype == *common) {
    sums.common_bytes += entry.stored_bytes;
    sums.common_elements += entry.elements;
  }
  if (place.site == LayerPlace::kNoSite) outside_bytes_ += entry.stored_bytes;
  else layers_.insert({place.site, place.layer});
  bytes_ += entry.stored_bytes;
  ++count_;
}

void UnknownTensors::add(const UnknownTensors& other) {
  for (const auto& [group, more] : other.groups_) {
    UnknownBytes& sums = groups_[group];
    sums.stored_bytes += more.stored_bytes;
    sums.common_bytes += more.common_bytes;
    sums.common_elements += more.common_elements;
  }
  layers_.insert(other.layers_.begin(), other.layers_.end());
  bytes_ += other.bytes_;
  count_ += other.count_;
  outside_bytes_ += other.outside_bytes_;
}

} // namespace plimsoll
