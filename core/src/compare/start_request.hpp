// The settings of an engine's start as a plan's request. Loads and plans nothing. Threads: pure function.
#pragma once

#include <vector>

#include "plimsoll/compare.hpp"
#include "plimsoll/host.hpp"
#include "plimsoll/options.hpp"

namespace plimsoll {

struct StartRequest {
  PlanRequest request;
  bool engine_given = false;   // by an option: its release too
  bool memory_known = false;   // the device's memory was printed, or its card is known
  bool fraction_known = false; // of the memory
};

// `options` win over what the start printed.
Result<StartRequest> request_of(const EngineStart& start, const std::vector<OptionValue>& options);

} // namespace plimsoll
