// The two ways of adding bytes up, shared by the plan and the estimator. Never more than a value. Threads: none.
#pragma once

#include <string_view>

#include "plimsoll/export.hpp"

namespace plimsoll {

// kPerDevice: exact integers for every device, the smallest margin decides (the default).
// kPooled: one sum over all devices with the documented arithmetic, floating point included.
enum class Accounting { kPerDevice, kPooled };
std::string_view PLIMSOLL_API accounting_name(Accounting accounting) noexcept; // "per_device", "pooled"

} // namespace plimsoll
