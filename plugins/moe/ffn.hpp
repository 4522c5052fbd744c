// The FFN weights of an expert model: routed experts, shared experts, router, dense layers. Declares only; never multiplies,
// shards or adds. Pure function, any thread.
#pragma once

#include "shape.hpp"

namespace moe {

void declare_ffn(const Shape& shape, const plimsoll::Sink& out);

} // namespace moe
