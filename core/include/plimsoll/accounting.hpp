// The two ways of adding bytes up, shared by the plan and the estimator. Never more than a value. Threads: none.
#pragma once

#include <string_view>

namespace plimsoll {

// kPerDevice: exact integers for every device, the smallest margin decides (the default).
// kPooled: one sum over all devices with the documented arithmetic, floating point included.
enum class Accounting { kPerDevice, kPooled };
// "per_device", "pooled".
constexpr std::string_view accounting_name(Accounting accounting) noexcept {
  return accounting == Accounting::kPooled ? "pooled" : "per_device";
}

} // namespace plimsoll
