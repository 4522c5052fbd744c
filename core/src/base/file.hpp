// Reads small text files that strangers wrote. Called by every reader of configs, profiles and manifests.
// Never blocks on a FIFO, never reads more than the limit. Threads: any.
#pragma once

#include <cstdint>
#include <string>

#include "plimsoll/result.hpp"

namespace plimsoll {

// The whole content of a regular file; an error of `code` that names the path where it is missing, not a
// regular file, or larger than `limit_bytes`.
Result<std::string> read_text_file(const std::string& path, std::uint64_t limit_bytes, ErrorCode code);

} // namespace plimsoll
