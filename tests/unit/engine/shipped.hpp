// Where the catalogue lies whose engine profiles are shipped. For tests of this room.
#pragma once

#include <string>

namespace plimsoll::testing {

inline const std::string kCatalogue = PLIMSOLL_SOURCE_DIR "/core/catalogue";

} // namespace plimsoll::testing
