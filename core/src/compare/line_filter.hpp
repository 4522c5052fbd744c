// Which of many patterns a line may match: each has a word that stands in every line of it, and one pass over the line finds
// the words of all. Never says no to a line that matches. Threads: one LineFilter a thread; it keeps marks of the last line.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace plimsoll {

class LineFilter {
public:
  // `words`: one for each pattern; they outlive the filter.
  explicit LineFilter(const std::vector<std::string_view>& words);
  // The patterns whose word stands in the line, ascending; valid until the next call.
  const std::vector<std::uint32_t>& look(std::string_view line);

private:
  struct Word {
    std::string_view text;
    std::vector<std::uint32_t> patterns;
    std::uint64_t seen = 0; // the last line that had it
  };
  std::vector<std::uint16_t> starts_;     // the first two characters of a word -> 1 + its place in groups_; 0: none
  std::vector<std::vector<Word>> groups_; // words that begin alike
  std::vector<std::uint32_t> always_;     // patterns whose word is too short to look for
  std::vector<std::uint32_t> found_;
  std::uint64_t line_ = 0;
};

} // namespace plimsoll
