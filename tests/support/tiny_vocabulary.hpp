// The vocabulary of tiny GGUF files. Called by their writers. Threads: plain functions.
#pragma once

#include <cstdint>

#include "support/sparse_checkpoint.hpp"

namespace plimsoll::test {

// SentencePiece's form, which must have a token for every byte: <unk>, <s>, </s>, then the bytes (id = byte + 3), then words. 1 begins,
// 2 ends a text.
void write_tiny_vocabulary(std::uint64_t n_tokens, GgufWriter& file);

} // namespace plimsoll::test
