// The memory of this machine as a device of a plan: what is planned for where no --devices are given. Threads: any.
#pragma once

#include <cstdint>
#include <string>

#include "plimsoll/command.hpp"
#include "plimsoll/result.hpp"

namespace plimsoll::cli {

// What the kernel says is available, or less where a control group says so. kBadRequest where nobody says it.
struct HostMemory {
  std::uint64_t total_bytes = 0, free_bytes = 0;
};
Result<HostMemory> host_memory_figures();

// "host=TOTAL:FREE" in bytes, but for a tenth that other programs may come to need.
Result<std::string> host_device();

// Our own engine on this machine's memory, where the command line asks for nothing else.
Result<void> fill_in_machine(const CommandLine& line, PlanRequest& request);

} // namespace plimsoll::cli
