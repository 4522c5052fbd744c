// Describes the FFN of one layer (plimsoll/pipeline.h): router, routed and shared experts, or a dense FFN. How a model_type routes is the
// table in pipeline.cpp; whoever has no row there is not described. Throws E_UNSUPPORTED for what no description fits. Threads: a pure
// function.
#pragma once

#include "plimsoll/plugin.hpp"
#include "shape.hpp"

namespace moe {

void describe_ffn(const plimsoll::Config& config, const Shape& shape, const plimsoll::PipelinePart& part, const plimsoll::Pipeline& out);
// The same of its layer that drafts, which has experts too.
void describe_draft_ffn(const plimsoll::Config& config, const Shape& shape, const plimsoll::PipelinePart& part,
                        const plimsoll::Pipeline& out);

} // namespace moe
