#include "search/demand.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <limits>

#include "base/checked.hpp"
#include "base/human.hpp"
#include "plan/kv_cache.hpp"

namespace plimsoll {
namespace {

// Shares of the KV memory are counted in these, each rounded up.
constexpr std::uint64_t kWholeMemory = 1ULL << 50;

// Of the KV memory that the plan has given every rank, what so many requests of a replica take.
class PlannedMemory {
public:
  PlannedMemory(const PlanInput& input, const Plan& plan) {
    auto settled = settle(input);
    if (!settled) return;
    settled_ = std::move(*settled);
    auto stages = KvStages::create(*settled_, plan.limits.max_batch_size);
    if (!stages) return;
    for (const DevicePlan& device : plan.devices) rooms_.push_back(static_cast<Wide>(device.kv_cache_bytes));
    demand_.sequences = plan.limits.max_batch_size;
    demand_.sequences_given = settled_->batch.has_value();
    demand_.length_tokens = plan.limits.max_length;
    demand_.limited = !settled_->kv_given();
    stages_ = std::move(*stages);
  }

  // In kWholeMemory; more than that where they do not fit, or nothing is known.
  std::uint64_t part_of(std::uint64_t requests, std::uint64_t length_tokens) const {
    if (!stages_) return UINT64_MAX;
    const KvMemory memory = stages_->memory(rooms_);
    KvRequestCount least;
    least.unlimited = true;
    for (std::uint32_t rank = 0; rank < memory.n_ranks(); ++rank) {
      if (memory.same_as_before(rank)) continue;
      const KvLayout& layout = memory.layout(rank);
      const KvCut cut = layout.cut(memory.room_bytes[rank], demand_, kWideMax);
      if (!cut.fits) return UINT64_MAX;
      if (const KvRequestCount here = layout.requests_held(cut, demand_, length_tokens); here < least) least = here;
    }
    if (least.unlimited) return 0;
    if (least.numerator <= 0) return UINT64_MAX;
    const CheckedWide taken = CheckedWide(static_cast<Wide>(requests)) * least.denominator * static_cast<Wide>(kWholeMemory);
    return bounded_count(wide_ceil_div(taken.saturated(), least.numerator));
  }

private:
  std::optional<Settled> settled_;
  std::optional<KvStages> stages_;
  std::vector<Wide> rooms_;
  KvDemand demand_;
};

Error too_few(std::string message, const Plan& plan) { return {ErrorCode::kNoRoomForKv, std::move(message), plan.limits.binding}; }

} // namespace

Demand::Demand(const FitRequest& asked, const Settled& settled) : parts_(asked.demand) {
  const PlanRequest& request = asked.request;
  const std::uint64_t own = settled.model().declared.facts.max_length;
  may_shorten_ = parts_.empty() && request.max_length_auto;
  batch_given_ = !parts_.empty() || request.max_batch_size.has_value();
  if (parts_.empty()) parts_ = {{request.max_batch_size.value_or(1), request.max_length.value_or(own)}};
  std::stable_sort(parts_.begin(), parts_.end(), [](const FitDemand& a, const FitDemand& b) { return a.length_tokens > b.length_tokens; });
  for (std::size_t at = parts_.size() - 1; at > 0; --at) { // one kind for each length
    if (parts_[at].length_tokens != parts_[at - 1].length_tokens) continue;
    parts_[at - 1].requests += parts_[at].requests;
    parts_.erase(parts_.begin() + static_cast<std::ptrdiff_t>(at));
  }
  if (!may_shorten_ && parts_.front().length_tokens > 0) wanted_tokens_ = parts_.front().length_tokens;
  const EngineProfile::Kv& kv = settled.profile().kv;
  shares_context_ = kv.layout == KvLayoutKind::kCells;
  cells_step_ = kv.cells.pad_cells;
  one_stream_ = kv.cells.kv_unified;
}

std::uint64_t Demand::all_requests(std::uint32_t dp) const {
  Checked sum = 0;
  for (const FitDemand& part : parts_) sum += on_replica(part.requests, dp);
  return sum.saturated();
}

PlanRequest Demand::planned(PlanRequest request, std::uint32_t dp) const {
  if (wanted_tokens_) {
    request.max_length = *wanted_tokens_;
    request.max_length_auto = false;
  }
  if (!batch_given_) return request;
  request.max_batch_size = all_requests(dp);
  if (!shares_context_ || !request.max_length) return request;
  // The context of all slots; where these are streams of their own each is as long as the longest.
  Checked context = 0;
  for (const FitDemand& part : parts_) {
    const std::uint64_t length = one_stream_ ? part.length_tokens : *request.max_length;
    context += Checked(on_replica(part.requests, dp)) * ceil_div(length, cells_step_) * cells_step_;
  }
  request.max_length = context.saturated();
  return request;
}

// `part`: of the KV memory, that what was asked for takes.
std::optional<Error> Demand::shortfall(const PlanInput& input, const Plan& plan, std::uint64_t& part) const {
  part = kWholeMemory;
  if (plan.error) return plan.error;
  if (plan.kv_cache.groups.empty()) return std::nullopt;
  const std::uint64_t wanted = input.request->max_length.value_or(0);
  if (wanted_tokens_ && plan.limits.max_length < wanted)
    return too_few(fmt::format("holds a request of {} tokens, and not of {}", human_count(plan.limits.max_length), human_count(wanted)),
                   plan);
  if (shares_context_) return std::nullopt;
  const std::uint32_t dp = plan.request.dp;
  const std::uint64_t requests = all_requests(dp);
  const std::string of_replica = dp > 1 ? " on a replica" : "";
  if (batch_given_ && plan.limits.max_batch_size < requests)
    return too_few(
        fmt::format("takes {} requests at once{}, and not {}", human_count(plan.limits.max_batch_size), of_replica, human_count(requests)),
        plan);
  if (parts_.size() == 1) {
    const double share = static_cast<double>(requests) / plan.kv_cache.capacity_requests;
    if (share < 1) part = static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(kWholeMemory)));
    if (plan.limits.max_batch_at_max_length >= requests) return std::nullopt;
    return too_few(fmt::format("holds {} of {} requests of {} tokens at once{}", human_count(plan.limits.max_batch_at_max_length),
                               human_count(requests), human_count(plan.limits.max_length), of_replica),
                   plan);
  }
  const PlannedMemory memory(input, plan);
  Checked sum = 0;
  for (const FitDemand& kind : parts_) sum += memory.part_of(on_replica(kind.requests, dp), kind.length_tokens);
  part = std::min(sum.saturated(), kWholeMemory);
  if (sum.saturated() <= kWholeMemory) return std::nullopt;
  std::string mix;
  for (const FitDemand& kind : parts_)
    mix += fmt::format("{}{} of {}", mix.empty() ? "" : ", ", human_count(on_replica(kind.requests, dp)), human_count(kind.length_tokens));
  return too_few(fmt::format("does not hold these requests at once{}: {} tokens", of_replica, mix), plan);
}

Demand::Served Demand::served_by(const PlanInput& input, const Plan& plan) const {
  Served out;
  std::uint64_t part = kWholeMemory;
  out.lacks = shortfall(input, plan, part);
  const double capacity =
      shares_context_ && batch_given_ ? static_cast<double>(plan.limits.max_batch_size) : plan.kv_cache.capacity_requests;
  out.total_requests = capacity * plan.request.dp;
  std::uint64_t least = std::numeric_limits<std::uint64_t>::max();
  for (const DevicePlan& device : plan.devices) {
    const auto unused = static_cast<std::uint64_t>(std::max<std::int64_t>(device.unused_bytes, 0));
    least = std::min(least, unused + device.kv_cache_bytes - mul_div_up(device.kv_cache_bytes, part, kWholeMemory));
  }
  out.headroom_bytes = plan.devices.empty() ? 0 : least;
  return out;
}

} // namespace plimsoll
