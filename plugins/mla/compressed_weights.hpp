// The weights of compressed sparse attention, with embedding, head and hyper-connections. Declares only. Pure function, any
// thread.
#pragma once

#include "compressed_shape.hpp"

namespace mla {

void declare_compressed(const CompressedShape& shape, const plimsoll::Sink& out);

} // namespace mla
