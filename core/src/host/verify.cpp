#include "host/verify.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "device/query.hpp"

namespace plimsoll {
namespace {

constexpr std::uint64_t kAllocationBytes = 2ULL << 20; // drivers hand out memory in pages of 2 MiB
constexpr std::array<Category, 3> kParts{Category::kKvCache, Category::kSignalBuffer, Category::kVisionCache};

void add_kv_cache(const KvGeometry& geometry, std::uint32_t rank, std::vector<PlannedAllocation>& out) {
  if (rank >= geometry.n_ranks()) return;
  for (std::size_t i = 0; i < geometry.n_groups(); ++i) {
    if (geometry.pool(rank, i).bytes == 0) continue;
    const bool of_all = geometry.shared_blocks && geometry.n_groups() > 1;
    out.push_back({Category::kKvCache, of_all ? "blocks" : geometry.group(rank, i).label, geometry.pool(rank, i).bytes});
  }
}

// Tries what the rank needs; `report` says so when it is refused.
Result<VerifiedDevice> verify_rank(std::uint32_t rank, VerifyReport& report) {
  VerifiedDevice verified;
  verified.rank = report.plan.devices[rank].rank;
  verified.name = report.plan.devices[rank].name;
  for (const Category category : kParts) verified.parts.push_back({category, 0, 0});
  const auto part = [&](Category category) -> VerifiedPart& {
    return *std::find_if(verified.parts.begin(), verified.parts.end(), [&](const VerifiedPart& p) { return p.category == category; });
  };
  std::vector<std::uint64_t> sizes;
  for (PlannedAllocation& planned : allocations_of(report.plan, rank)) {
    part(planned.category).planned_bytes += planned.bytes;
    sizes.push_back(planned.bytes);
    verified.allocations.push_back({planned.category, std::move(planned.label), planned.bytes, 0});
  }
  const auto trial = try_allocations(verified.rank, sizes);
  if (!trial && trial.error().code != ErrorCode::kOutOfMemory) return tl::unexpected(trial.error());
  if (!trial) {
    report.error = trial.error();
    report.holds = false;
    return verified;
  }
  verified.free_before_bytes = trial->free_before_bytes;
  verified.free_after_bytes = trial->free_after_bytes;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    verified.allocations[i].taken_bytes = trial->taken_bytes[i];
    part(verified.allocations[i].category).taken_bytes += trial->taken_bytes[i];
    report.holds = report.holds && trial->taken_bytes[i] <= sizes[i] + kAllocationBytes;
  }
  report.holds = report.holds && verified.free_after_bytes + kAllocationBytes >= verified.free_before_bytes;
  return verified;
}

} // namespace

std::vector<PlannedAllocation> allocations_of(const Plan& plan, std::uint32_t rank) {
  const DevicePlan& device = plan.devices[rank];
  std::vector<PlannedAllocation> out;
  add_kv_cache(plan.kv_geometry, rank, out);
  if (out.empty() && device.kv_cache_bytes > 0) out.push_back({Category::kKvCache, "kv_cache", device.kv_cache_bytes});
  if (device.signal_buffer_bytes > 0) out.push_back({Category::kSignalBuffer, "", device.signal_buffer_bytes});
  if (device.vision_cache_bytes > 0) out.push_back({Category::kVisionCache, "", device.vision_cache_bytes});
  return out;
}

Result<VerifyReport> verify_plan(Plan plan) {
  VerifyReport report;
  report.backend = query_backend();
  report.granularity_bytes = kAllocationBytes;
  report.plan = std::move(plan);
  report.holds = true;
  for (std::uint32_t rank = 0; rank < report.plan.devices.size(); ++rank) {
    PLIMSOLL_ASSIGN(VerifiedDevice verified, verify_rank(rank, report));
    report.devices.push_back(std::move(verified));
  }
  return report;
}

} // namespace plimsoll
