// Storage formats by name: what a planner may write into a weight class's `format`, independent of the configuration. A name carries the
// format's parameters ("fp8_block_128x128", "gptq_int4_g64"), so any block and group that a maker takes can be named.
// Threads: pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "storage/storage.hpp"

namespace plimsoll {

// Nothing for a name that no format has; Storage::name() of the answer equals `format_name`.
std::optional<Storage> find_storage(std::string_view format_name);
// How names are made, for messages: "plain, fp8_block_OUTxIN, ...".
std::string storage_name_patterns();

} // namespace plimsoll
