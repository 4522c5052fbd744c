// The weights of latent attention: projections, indexer, layer norms. Declares only; never multiplies, shards or adds. Pure
// functions, any thread.
#pragma once

#include "shape.hpp"

namespace mla {

// Layer norms, attention and indexer of all decoder layers.
void declare_attention(const Shape& shape, const plimsoll::Sink& out);
// The same for multi-token-prediction layers, with what joins their two inputs.
void declare_draft_attention(const Shape& shape, const plimsoll::Sink& out);

} // namespace mla
