// The forward pass of a hybrid model (sdk/docs/pipeline.md): layers around the mixers of this family and the parts of others. Labels of
// mixers are those of mixers.cpp. Throws E_UNSUPPORTED for what no description fits. Threads: pure functions.
#pragma once

#include "mixers.hpp"

namespace hybrid {

void describe(const Model& model, const plimsoll::PipelinePart& part, const plimsoll::Pipeline& out);
// The same of its head that drafts.
void describe_draft(const Model& model, const plimsoll::PipelinePart& part, const plimsoll::Pipeline& out);

// Each sets part.out from part.in. `label`: what the labels of its tensors begin with.
void describe_delta_net(const DeltaNet& m, const std::string& label, const plimsoll::PipelinePart& part, const plimsoll::Pipeline& out);
void describe_kimi_delta(const KimiDelta& m, const std::string& label, const plimsoll::PipelinePart& part, const plimsoll::Pipeline& out);
void describe_mamba1(const Mamba1& m, const std::string& label, const plimsoll::PipelinePart& part, const plimsoll::Pipeline& out);
void describe_mamba2(const Mamba2& m, const std::string& label, const plimsoll::PipelinePart& part, const plimsoll::Pipeline& out);
void describe_short_conv(const ShortConv& m, const std::string& label, const plimsoll::PipelinePart& part, const plimsoll::Pipeline& out);

} // namespace hybrid
