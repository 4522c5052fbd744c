// The forward pass of an encoder: embeddings of words, types and positions, layers that look both ways, and one vector of a text. Describes
// BERT, RoBERTa, Contriever, DistilBERT and ModernBERT; of other kinds no_pipeline says which. Throws plimsoll::Error. Threads: pure
// functions.
#pragma once

#include "model.hpp"
#include "plimsoll/plugin.hpp"

namespace encoder {

void describe(const plimsoll::Config& config, const Model& model, const plimsoll::PipelinePart& part, const plimsoll::Pipeline& out);

} // namespace encoder
