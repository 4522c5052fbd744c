// The real devices of this machine: what they are, and what an allocation really takes. Called for `--devices auto`, by
// `plimsoll devices` and by `plimsoll verify`. Order of what is asked: the CUDA runtime alone (never NVML); for devices
// that share the system's memory, also what the system says is available, as the driver calls page cache used.
// Built without the CUDA Toolkit it says so. It never guesses a device. Threads: any, though the driver takes turns.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "device/device.hpp"
#include "plimsoll/result.hpp"

namespace plimsoll {

// kBadRequest where there is no GPU, no driver or no support in this build; the message says what to give instead.
// Opens a context on each GPU, as whoever plans to use it will.
Result<std::vector<Device>> query_devices();

// "CUDA runtime 13.0", or why there is none: "built without the CUDA Toolkit".
std::string_view query_backend();

// What the driver's free memory lost to each of a series of allocations.
struct AllocationTrial {
  std::uint64_t free_before_bytes = 0, free_after_bytes = 0; // before the first, and after all were given back
  std::vector<std::uint64_t> taken_bytes;                    // one for each size asked for
};

// Allocates these sizes one after the other on a real device, watches its free memory, and gives everything back, also
// where one fails: kOutOfMemory names the first that does. Sizes of 0 take nothing.
Result<AllocationTrial> try_allocations(std::uint32_t device_index, std::span<const std::uint64_t> sizes_bytes);

} // namespace plimsoll
