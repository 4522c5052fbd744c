#include "plan/gate.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "base/checked.hpp"
#include "base/exact_fraction.hpp"
#include "base/human.hpp"
#include "plan/refusals.hpp"
#include "plimsoll/device_figures.hpp"

namespace plimsoll {
namespace {

std::string parts_of(const Ledger& ledger, std::uint32_t rank) {
  return parts_text([&](Category category) { return ledger.sum(category, rank); });
}

std::string largest_part(const Settled& s, const Ledger& ledger, std::uint32_t rank) {
  const DeviceFigure* largest = nullptr;
  for (const DeviceFigure& figure : kDeviceFigures)
    if (figure.category && (largest == nullptr || ledger.sum(*figure.category, rank) > ledger.sum(*largest->category, rank)))
      largest = &figure;
  return fmt::format("{} on rank {} ({})", category_name(*largest->category), rank, s.devices()[rank].name);
}

std::string memory_words(const Settled& s) {
  if (s.profile().budget.of == BudgetOf::kFree) return "free";
  return s.profile().budget.in_use == MemoryInUse::kSubtracted ? "not in use" : "in all";
}

} // namespace

std::uint64_t free_to_start(const Settled& s, std::uint32_t rank) {
  const EngineProfile::Budget& budget = s.profile().budget;
  if (budget.of != BudgetOf::kTotal || budget.in_use != MemoryInUse::kRefused || budget.covers != BudgetCovers::kAll) return 0;
  return bounded_count(share_of(static_cast<Wide>(s.devices()[rank].total_bytes), exact_fraction(s.utilization)));
}

std::string parts_text(const std::function<std::uint64_t(Category)>& bytes_of) {
  std::string out;
  for (const DeviceFigure& figure : kDeviceFigures)
    if (figure.category)
      if (const std::uint64_t bytes = bytes_of(*figure.category); bytes > 0)
        out += fmt::format("{}{} {}", out.empty() ? "" : ", ", figure.title, human_bytes(bytes));
  return out.empty() ? "nothing" : out;
}

RankRoom poorest_rank(const Settled& s, const Ledger& ledger) {
  RankRoom poorest;
  for (std::uint32_t rank = 0; rank < s.layout.ranks(); ++rank)
    if (const Wide room = static_cast<Wide>(s.budget_bytes[rank]) - static_cast<Wide>(ledger.used(rank)); room < poorest.room)
      poorest = {rank, room};
  return poorest;
}

void check_static(const Settled& s, const Ledger& ledger, Findings& findings) {
  const auto [worst, margin] = poorest_rank(s, ledger);
  if (margin >= 0) return;
  const Device& d = s.devices()[worst];
  const std::uint64_t used = ledger.used(worst);
  const std::string needs = parts_of(ledger, worst);
  if (used > d.free_bytes)
    return findings.does_not_fit(ErrorCode::kModelTooLarge,
                                 fmt::format("rank {} needs {} ({}) of a budget of {}: {} short; even the whole device has only {} free",
                                             worst, human_bytes(used), needs, human_bytes(s.budget_bytes[worst]),
                                             human_bytes(bounded_count(-margin)), human_bytes(d.free_bytes)),
                                 s.device_name(worst), largest_part(s, ledger, worst));
  const std::string before_any = s.whole_requests() ? std::string() : " before any KV cache" + engine_says(s, "no_kv_memory", {});
  findings.does_not_fit(ErrorCode::kNoRoomForKv,
                        fmt::format("rank {} needs {} ({}) of a budget of {} ({} of {} {}): {} short{}", worst, human_bytes(used), needs,
                                    human_bytes(s.budget_bytes[worst]), s.utilization, human_bytes(s.memory_bytes[worst]), memory_words(s),
                                    human_bytes(bounded_count(-margin)), before_any),
                        s.device_name(worst), largest_part(s, ledger, worst));
}

bool starts(const Settled& s) {
  for (std::uint32_t rank = 0; rank < s.layout.ranks(); ++rank)
    if (free_to_start(s, rank) > s.devices()[rank].free_bytes) return false;
  return true;
}

std::vector<std::uint64_t> check_devices(const Settled& s, const Ledger& ledger, const std::vector<Wide>& kv_rooms, Findings& findings) {
  std::vector<std::uint64_t> budgets = s.budget_bytes;
  for (std::uint32_t rank = 0; findings.error && rank < s.layout.ranks(); ++rank)
    if (const auto kv = static_cast<Wide>(ledger.sum(Category::kKvCache, rank)); kv > kv_rooms[rank])
      budgets[rank] = std::min(budgets[rank], bounded_count(std::max<Wide>(0, static_cast<Wide>(ledger.used(rank)) - kv + kv_rooms[rank])));
  std::uint32_t worst = 0;
  std::uint64_t shortfall = 0;
  for (std::uint32_t rank = 0; rank < s.layout.ranks(); ++rank) {
    const std::uint64_t used = ledger.used(rank), free = s.devices()[rank].free_bytes, start = free_to_start(s, rank);
    if (used > free) budgets[rank] = std::min(budgets[rank], free);
    // What is missing to start shows as a shortfall too.
    if (start > free) budgets[rank] = std::min(budgets[rank], used - std::min(used, start - free));
    if (used > budgets[rank] && used - budgets[rank] > shortfall) {
      shortfall = used - budgets[rank];
      worst = rank;
    }
  }
  if (shortfall == 0) return budgets;
  const Device& d = s.devices()[worst];
  const std::uint64_t used = ledger.used(worst), start = free_to_start(s, worst);
  if (start > d.free_bytes) {
    if (!findings.error) findings.binding.clear(); // whatever the KV cache found
    findings.does_not_fit(ErrorCode::kOutOfMemory,
                          fmt::format("{} starts only where {} of a device's memory is free: {} of {}; rank {} has {} free: {} short{}",
                                      s.profile().name, s.utilization, human_bytes(start), human_bytes(d.total_bytes), worst,
                                      human_bytes(d.free_bytes), human_bytes(start - d.free_bytes),
                                      engine_says(s, "free_memory",
                                                  {{"rank", fmt::to_string(worst)},
                                                   {"free", gib(d.free_bytes)},
                                                   {"total", gib(d.total_bytes)},
                                                   {"fraction", fmt::format("{}", s.utilization)},
                                                   {"needed", gib(start)}})),
                          s.device_name(worst), fmt::format("free memory on rank {} ({})", worst, d.name));
  } else {
    findings.does_not_fit(ErrorCode::kOutOfMemory,
                          fmt::format("rank {} needs {} ({}), its device has {}{}: {} short", worst, human_bytes(used),
                                      parts_of(ledger, worst), human_bytes(std::min(budgets[worst], d.free_bytes)),
                                      used > d.free_bytes ? " free" : "", human_bytes(shortfall)),
                          s.device_name(worst), largest_part(s, ledger, worst));
  }
  return budgets;
}

} // namespace plimsoll
