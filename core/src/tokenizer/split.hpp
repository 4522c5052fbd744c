// Cuts a text into the words that a vocabulary's rules then apply to: what tokenizer files call pre-tokenizers.
// Threads: pure functions on immutable values.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "plimsoll/result.hpp"
#include "tokenizer/pattern.hpp"

namespace plimsoll {

// What becomes of a match: a word of its own, nothing, part of the word before or behind it; or one word with the matches beside it.
enum class SplitBehavior : std::uint8_t { kIsolated, kRemoved, kMergedWithPrevious, kMergedWithNext, kContiguous };

struct SplitStep {
  Pattern pattern;
  SplitBehavior behavior = SplitBehavior::kIsolated;
  bool inverted = false; // what lies between matches counts as the match
};

// The words after all steps, each of which cuts every word of the one before; none is empty. Errors as of Pattern::matches.
Result<std::vector<Span>> split_words(const std::vector<SplitStep>& steps, std::string_view text);

} // namespace plimsoll
