// The memory of this machine as a device of a plan: what `plimsoll run` plans for where no --devices are given. Threads: any.
#pragma once

#include <string>

#include "plimsoll/result.hpp"

namespace plimsoll::cli {

// "host=TOTAL:FREE" in bytes: what the kernel says is available, or less where a control group says so, but for a tenth that other
// programs may come to need. kBadRequest where nobody says it.
Result<std::string> host_device();

} // namespace plimsoll::cli
