// The KV cache of a plan: what every rank has to give, the sizing of its pools, and the figures of both. How memory is cut is
// the layout's business (kv/layout.hpp), what fits kv/sizing.hpp's. Threads: one plan, one thread.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "kv/sizing.hpp"
#include "plan/ledger.hpp"
#include "plan/settled.hpp"

namespace plimsoll {

// Prices of every group of one stage, or of the host's layers: the model's, its drafting head's where that is used, then a draft model's.
Result<std::vector<KvGroupPrice>> price_stage(const Settled& settled, std::uint32_t stage);

// Bytes for the KV cache on each rank: what the engine's rule leaves of the budget, or the absolute figure. Where the host has layers, what
// it has for theirs stands behind them.
std::vector<Wide> kv_rooms(const Settled& settled, const Ledger& ledger);

// The stages of a plan with the layout of a rank's memory on each.
class KvStages {
public:
  // `batch`: requests of a step, where it is known. `settled` outlives the stages.
  static Result<KvStages> create(const Settled& settled, std::optional<std::uint64_t> batch);

  std::size_t count() const { return n_stages_; }
  std::uint32_t n_ranks() const { return n_ranks_; }
  const std::vector<KvGroupPrice>& prices(std::size_t stage) const { return *prices_[stage]; }
  const KvLayout& layout(std::size_t stage) const { return *layouts_[stage]; }
  std::uint32_t stage_of(std::uint32_t rank) const { return stage_of_rank_[rank]; }
  // With these rooms, which outlive it.
  KvMemory memory(const std::vector<Wide>& rooms) const;

private:
  std::vector<std::unique_ptr<const std::vector<KvGroupPrice>>> prices_; // the layouts point at them
  std::vector<std::unique_ptr<const KvLayout>> owned_;
  std::vector<const KvLayout*> layouts_;
  std::vector<std::uint32_t> stage_of_rank_;
  std::size_t n_stages_ = 0; // with ranks
  std::uint32_t n_ranks_ = 0, ranks_per_replica_ = 1;
};

// What is asked of the KV memory.
KvWish kv_wish(const Settled& settled, std::optional<std::uint64_t> batch);

// Sizes the pools of every rank, adds their items, and fills the plan's kv_cache, kv_geometry and limits,
// within these rooms, which become those of the blocks where the request gives blocks. `requests`: what other items are priced for; a batch
// that the sizing chooses is no larger.
Result<void> plan_kv_cache(const Settled& settled, std::optional<std::uint64_t> batch, std::uint64_t requests, std::vector<Wide>& rooms,
                           Ledger& ledger, Findings& findings, Plan& plan);

} // namespace plimsoll
