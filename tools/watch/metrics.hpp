// The figures of a plan and of its GPUs in Prometheus' text format, version 0.0.4. Called by main.cpp. Threads: pure functions, but that
// GPUs are asked.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "planned.hpp"

namespace plimsoll::watch {

std::string metrics_text(const Nvml& nvml, const Planned& planned, const std::vector<Watched>& watched);

// A label's value between its quotes: backslash, quote and line feed escaped, and what is no UTF-8 left out.
std::string label_text(std::string_view text);

} // namespace plimsoll::watch
