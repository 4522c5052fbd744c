// What a text is searched for: a plain text, or a regular expression as tokenizer files write them (Oniguruma's syntax, which PCRE2 reads
// alike but for the few constructs that are refused). The one file beside pattern.cpp that knows PCRE2.
// Never hangs: a search that costs far more than its text is long ends with an error. Threads: const functions from any thread at once.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "plimsoll/result.hpp"

namespace plimsoll {

// Bytes [begin, end) of a text.
struct Span {
  std::size_t begin = 0, end = 0;
};

class Pattern {
public:
  static constexpr std::size_t kMaxPatternBytes = 4096; // the longest published one has some 1,500

  static Pattern plain(std::string text);
  // The message of an error says what is wrong with the expression; `where` is left to the caller.
  static Result<Pattern> regex(const std::string& expression);

  // The matches from left to right, without overlap; of a regular expression also empty ones. Bytes that are no UTF-8 match no regular
  // expression and end the text before them. kBadRequest where the search takes too long.
  Result<std::vector<Span>> matches(std::string_view text) const;

private:
  struct Code; // a compiled expression

  std::string plain_;
  std::shared_ptr<const Code> code_; // null: plain_ is searched for
};

} // namespace plimsoll
