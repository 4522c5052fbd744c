// The type in which most models are published. For tests of this room.
#pragma once

#include "base/dtype.hpp"

namespace plimsoll::testing {

inline const Dtype kBf16 = *find_dtype("bfloat16");

} // namespace plimsoll::testing
