// The catalogue of cards as it is shipped. For tests of this room.
#pragma once

#include "device/catalogue.hpp"

namespace plimsoll::testing {

inline const DeviceCatalogue& shipped() {
  static const DeviceCatalogue catalogue(PLIMSOLL_SOURCE_DIR "/core/catalogue/devices.yaml");
  return catalogue;
}

} // namespace plimsoll::testing
