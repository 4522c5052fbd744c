// Tokens' keys and values in pages of a KV pool, as elements to compute with, and back. Called by the ops that attend. Threads: [serial].
#pragma once

#include "backend/backend.hpp"

namespace plimsoll::cpu {

// Keys of one head of the tokens [begin, end) of sequence `b`, row after row.
template <class Real>
void gather_keys(const KvView& kv, std::uint64_t b, std::uint64_t head, std::uint64_t begin, std::uint64_t end, Real* out);
// Their values.
template <class Real>
void gather_values(const KvView& kv, std::uint64_t b, std::uint64_t head, std::uint64_t begin, std::uint64_t end, Real* out);

} // namespace plimsoll::cpu
