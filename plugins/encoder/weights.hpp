// The weight classes of an encoder. Threads: pure functions.
#pragma once

#include "model.hpp"

namespace encoder {

void declare_embedding(const Model& model, const plimsoll::Sink& out);
void declare_layers(const Model& model, const plimsoll::Sink& out);
void declare_head(const Model& model, const plimsoll::Sink& out);

} // namespace encoder
