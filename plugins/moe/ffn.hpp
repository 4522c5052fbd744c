// The FFN weights of an expert model: routed experts, shared experts, router, dense layers. Called by the planner when
// the host asks for weight classes. Declares only; never multiplies, shards or adds. Pure function, any thread.
#pragma once

#include "shape.hpp"

namespace moe {

void declare_ffn(const Shape& shape, const plimsoll::Sink& out);

} // namespace moe
