// The settings of an engine's start as a plan's request. Loads and plans nothing. Threads: pure function.
#pragma once

#include <set>
#include <string>
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
  bool length_given = false, batch_given = false, tokens_given = false;
  // What the start was given and the request cannot say, as "NAME=VALUE". Of the first list no figure is that of the plan; of the second
  // those are not that depend on all of the memory.
  std::vector<std::string> not_said_of_kv, not_said_of_memory;
  std::string draft; // a model beside the planned one; empty: none, or a head of the planned one
};

// `options` win over what the start printed. A setting of the start that no option takes is not said, nor one of `refused`; a wrong option
// is an error.
Result<StartRequest> request_of(const EngineStart& start, const std::vector<OptionValue>& options, const std::set<std::string>& refused);

// The setting of the start because of which it cannot be planned; empty where the error is of something else.
std::string refused_setting(const EngineStart& start, const std::vector<OptionValue>& options, const Error& error);

} // namespace plimsoll
