#include "placement/placement.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "placement/weight_shard.hpp"

namespace plimsoll {
namespace {

bool of_one_layer_each(const WeightClass& c) {
  return c.stage != PLIMSOLL_STAGE_FIRST && c.stage != PLIMSOLL_STAGE_LAST && c.stage != PLIMSOLL_STAGE_EVERY;
}

std::uint64_t tensors_on_stage(const WeightClass& c, const WeightVariant& v, const RankLayout& layout, std::uint32_t stage) {
  const auto count = [&](std::uint32_t layer) { return on_stage(c, layout, layer, stage); };
  if (layout.host_tensors != nullptr && layout.host_tensors->has_some_of(c.pattern) && !v.layers.empty())
    return static_cast<std::uint64_t>(std::count_if(v.layers.begin(), v.layers.end(), count));
  if (of_one_layer_each(c)) return layout.layers_on_stage(v.layers, stage, held_back_layers(c, layout));
  if (!on_stage(c, layout, 0, stage)) return 0;
  return v.layers.empty() ? 1 : v.layers.size();
}

// Whether every member of a group of `degree` gets the same shape: whole units always do.
bool splits_evenly(const WeightClass& c, std::uint32_t degree) {
  if (degree == 1 || c.placement == PLIMSOLL_PLACE_VOCAB) return true;
  for (const WeightPart& part : c.parts)
    if (part.units == 0 && part.extent % degree != 0) return false;
  return true;
}

// Whether every member holds as many bytes as the first one.
bool members_are_alike(const WeightClass& c, const WeightShare& share) {
  return splits_evenly(c, share.degree) && share.experts % share.expert_groups == 0;
}

// Ranks of a stage: some replicas, and in each of them some tensor-parallel ranks.
struct RankBlock {
  std::uint32_t dp_begin = 0, dp_end = 1, tp_begin = 0, tp_end = 1;
};

RankBlock every_rank(const RankLayout& layout) { return {0, layout.dp, 0, layout.tp}; }

RankBlock ranks_of_member(const WeightShare& share, const RankLayout& layout, std::uint32_t member) {
  const std::uint32_t tp = member % layout.tp;
  if (!share.over_replicas) return {0, layout.dp, tp, tp + 1};
  const std::uint32_t dp = member / layout.tp;
  return {dp, dp + 1, tp, tp + 1};
}

// False where a sum does not fit 64 bits.
bool add_checked(Checked sum, std::uint64_t& entry) {
  const Checked total = sum + entry;
  entry = total.saturated();
  return !total.overflowed();
}

bool add_to_ranks(const RankLayout& layout, std::uint32_t stage, const RankBlock& block, Checked sum, std::span<std::uint64_t> bytes) {
  for (std::uint32_t dp = block.dp_begin; dp < block.dp_end; ++dp)
    for (std::uint32_t tp = block.tp_begin; tp < block.tp_end; ++tp) {
      std::uint64_t& entry = bytes[(static_cast<std::size_t>(dp) * layout.pp + stage) * layout.tp + tp];
      if (!add_checked(sum, entry)) return false;
    }
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

// Stored bytes of a variant on each stage and, behind them, on the host; `whole` is what one layer was declared to have.
std::vector<Checked> stored_on_stages(const WeightClass& c, const WeightVariant& v, const StoredClass& stored, const RankLayout& layout,
                                      Checked whole) {
  std::vector<Checked> sums(layout.pp + 1);
  const auto of_layer = [&](std::size_t at) {
    return stored.layer_bytes[at] != 0 ? Checked(stored.layer_bytes[at]) : stored.is_absent(at) ? Checked(0) : whole;
  };
  for (std::uint32_t stage = 0; stage <= layout.host_stage(); ++stage) {
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

// What a checkpoint holds of a variant beside what was declared, for the ratio of the two.
struct StoredBytes {
  Checked declared_layer;        // bytes of one layer as declared, with all its experts
  std::vector<Checked> on_stage; // stored bytes; empty: the declared ones count

  // `share` of `tensors` declared tensors, with the stored bytes spread as the declared ones are.
  Checked rescaled(Checked share, std::uint64_t tensors, std::uint32_t stage) const {
    if (on_stage.empty()) return share;
    const std::uint64_t declared = (declared_layer * tensors).saturated();
    const std::uint64_t found = on_stage[stage].saturated();
    return found == declared || declared == 0 ? share : mul_div_up(share.saturated(), found, declared);
  }
};

StoredBytes stored_bytes(const WeightClass& c, const WeightVariant& v, const StoredClass& stored, const RankLayout& layout) {
  const Checked layer = c.bytes_of_one(*v.storage, c.dims, c.dtype) * c.whole_experts();
  return {layer, stored_on_stages(c, v, stored, layout, layer)};
}

// One variant of a class, ready to be placed.
struct Placing {
  const WeightClass& c;
  const WeightVariant& variant;
  const Storage& storage; // as it lies there
  const RankLayout& layout;
  const WeightShare& share;
  const Dtype& dtype;        // of what is not quantised
  const StoredClass* stored; // layers that it calls absent do not count
  StoredBytes stored_bytes;
};

Result<Checked> layer_bytes_of_member(const Placing& p, std::uint32_t member) {
  PLIMSOLL_ASSIGN(const LocalShape local, local_shape(p.c, p.layout, member % p.share.degree, p.share.degree));
  return p.c.bytes_of_one(p.storage, local.dims, p.dtype) * p.share.experts_of(member).n;
}

// Adds what `member` holds to the ranks of `block`, on every stage.
Result<void> place_member(const Placing& p, std::uint32_t member, const RankBlock& block, std::span<std::uint64_t> bytes) {
  PLIMSOLL_ASSIGN(const Checked of_layer, layer_bytes_of_member(p, member));
  for (std::uint32_t stage = 0; stage < p.layout.pp; ++stage) {
    const std::uint64_t tensors = present_on_stage(p.c, p.variant, p.stored, p.layout, stage);
    if (tensors == 0) continue;
    const Checked sum = p.stored_bytes.rescaled(of_layer * tensors, tensors, stage);
    if (!add_to_ranks(p.layout, stage, block, sum, bytes))
      return fail(ErrorCode::kBadConfig, fmt::format("the bytes of {} do not fit 64 bits", p.c.label));
  }
  return {};
}

// What devices have of a variant, cut by rows: to each its share, and as many rows more as it may be rounded up by.
Result<void> place_rows(const Placing& p, std::span<std::uint64_t> bytes) {
  constexpr std::uint64_t kMostRoundedRows = 128;
  PLIMSOLL_ASSIGN(const Checked of_layer, layer_bytes_of_member(p, 0));
  Checked whole = 0;
  for (std::uint32_t stage = 0; stage < p.layout.pp; ++stage) {
    const std::uint64_t tensors = present_on_stage(p.c, p.variant, p.stored, p.layout, stage);
    if (tensors > 0) whole += p.stored_bytes.rescaled(of_layer * tensors, tensors, stage);
  }
  const std::uint64_t rows = std::max<std::uint64_t>(1, p.c.dims[0]);
  double sum = 0;
  for (const double share : p.layout.row_shares) sum += share;
  for (std::uint32_t rank = 0; rank < p.layout.ranks(); ++rank) {
    if (p.layout.row_shares[rank] <= 0) continue;
    const double share = static_cast<double>(rows) * (p.layout.row_shares[rank] / sum);
    const std::uint64_t here = std::min(rows, static_cast<std::uint64_t>(share) + 1 + kMostRoundedRows);
    if (!add_checked(mul_div_up(whole.saturated(), here, rows), bytes[rank]))
      return fail(ErrorCode::kBadConfig, fmt::format("the bytes of {} do not fit 64 bits", p.c.label));
  }
  return {};
}

// Matrices that are multiplied with one after the other; not those of experts, nor of a tower.
bool cut_by_rows(const WeightClass& c, const RankLayout& layout) {
  return !layout.row_shares.empty() && c.n_dims == 2 && c.experts == 0 && c.aspect != PLIMSOLL_ASPECT_VISION &&
         c.stage != PLIMSOLL_STAGE_FIRST;
}

Result<void> place_variant(const Placing& p, std::span<std::uint64_t> bytes) {
  if (cut_by_rows(p.c, p.layout)) return place_rows(p, bytes);
  if (p.c.placement == PLIMSOLL_PLACE_ONE) {
    const std::uint32_t member = p.c.rank % p.layout.tp;
    return place_member(p, member, ranks_of_member(p.share, p.layout, member), bytes);
  }
  if (members_are_alike(p.c, p.share)) return place_member(p, 0, every_rank(p.layout), bytes);
  for (std::uint32_t member = 0; member < p.share.members; ++member)
    PLIMSOLL_TRY(place_member(p, member, ranks_of_member(p.share, p.layout, member), bytes));
  return {};
}

// What the host has of a variant: whole tensors, once.
Result<std::uint64_t> variant_on_host(const Placing& p) {
  const std::uint32_t host = p.layout.host_stage();
  const std::uint64_t tensors = present_on_stage(p.c, p.variant, p.stored, p.layout, host);
  if (tensors == 0) return std::uint64_t{0};
  const Checked whole = p.c.bytes_of_one(p.storage, p.c.dims, p.dtype) * p.c.whole_experts() * tensors;
  return p.stored_bytes.rescaled(whole, tensors, host).get(fmt::format("the bytes of {}", p.c.label));
}

// Calls place(Placing) for every variant of a class; for none of one that is a view of another on the same device.
template <class Place>
Result<void> each_variant(const WeightClass& c, const RankLayout& layout, const RunTimeTypes& types, const StoredClass* stored,
                          Place&& place) {
  if (c.role == PLIMSOLL_ROLE_TIED && layout.pp == 1 && !layout.embedding_on_host) return {};
  static const Storage plain;
  const WeightShare share = weight_share(c, layout);
  for (const WeightVariant& v : c.variants) {
    const bool unpacked = is_unpacked(c, v, stored), packed = stored != nullptr && stored->packed_type;
    const Dtype* const cast = unpacked ? types.unpacked : packed ? nullptr : types.cast;
    const bool is_cast = cast != nullptr && (unpacked || !c.own_dtype);
    Placing placing{c, v, is_cast ? plain : *v.storage, layout, share, is_cast ? *cast : c.dtype, stored, {}};
    if (stored != nullptr && !is_cast) placing.stored_bytes = stored_bytes(c, v, *stored, layout);
    PLIMSOLL_TRY(place(placing));
  }
  return {};
}

} // namespace

Result<void> place_weight(const WeightClass& c, const RankLayout& layout, const RunTimeTypes& types, const StoredClass* stored,
                          std::span<std::uint64_t> bytes) {
  return each_variant(c, layout, types, stored, [&](const Placing& placing) { return place_variant(placing, bytes); });
}

Result<std::uint64_t> weight_on_host(const WeightClass& c, const RankLayout& layout, const RunTimeTypes& types, const StoredClass* stored) {
  Checked sum = 0;
  if (c.role == PLIMSOLL_ROLE_TIED || !layout.uses_host()) return std::uint64_t{0}; // one tensor is both there
  PLIMSOLL_TRY(each_variant(c, layout, types, stored, [&](const Placing& placing) -> Result<void> {
    PLIMSOLL_ASSIGN(const std::uint64_t here, variant_on_host(placing));
    sum += here;
    return {};
  }));
  return sum.get(fmt::format("the bytes of {}", c.label));
}

namespace {

// One tensor of a variant on a member, or whole where there is none.
Result<WeightTerm> term_of(const Placing& p, std::optional<std::uint32_t> member) {
  WeightTerm term;
  term.dims = p.c.dims;
  term.experts = p.c.whole_experts();
  if (member) {
    PLIMSOLL_ASSIGN(const LocalShape local, local_shape(p.c, p.layout, *member % p.share.degree, p.share.degree));
    term.dims = local.dims;
    term.experts = p.share.experts_of(*member).n;
  }
  term.storage = p.storage.is_plain() ? std::string(p.dtype.name) : p.storage.name();
  PLIMSOLL_ASSIGN(term.tensor_bytes, p.c.bytes_of_one(p.storage, term.dims, p.dtype).get("the bytes of " + p.c.label));
  return term;
}

} // namespace

Result<std::vector<WeightTerm>> weight_terms(const WeightClass& c, const RankLayout& layout, const RunTimeTypes& types,
                                             const StoredClass* stored, std::optional<std::uint32_t> rank) {
  std::vector<WeightTerm> out;
  if (rank ? cut_by_rows(c, layout) : c.role == PLIMSOLL_ROLE_TIED) return out;
  if (rank && c.placement == PLIMSOLL_PLACE_ONE && *rank % layout.tp != c.rank % layout.tp) return out;
  PLIMSOLL_TRY(each_variant(c, layout, types, stored, [&](const Placing& p) -> Result<void> {
    const std::uint32_t stage = rank ? layout.stage_of_rank(*rank) : layout.host_stage();
    const std::uint64_t layers = present_on_stage(c, p.variant, stored, layout, stage);
    if (layers == 0) return {};
    PLIMSOLL_ASSIGN(WeightTerm term, term_of(p, rank ? std::optional(p.share.member_of(*rank, layout)) : std::nullopt));
    term.layers = layers;
    const Checked sum = p.stored_bytes.rescaled(Checked(term.tensor_bytes) * term.experts * layers, layers, stage);
    PLIMSOLL_ASSIGN(term.bytes, sum.get("the bytes of " + c.label));
    if (term.bytes > 0) out.push_back(std::move(term));
    return {};
  }));
  return out;
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
    const std::uint64_t held = local_experts(facts.experts + layout.redundant_experts, 0, layout.ep).n;
    return split(mul_div_up(bytes, held, facts.experts), ranks / layout.ep);
  }
  default: return bytes;
  }
}

} // namespace

Result<void> place_unknown(const UnknownTensors& tensors, const plimsoll_facts& facts, const RankLayout& layout, const Dtype* cast,
                           std::span<std::uint64_t> bytes) {
  for (const auto& [group, sums] : tensors.groups()) {
    if (group.place.on_stage && layout.stage_of_layer(group.place.layer) == layout.host_stage()) continue;
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

Result<std::uint64_t> unknown_on_host(const UnknownTensors& tensors, const RankLayout& layout, const Dtype* cast) {
  Checked sum = 0;
  for (const auto& [group, sums] : tensors.groups()) {
    if (!group.place.on_stage || layout.stage_of_layer(group.place.layer) != layout.host_stage()) continue;
    sum +=
        cast == nullptr ? Checked(sums.stored_bytes) : Checked(sums.stored_bytes - sums.common_bytes) + cast->bytes(sums.common_elements);
  }
  return sum.get("the bytes of tensors that no weight class claims");
}

} // namespace plimsoll
