#include "compare/line_filter.hpp"

#include <algorithm>

namespace plimsoll {
namespace {

constexpr std::size_t kPairs = std::size_t{1} << 16;

std::size_t pair_at(std::string_view text, std::size_t at) {
  return static_cast<std::size_t>(static_cast<unsigned char>(text[at])) << 8 | static_cast<unsigned char>(text[at + 1]);
}

} // namespace

LineFilter::LineFilter(const std::vector<std::string_view>& words) : starts_(kPairs, 0) {
  for (std::uint32_t pattern = 0; pattern < words.size(); ++pattern) {
    const std::string_view text = words[pattern];
    if (text.size() < 2) {
      always_.push_back(pattern);
      continue;
    }
    std::uint16_t& start = starts_[pair_at(text, 0)];
    if (start == 0) {
      groups_.emplace_back();
      start = static_cast<std::uint16_t>(groups_.size());
    }
    std::vector<Word>& group = groups_[start - 1U];
    auto word = std::find_if(group.begin(), group.end(), [&](const Word& known) { return known.text == text; });
    if (word == group.end()) word = group.insert(group.end(), Word{text, {}});
    word->patterns.push_back(pattern);
  }
}

const std::vector<std::uint32_t>& LineFilter::look(std::string_view line) {
  found_ = always_;
  ++line_;
  for (std::size_t at = 0; at + 1 < line.size(); ++at) {
    const std::uint16_t start = starts_[pair_at(line, at)];
    if (start == 0) continue;
    for (Word& word : groups_[start - 1U])
      if (word.seen != line_ && line.substr(at).starts_with(word.text)) {
        word.seen = line_;
        found_.insert(found_.end(), word.patterns.begin(), word.patterns.end());
      }
  }
  std::sort(found_.begin(), found_.end());
  return found_;
}

} // namespace plimsoll
