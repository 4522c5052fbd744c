// Describes the forward pass of a Model, part by part (plimsoll/pipeline.h): embedding, layers, dense FFNs, head. Which labels there are
// is weights.cpp's to say, what is computed forward.cpp's. Throws E_UNSUPPORTED for what no description fits. Threads: pure functions.
#pragma once

#include "model.hpp"
#include "plimsoll/plugin.hpp"

namespace dense {

void describe(const plimsoll::Config& config, const Model& model, const plimsoll::PipelinePart& part, const plimsoll::Pipeline& out);
// The same of its head that drafts.
void describe_draft(const plimsoll::Config& config, const Model& model, const plimsoll::PipelinePart& part, const plimsoll::Pipeline& out);

} // namespace dense
