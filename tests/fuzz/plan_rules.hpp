// What must hold for every plan, whatever was asked: for the targets that plan. Aborts where it does not, which the driver takes
// for a failure. Threads: any.
#pragma once

#include <cstdlib>
#include <string>

#include "plimsoll/host.hpp"

namespace plimsoll::fuzz {

// An error that a person can read.
inline void must_speak(const Error& error) {
  if (error.message.empty() || error.message.size() > 10'000) std::abort();
}

__extension__ using Sum = __int128; // of parts that may each be close to 64 bits

inline Sum parts_of(const DevicePlan& d) {
  return static_cast<Sum>(d.weights_bytes) + d.activation_bytes + d.signal_buffer_bytes + d.workspace_bytes + d.vision_cache_bytes +
         d.overhead_bytes + d.kv_cache_bytes;
}

inline void must_add_up(const Plan& plan) {
  const bool holds = plan.verdict == Verdict::kFits || plan.verdict == Verdict::kTight;
  if (holds == plan.error.has_value() || plan.devices.empty()) std::abort();
  if (plan.error) must_speak(*plan.error);
  if (plan_to_json(plan, 0).empty()) std::abort();
  if (plan.request.accounting == Accounting::kPooled) return; // shared out evenly, whatever a device has
  for (const DevicePlan& device : plan.devices) {
    if (parts_of(device) + device.unused_bytes != static_cast<Sum>(device.budget_bytes)) std::abort();
    if (holds && (device.unused_bytes < 0 || parts_of(device) > static_cast<Sum>(device.free_bytes))) std::abort();
  }
  if (holds && plan.limits.max_batch_at_max_length > plan.limits.max_batch_size) std::abort();
}

// The same for what may be no plan at all.
inline void must_plan_or_speak(const Result<Plan>& plan) {
  if (plan) must_add_up(*plan);
  else must_speak(plan.error());
}

} // namespace plimsoll::fuzz
