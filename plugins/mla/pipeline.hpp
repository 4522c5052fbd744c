// Describes embedding, latent attention and head of a forward pass (plimsoll/pipeline.h). Which labels there are is attention.cpp's and
// ends.cpp's to say. Throws E_UNSUPPORTED for what no description fits. Threads: a pure function.
#pragma once

#include "plimsoll/plugin.hpp"
#include "shape.hpp"

namespace mla {

void describe(const plimsoll::Config& config, const Shape& shape, const plimsoll::PipelinePart& part, const plimsoll::Pipeline& out);
// The same of its head that drafts.
void describe_draft(const plimsoll::Config& config, const Shape& shape, const plimsoll::PipelinePart& part, const plimsoll::Pipeline& out);

} // namespace mla
