#include "placement/placement.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace plimsoll {
namespace {

std::uint64_t tensors_on_stage(const WeightClass& c, const WeightVariant& v, const RankLayout& layout, std::uint32_t stage) {
  const std::uint64_t all = v.layers.empty() ? 1 : v.layers.size();
  switch (c.stage) {
  case PLIMSOLL_STAGE_FIRST: return stage == 0 ? all : 0;
  case PLIMSOLL_STAGE_LAST: return stage + 1 == layout.pp ? all : 0;
  case PLIMSOLL_STAGE_EVERY: return all;
  default: return layout.layers_on_stage(v.layers, stage);
  }
}

// The shape of one tensor on one rank.
Result<std::array<std::uint64_t, 4>> local_dims(const WeightClass& c, const RankLayout& layout, std::uint32_t index, std::uint32_t degree) {
  std::array<std::uint64_t, 4> dims = c.dims;
  if (c.parts.empty()) return dims;
  if (c.placement == PLIMSOLL_PLACE_VOCAB) {
    const std::uint64_t padded = ceil_div(dims[c.shard_dim], layout.vocab_padding_rows) * layout.vocab_padding_rows;
    dims[c.shard_dim] = degree == 1 && layout.vocab_padding_rows == 1 ? dims[c.shard_dim] : ceil_div(padded, degree);
    return dims;
  }
  Checked sum = 0;
  for (const WeightPart& part : c.parts) {
    PLIMSOLL_ASSIGN(const std::uint64_t rows, local_extent(part, index, degree, c.label));
    sum += rows;
  }
  dims[c.shard_dim] = sum.saturated();
  return dims;
}

} // namespace

Result<std::uint64_t> local_extent(const WeightPart& part, std::uint32_t index, std::uint32_t degree, std::string_view label) {
  if (degree == 1) return part.extent;
  if (part.units == 0) return part.extent / degree + (index < part.extent % degree ? 1 : 0);
  const std::uint64_t unit = part.extent / part.units;
  if (part.units % degree == 0) return part.units / degree * unit;
  if (part.replicate && degree % part.units == 0) return unit;
  return fail(ErrorCode::kBadRequest,
              part.replicate
                  ? fmt::format("a tensor-parallel degree of {} neither divides the {} key/value heads of {} nor is a multiple of them",
                                degree, part.units, label)
                  : fmt::format("a tensor-parallel degree of {} does not divide the {} heads of {}", degree, part.units, label),
              "--tp");
}

namespace {

bool on_stage(const WeightClass& c, const RankLayout& layout, std::uint32_t layer, std::uint32_t stage) {
  switch (c.stage) {
  case PLIMSOLL_STAGE_FIRST: return stage == 0;
  case PLIMSOLL_STAGE_LAST: return stage + 1 == layout.pp;
  case PLIMSOLL_STAGE_EVERY: return true;
  default: return layout.stage_of_layer(layer) == stage;
  }
}

// Engines copy a tower unless told otherwise, and then too where the ranks do not divide its heads.
bool tower_is_copied(const WeightClass& c, const RankLayout& layout) {
  if (c.aspect != PLIMSOLL_ASPECT_VISION) return false;
  return !layout.vision_split ||
         std::any_of(c.parts.begin(), c.parts.end(), [&](const WeightPart& part) { return part.units % layout.tp != 0; });
}

// Whether every member of a group of `degree` gets the same shape: whole units always do.
bool splits_evenly(const WeightClass& c, std::uint32_t degree) {
  if (degree == 1 || c.placement == PLIMSOLL_PLACE_VOCAB) return true;
  for (const WeightPart& part : c.parts)
    if (part.units == 0 && part.extent % degree != 0) return false;
  return true;
}

// How many layers of a variant a stage counts: all but those that nothing in the checkpoint can be.
std::uint64_t present_on_stage(const WeightClass& c, const WeightVariant& v, const StoredClass* stored, const RankLayout& layout,
                               std::uint32_t stage) {
  const std::uint64_t all = tensors_on_stage(c, v, layout, stage);
  if (stored == nullptr || stored->absent.empty() || all == 0) return all;
  if (v.layers.empty()) return stored->is_absent(0) ? 0 : all;
  std::uint64_t absent = 0;
  std::size_t at = 0; // both lists ascend
  for (const std::uint32_t layer : v.layers) {
    while (c.layers[at] != layer) ++at;
    if (stored->is_absent(at) && on_stage(c, layout, layer, stage)) ++absent;
  }
  return all - absent;
}

// Stored bytes of a variant on each stage; `whole` is what one layer was declared to have.
std::vector<Checked> stored_on_stages(const WeightClass& c, const WeightVariant& v, const StoredClass& stored, const RankLayout& layout,
                                      Checked whole) {
  std::vector<Checked> sums(layout.pp);
  const auto of_layer = [&](std::size_t at) {
    return stored.layer_bytes[at] != 0 ? Checked(stored.layer_bytes[at]) : stored.is_absent(at) ? Checked(0) : whole;
  };
  for (std::uint32_t stage = 0; stage < layout.pp; ++stage) {
    if (v.layers.empty()) {
      if (on_stage(c, layout, 0, stage)) sums[stage] += of_layer(0);
      continue;
    }
    std::size_t at = 0; // both lists ascend
    for (const std::uint32_t layer : v.layers) {
      while (c.layers[at] != layer) ++at;
      if (on_stage(c, layout, layer, stage)) sums[stage] += of_layer(at);
    }
  }
  return sums;
}

} // namespace

