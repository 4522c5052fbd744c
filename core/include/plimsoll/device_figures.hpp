// plimsoll/device_figures.hpp - the byte figures of a device, one row each: plan documents, totals, the C API and the
// command's table all read them here. A new column is a member of DevicePlan and a row of this table; where it is a part of
// the memory, its Category says which items of the ledger it sums. Threads: constants.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "plimsoll/host.h"
#include "plimsoll/host.hpp"

namespace plimsoll {

struct DeviceFigure {
  std::string_view key;               // in documents
  std::string_view title;             // for people
  std::string_view column;            // the same, short
  int number = 0;                     // PLIMSOLL_HOST_..._BYTES of plimsoll/host.h
  std::uint64_t DevicePlan::*bytes;   // null: unused_bytes, the one figure that may be negative
  std::optional<Category> category{}; // of the items that it sums; none for what is not a part
};

inline constexpr std::array<DeviceFigure, 11> kDeviceFigures{{
    {"total_bytes", "total", "total", PLIMSOLL_HOST_TOTAL_BYTES, &DevicePlan::total_bytes},
    {"free_bytes", "free", "free", PLIMSOLL_HOST_FREE_BYTES, &DevicePlan::free_bytes},
    {"budget_bytes", "budget", "budget", PLIMSOLL_HOST_BUDGET_BYTES, &DevicePlan::budget_bytes},
    {"weights_bytes", "weights", "weights", PLIMSOLL_HOST_WEIGHTS_BYTES, &DevicePlan::weights_bytes, Category::kWeights},
    {"activation_bytes", "activation", "activation", PLIMSOLL_HOST_ACTIVATION_BYTES, &DevicePlan::activation_bytes, Category::kActivation},
    {"signal_buffer_bytes", "signal buffers", "signal", PLIMSOLL_HOST_SIGNAL_BUFFER_BYTES, &DevicePlan::signal_buffer_bytes,
     Category::kSignalBuffer},
    {"workspace_bytes", "workspace", "work", PLIMSOLL_HOST_WORKSPACE_BYTES, &DevicePlan::workspace_bytes, Category::kWorkspace},
    {"vision_cache_bytes", "vision cache", "vision", PLIMSOLL_HOST_VISION_CACHE_BYTES, &DevicePlan::vision_cache_bytes,
     Category::kVisionCache},
    {"overhead_bytes", "overhead", "overhead", PLIMSOLL_HOST_OVERHEAD_BYTES, &DevicePlan::overhead_bytes, Category::kOverhead},
    {"kv_cache_bytes", "KV cache", "KV cache", PLIMSOLL_HOST_KV_CACHE_BYTES, &DevicePlan::kv_cache_bytes, Category::kKvCache},
    {"unused_bytes", "unused", "unused", PLIMSOLL_HOST_UNUSED_BYTES, nullptr},
}};

constexpr std::int64_t bytes_of(const DevicePlan& device, const DeviceFigure& figure) {
  if (figure.bytes == nullptr) return device.unused_bytes;
  return static_cast<std::int64_t>(std::min<std::uint64_t>(device.*figure.bytes, INT64_MAX));
}

} // namespace plimsoll
