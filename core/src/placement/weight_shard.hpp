// What a rank holds of a weight class: which rows or columns, which experts. One rule for who prices weights (placement.hpp), who
// loads them (sharded_sources.hpp) and who executes with them (schedule). Threads: pure functions.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "model/declared.hpp"
#include "placement/rank_layout.hpp"
#include "plimsoll/result.hpp"

namespace plimsoll {

// Of something whole, [first, first + n).
struct LocalRange {
  std::uint64_t first = 0, n = 0;
  friend bool operator==(const LocalRange&, const LocalRange&) = default;
};

// The tensor-parallel degrees that divide `units`, the smallest eight, for messages: "1, 2, 4, 8".
std::string degrees_text(std::uint64_t units);

// Rows (or columns) of a part that tensor-parallel rank `index` of `degree` holds: whole units, copied where there are fewer units than
// ranks and the part allows it. Mistral-7B's 8 KV heads of 128 over 16 ranks: 128 on each, the same ones on two neighbours. Parts
// without units: the remainder goes to the first ranks. kBadRequest where the degree does not divide them; it names `label`.
Result<LocalRange> local_range(const WeightPart& part, std::uint32_t index, std::uint32_t degree, std::string_view label);
// How many these are.
Result<std::uint64_t> local_extent(const WeightPart& part, std::uint32_t index, std::uint32_t degree, std::string_view label);

// Experts of one layer on rank `index` of an expert-parallel group: the remainder goes to the first ranks.
constexpr LocalRange local_experts(std::uint64_t experts, std::uint32_t index, std::uint32_t ep) {
  const std::uint64_t least = experts / ep, more = experts % ep;
  return {index * least + (index < more ? index : more), least + (index < more ? 1 : 0)};
}

// The ranks of one stage that share a class, and how it is cut among them.
struct WeightShare {
  std::uint32_t members = 1;       // of the group that shares one copy
  bool over_replicas = false;      // the group is all ranks of the stage, tp x dp; else tp ranks, once in every replica
  std::uint32_t expert_groups = 1; // parts of the group that hold different experts
  std::uint64_t experts = 1;       // of one layer, redundant ones too
  std::uint32_t degree = 1;        // members that one tensor is cut among

  LocalRange experts_of(std::uint32_t member) const { return local_experts(experts, member / (members / expert_groups), expert_groups); }
  std::uint32_t member_of(std::uint32_t rank, const RankLayout& layout) const {
    return rank % layout.tp + (over_replicas ? rank / (layout.tp * layout.pp) * layout.tp : 0);
  }
};
WeightShare weight_share(const WeightClass& c, const RankLayout& layout);

// The first layers of a class that the host holds, beside its whole layers.
std::uint32_t held_back_layers(const WeightClass& c, const RankLayout& layout);

// Whether a stage has the class in that layer, the host's too; `layer` means nothing where the class belongs to none.
bool on_stage(const WeightClass& c, const RankLayout& layout, std::uint32_t layer, std::uint32_t stage);

// A tensor of one expert, cut along the class's shard_dim.
struct LocalShape {
  WeightDims dims{};              // of what lies on the rank
  std::vector<LocalRange> ranges; // of the whole along shard_dim, one after another in the local tensor; empty: nothing is cut
  std::uint64_t padding_rows = 0; // behind them: of a vocabulary, in no file
};
Result<LocalShape> local_shape(const WeightClass& c, const RankLayout& layout, std::uint32_t index, std::uint32_t degree);

// What of a class a rank holds, on the stages that have it.
struct WeightShard {
  bool held = true;   // PLIMSOLL_PLACE_ONE is on one rank alone
  LocalRange experts; // of one layer; one where the class has none
  LocalShape shape;
  std::uint32_t degree = 1; // ranks that the tensor is cut among
  std::uint32_t index = 0;  // of these
};
Result<WeightShard> weight_shard(const WeightClass& c, const RankLayout& layout, std::uint32_t rank);

} // namespace plimsoll
