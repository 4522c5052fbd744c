// Steps that change a text before it is split: what tokenizer files call normalizers, and the spaces that some pre-tokenizers put in front.
// Never makes a text much longer than it was, whatever a file says. Threads: pure functions on immutable values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "plimsoll/result.hpp"
#include "tokenizer/bert_text.hpp"
#include "tokenizer/pattern.hpp"

namespace plimsoll {

enum class UnicodeForm : std::uint8_t { kNfc, kNfd, kNfkc, kNfkd };

struct PrependStep {
  std::string text;
  bool only_at_start = false; // of the whole text
  bool unless_there = false;  // not where the text begins with it
};
struct ReplaceStep {
  Pattern pattern;
  std::string content;
};
struct StripStep { // of white space
  bool left = false, right = false;
};
using TextStep = std::variant<UnicodeForm, PrependStep, ReplaceStep, StripStep, BertStep>;

// `part` after all steps; `at_start`: it stands at the beginning of the whole text. Bytes that are no UTF-8 stay as they are. kBadRequest
// where a step takes too long or makes the text more than 32 times longer.
Result<std::string> apply_steps(const std::vector<TextStep>& steps, std::string_view part, bool at_start);

} // namespace plimsoll
