// What of a plan is one replica's. Whoever makes a model of a data-parallel plan asks for it. Threads: a pure function.
#include <algorithm>
#include <fmt/format.h>

#include "plimsoll/pipeline_model.hpp"

namespace plimsoll {
namespace {

// The part of a list that has `per_rank` entries for each rank; all of one that has not.
template <class T>
void keep(std::vector<T>& of_ranks, std::size_t all, std::size_t first, std::size_t count, std::size_t per_rank = 1) {
  if (of_ranks.size() != all * per_rank) return;
  const auto begin = of_ranks.begin() + static_cast<std::ptrdiff_t>(first * per_rank);
  std::vector<T> kept(begin, begin + static_cast<std::ptrdiff_t>(count * per_rank));
  of_ranks = std::move(kept);
}

} // namespace

Result<Plan> replica_plan(const Plan& plan, std::uint32_t replica) {
  if (plan.error) return tl::unexpected(*plan.error);
  const std::size_t ranks = plan.devices.size(), replicas = std::max<std::uint32_t>(plan.request.dp, 1);
  if (replica >= replicas || ranks % replicas != 0)
    return fail(ErrorCode::kBadRequest, fmt::format("replica {} of a plan of {} ranks in {} replicas", replica, ranks, replicas));
  const std::size_t count = ranks / replicas, first = replica * count;
  Plan out = plan;
  if (replicas == 1) return out;
  keep(out.devices, ranks, first, count);
  for (std::size_t rank = 0; rank < out.devices.size(); ++rank) out.devices[rank].rank = static_cast<std::uint32_t>(rank);
  for (Item& item : out.items) {
    keep(item.bytes, ranks, first, count);
    keep(item.rank_formulas, ranks, first, count);
  }
  keep(out.kv_geometry.pools, ranks, first, count, plan.kv_geometry.n_groups());
  keep(out.kv_geometry.stage_of_rank, ranks, first, count);
  return out;
}

} // namespace plimsoll
