// Declares the weight classes of a Model, aspect by aspect. The host multiplies by layers, shards and quantises. Never prices
// anything. Threads: pure functions of the model.
#pragma once

#include "model.hpp"
#include "plimsoll/plugin.hpp"

namespace dense {

// Table and what stands before the layers.
void declare_embedding(const Model& model, const plimsoll::Sink& out);
// Projections, biases, norms on queries and keys, sinks, layer norms; also of draft layers.
void declare_attention(const Model& model, const plimsoll::Sink& out);
// Dense FFNs, also of draft layers.
void declare_ffn(const Model& model, const plimsoll::Sink& out);
// Final norm, head (or its tie) and what joins draft layers to the model.
void declare_head(const Model& model, const plimsoll::Sink& out);

} // namespace dense
