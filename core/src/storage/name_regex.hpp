// A small regular expression that cannot run away: matched in steps proportional to pattern times name, no recursion on
// input. Serves the "re:" patterns of compressed-tensors and for globs with [sets].
// Knows literals, . [] \d \w \s * + ? {m,n} | () (?:) ^ $ and look-aheads at the very start; anything else is an error,
// never a guess. Threads: immutable after compile.
#pragma once

#include <bitset>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "plimsoll/result.hpp"

namespace plimsoll {

class NameRegex {
public:
  static constexpr std::size_t kMaxPatternBytes = 512;
  static constexpr std::size_t kMaxSteps = 1024;

  // kBadConfig at `where` for a pattern that is too long, malformed or uses what is not supported.
  static Result<NameRegex> compile(std::string_view pattern, const std::string& where);
  // Does the pattern match a beginning of `name` (Python's re.match)?
  bool match_start(std::string_view name) const;
  // Size of the compiled program, the cost per character of a name.
  std::size_t steps() const;

private:
  friend class NameRegexCompiler;
  enum class Op : std::uint8_t { kSet, kSplit, kJump, kBegin, kEnd, kMatch };
  struct Step {
    Op op = Op::kMatch;
    std::uint16_t x = 0, y = 0; // kSet: x = set; kSplit: x, y = targets; kJump: x = target
  };
  struct LookAhead {
    bool negative;
    std::vector<NameRegex> inner; // exactly one
  };
  std::vector<Step> steps_;
  std::vector<std::bitset<256>> sets_;
  std::vector<LookAhead> looks_;
};

} // namespace plimsoll
