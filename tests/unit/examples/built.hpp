// Where this build keeps its plugins: "examples", "plugins" and "zoo" lie below. For tests of this folder.
#pragma once

#include <string>

namespace plimsoll::testing {

inline const std::string kBuilt = std::string(PLIMSOLL_BUILD_DIR) + "/lib/plimsoll/";

} // namespace plimsoll::testing