Result<void> place_weight(const WeightClass& c, const RankLayout& layout, const Dtype* cast, const StoredClass* stored_class,
                          std::span<std::uint64_t> bytes) {
  if (c.role == PLIMSOLL_ROLE_TIED && layout.pp == 1) return {};            // a view of the embedding on the same rank
  if (stored_class != nullptr && stored_class->packed_type) cast = nullptr; // a GGUF type stays what it is
  const Dtype& base = cast != nullptr && !c.own_dtype ? *cast : c.dtype;
  const bool experts = c.placement == PLIMSOLL_PLACE_EXPERT;
  const bool spread = experts && (layout.ep > 1 || layout.experts_split_over_dp); // over the flattened tp x dp group
  const std::uint32_t group = spread ? layout.tp * layout.dp : layout.tp;
  const std::uint32_t degree =
      c.placement == PLIMSOLL_PLACE_REPLICATE || tower_is_copied(c, layout) ? 1 : group / (experts ? layout.ep : 1);
  const std::uint64_t copies = c.experts == 0 ? 1 : c.experts + (layout.ep > 1 ? layout.redundant_experts : 0);

  for (const WeightVariant& v : c.variants) {
    const Dtype& stored = v.storage->is_plain() ? base : c.dtype;
    const bool use_stored =
        stored_class != nullptr && !(cast != nullptr && v.storage->is_plain() && !c.own_dtype) && c.role != PLIMSOLL_ROLE_TIED;
    const Checked whole = use_stored ? c.bytes_of_one(*v.storage, c.dims, stored) * (c.experts == 0 ? 1 : c.experts) : Checked(0);
    const std::vector<Checked> in_checkpoint = use_stored ? stored_on_stages(c, v, *stored_class, layout, whole) : std::vector<Checked>();
    // Where everything divides evenly all members of the group hold the same: one of them is computed for all.
    const bool alike = splits_evenly(c, degree) && (!experts || layout.ep == 1 || copies % layout.ep == 0);
    for (std::uint32_t member = 0; member < (alike ? 1 : group); ++member) {
      PLIMSOLL_ASSIGN(const auto dims, local_dims(c, layout, degree == 1 ? 0 : member % degree, degree));
      const std::uint64_t held = !experts ? 1 : layout.ep > 1 ? local_experts(copies, member / (group / layout.ep), layout.ep) : copies;
      const Checked of_one_layer = c.bytes_of_one(*v.storage, dims, stored) * held;
      for (std::uint32_t stage = 0; stage < layout.pp; ++stage) {
        const std::uint64_t tensors = present_on_stage(c, v, stored_class, layout, stage);
        if (tensors == 0) continue;
        Checked sum = of_one_layer * tensors;
        if (use_stored) {
          const std::uint64_t declared = (whole * tensors).saturated(), found = in_checkpoint[stage].saturated();
          if (found != declared && declared != 0) sum = mul_div_up(sum.saturated(), found, declared);
        }
        // A member of a group over tp x dp is one rank of the stage; one of a tensor-parallel group stands in every replica.
        const std::uint32_t first_dp = alike || !spread ? 0 : member / layout.tp, last_dp = alike || !spread ? layout.dp - 1 : first_dp;
        const std::uint32_t first_tp = alike ? 0 : member % layout.tp, last_tp = alike ? layout.tp - 1 : first_tp;
        for (std::uint32_t dp = first_dp; dp <= last_dp; ++dp)
          for (std::uint32_t tp = first_tp; tp <= last_tp; ++tp) {
            std::uint64_t& entry = bytes[(static_cast<std::size_t>(dp) * layout.pp + stage) * layout.tp + tp];
            const Checked total = sum + entry;
            if (total.overflowed()) return fail(ErrorCode::kBadConfig, fmt::format("the bytes of {} do not fit 64 bits", c.label));
            entry = total.value();
          }
      }
    }
  }
  return {};
}

namespace {

// The share of an unknown group that every rank of its stage holds.
std::uint64_t unknown_share(const UnknownGroup& group, std::uint64_t bytes, const plimsoll_facts& facts, const RankLayout& layout) {
  const auto split = [&](std::uint64_t whole, std::uint32_t degree) {
    return group.extent != 0 && group.extent % degree == 0 ? ceil_div(whole, degree) : whole;
  };
  switch (group.kind) {
  case UnknownKind::kLinear: return facts.kv_heads != 0 && facts.kv_heads % layout.tp == 0 ? split(bytes, layout.tp) : bytes;
  case UnknownKind::kExperts: {
    const bool spread = layout.ep > 1 || layout.experts_split_over_dp;
    const std::uint32_t ranks = spread ? layout.tp * layout.dp : layout.tp;
    if (layout.ep == 1) return split(bytes, ranks);
    const std::uint64_t held = local_experts(facts.experts + layout.redundant_experts, 0, layout.ep);
    return split(mul_div_up(bytes, held, facts.experts), ranks / layout.ep);
  }
  default: return bytes;
  }
}

} // namespace

Result<void> place_unknown(const UnknownTensors& tensors, const plimsoll_facts& facts, const RankLayout& layout, const Dtype* cast,
                           std::span<std::uint64_t> bytes) {
  for (const auto& [group, sums] : tensors.groups()) {
    Checked stored = sums.stored_bytes;
    if (cast != nullptr) stored = Checked(sums.stored_bytes - sums.common_bytes) + cast->bytes(sums.common_elements);
    const std::uint64_t share = unknown_share(group, stored.saturated(), facts, layout);
    for (std::uint32_t rank = 0; rank < layout.ranks(); ++rank) {
      if (group.place.on_stage && layout.stage_of_layer(group.place.layer) != layout.stage_of_rank(rank)) continue;
      const Checked total = Checked(share) + bytes[rank];
      if (stored.overflowed() || total.overflowed())
        return fail(ErrorCode::kBadConfig, "the bytes of tensors that no weight class claims do not fit 64 bits");
      bytes[rank] = total.value();
    }
  }
  return {};
}

} // namespace plimsoll
