// The memory of this machine as a device of a plan: what is planned for where no --devices are given. Threads: any.
#pragma once

#include <cstdint>
#include <string>

#include "plimsoll/command.hpp"
#include "plimsoll/gpus.hpp"
#include "plimsoll/processes.hpp"
#include "plimsoll/result.hpp"

namespace plimsoll::cli {

// What the kernel says is available, or less where a control group says so. kBadRequest where nobody says it.
struct HostMemory {
  std::uint64_t total_bytes = 0, free_bytes = 0;
};
Result<HostMemory> host_memory_figures();

// "host=TOTAL:FREE" in bytes, but for a tenth that other programs may come to need; a part of it for each of `ranks`.
Result<std::string> host_devices(std::uint32_t ranks);

// What `--device-backend NAME` asks for: "cpu" or "" for the processors, "cuda" for GPUs, one for each rank by its number. kBadRequest for
// another name, and where the first has no GPU, or of processes this one.
Result<OpenBackend> wanted_backend(const std::string& name, const Processes* processes);

// Our own engine on this machine's memory, or on its GPUs, where the command line asks for nothing else. Of processes each has its part,
// and all what the first of them finds. `processes` may be null. kBadRequest where processes on GPUs are not told what these are.
Result<void> fill_in_machine(const CommandLine& line, PlanRequest& request, Processes* processes, bool on_gpus);

} // namespace plimsoll::cli
