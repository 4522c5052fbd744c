// A tokenizer.json, as Hugging Face's tokenizers library writes it: models of the kind BPE, with bytes as letters or with bytes as a way
// out. Never keeps the document: only what encoding and decoding need. Threads: pure functions.
#pragma once

#include <cstdint>
#include <string>

#include "plimsoll/result.hpp"
#include "tokenizer/vocabulary_tokenizer.hpp"

namespace plimsoll {

inline constexpr std::uint64_t kMaxTokenizerJsonBytes = std::uint64_t{128} << 20U; // the largest known has 33 MB

// Added tokens beyond `vocab_size` are left out: the model has no row for them. kBadConfig names the file and the pointer at fault.
Result<VocabularyParts> read_tokenizer_json(const std::string& path, std::uint32_t vocab_size);

// The same from memory; for tests and fuzzing.
Result<VocabularyParts> parse_tokenizer_json(const std::string& text, const std::string& path, std::uint32_t vocab_size);

} // namespace plimsoll
