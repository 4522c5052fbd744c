// Foreign names made fit for a message: control characters and broken UTF-8 escaped, overlong names cut.
// For every tensor, key or file that was found in a file. Never throws. Threads: pure functions.
#pragma once

#include <string>
#include <string_view>

namespace plimsoll {

// 'model.norm.weight'; at most about 160 characters, whatever the file says.
std::string quoted_name(std::string_view name);

} // namespace plimsoll
