// Embedding, final norm and head of a latent-attention model, and the copies that its draft layers keep. Declares only. Pure
// function, any thread.
#pragma once

#include "shape.hpp"

namespace mla {

void declare_ends(const Shape& shape, const plimsoll::Sink& out);

} // namespace mla
