// The real devices of this machine. Called for `--devices auto` and by `plimsoll devices`.
// Built with the CUDA Toolkit it asks the driver, and that opens a context on each GPU; built without it, it
// says so. It never guesses a device. Threads: any, though the driver takes turns.
#pragma once

#include <string_view>
#include <vector>

#include "device/device.hpp"
#include "plimsoll/result.hpp"

namespace plimsoll {

// kBadRequest where there is no GPU, no driver or no support in this build; the message says what to give instead.
Result<std::vector<Device>> query_devices();

// "CUDA runtime 13.0", or why there is none: "built without the CUDA Toolkit".
std::string_view query_backend();

} // namespace plimsoll
