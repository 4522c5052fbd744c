#include "tokenizer/split.hpp"

namespace plimsoll {
namespace {

struct Part {
  Span span;
  bool is_match = false;
};

// The whole text as parts that match and parts between them.
std::vector<Part> parts_of(const std::vector<Span>& matches, std::size_t text_bytes, bool inverted) {
  std::vector<Part> parts;
  parts.reserve(matches.size());
  std::size_t end = 0;
  for (const Span& match : matches) {
    if (end < match.begin) parts.push_back({{end, match.begin}, inverted});
    parts.push_back({match, !inverted});
    end = match.end;
  }
  if (end < text_bytes) parts.push_back({{end, text_bytes}, inverted});
  return parts;
}

// Whether `part` goes on with the word that ends in `before`.
bool joins(SplitBehavior behavior, const Part& before, const Part& part) {
  switch (behavior) {
  case SplitBehavior::kIsolated:
  case SplitBehavior::kRemoved: return false;
  case SplitBehavior::kMergedWithPrevious: return part.is_match && !before.is_match;
  case SplitBehavior::kMergedWithNext: return before.is_match && !part.is_match;
  case SplitBehavior::kContiguous: return part.is_match == before.is_match;
  }
  return false;
}

Result<void> split_word(const SplitStep& step, std::string_view text, Span word, std::vector<Span>& out) {
  PLIMSOLL_ASSIGN(const std::vector<Span> matches, step.pattern.matches(text.substr(word.begin, word.end - word.begin)));
  const Part* before = nullptr;
  const std::vector<Part> parts = parts_of(matches, word.end - word.begin, step.inverted);
  for (const Part& part : parts) {
    const Part* const last = before;
    before = &part;
    if (part.is_match && step.behavior == SplitBehavior::kRemoved) continue;
    if (part.span.begin == part.span.end) continue;
    if (last != nullptr && joins(step.behavior, *last, part) && last->span.begin < last->span.end)
      out.back().end = word.begin + part.span.end;
    else out.push_back({word.begin + part.span.begin, word.begin + part.span.end});
  }
  return {};
}

} // namespace

Result<std::vector<Span>> split_words(const std::vector<SplitStep>& steps, std::string_view text) {
  std::vector<Span> words;
  if (!text.empty()) words.push_back({0, text.size()});
  for (const SplitStep& step : steps) {
    std::vector<Span> cut;
    cut.reserve(words.size());
    for (const Span& word : words) PLIMSOLL_TRY(split_word(step, text, word, cut));
    words = std::move(cut);
  }
  return words;
}

} // namespace plimsoll
