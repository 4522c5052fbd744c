#include "plan/host_memory.hpp"

#include <fmt/format.h>

#include "base/human.hpp"
#include "plan/gate.hpp"
#include "plan/reasons.hpp"
#include "plimsoll/device_figures.hpp"

namespace plimsoll {

void check_host_memory(const Settled& s, const Ledger& ledger, Findings& findings) {
  const std::optional<std::uint64_t>& has = s.request().host_bytes;
  const std::uint64_t needs = ledger.host_bytes();
  if (!has || needs <= *has) return;
  findings.does_not_fit(ErrorCode::kOutOfMemory,
                        fmt::format("the host needs {} ({}) and has {} (--host): {} short", human_bytes(needs),
                                    parts_text([&](Category category) { return ledger.host_sum(category); }), human_bytes(*has),
                                    human_bytes(needs - *has)),
                        "host", "memory of the host");
}

void fill_host_memory(const Settled& s, const Ledger& ledger, Findings& findings, Plan& plan) {
  plan.host_memory_bytes = ledger.host_bytes();
  const std::optional<std::uint64_t>& has = s.request().host_bytes;
  if (!has) {
    if (ledger.host_bytes() > 0)
      findings.warn(WarningCode::kHostMemoryNeeded,
                    fmt::format("{} stay in host memory, on no device; whether the host has them is not checked, give --host SIZE for that",
                                human_bytes(ledger.host_bytes())));
    return;
  }
  DevicePlan host;
  host.name = "host";
  host.total_bytes = host.free_bytes = host.budget_bytes = *has;
  for (const DeviceFigure& figure : kDeviceFigures)
    if (figure.category) host.*figure.bytes = ledger.host_sum(*figure.category);
  host.unused_bytes = static_cast<std::int64_t>(*has) - static_cast<std::int64_t>(ledger.host_bytes());
  host.reasons = broken_host_limits(*has, ledger);
  plan.host = std::move(host);
}

} // namespace plimsoll
