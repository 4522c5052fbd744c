// The weight classes of a draft. Threads: pure functions.
#pragma once

#include "draft.hpp"

namespace draft {

void declare_embedding(const Draft& draft, const plimsoll::Sink& out);
void declare_attention(const Draft& draft, const plimsoll::Sink& out);
void declare_ffn(const Draft& draft, const plimsoll::Sink& out);
void declare_head(const Draft& draft, const plimsoll::Sink& out);

// The target's embedding, which the draft looks into: bytes only where a pipeline has put it on another stage. For every kind of draft.
void declare_shared_embedding(std::uint64_t vocab, std::uint64_t hidden, const plimsoll::Sink& out);

} // namespace draft
