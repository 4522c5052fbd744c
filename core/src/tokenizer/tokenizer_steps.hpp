// The small parts of a tokenizer.json: normalizer, pre_tokenizer, decoder, post_processor. Data of the kinds that serve language models;
// every other kind is refused by its name. Threads: pure functions.
#pragma once

#include "plimsoll/result.hpp"
#include "tokenizer/json_part.hpp"
#include "tokenizer/vocabulary_tokenizer.hpp"

namespace plimsoll {

// Fills steps, word_steps, splits and piece_text of `parts`, and prefix and suffix, whose ids are checked against `vocab_size`.
// `byte_level` says that pieces are written in the alphabet of byte_alphabet.hpp. kBadConfig names file and pointer.
Result<void> read_tokenizer_steps(const JsonPart& root, std::uint32_t vocab_size, VocabularyParts& parts, bool& byte_level);

} // namespace plimsoll
