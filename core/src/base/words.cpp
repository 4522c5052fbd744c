#include "base/words.hpp"

#include <algorithm>

namespace plimsoll {

std::string lower_case(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return out;
}

bool matches_pattern(std::string_view text, std::string_view pattern) {
  const std::string low_text = lower_case(text), wanted = lower_case(pattern);
  if (wanted.find_first_of("*?") == std::string::npos) return low_text.find(wanted) != std::string::npos;
  // The last * takes as little as it can, and one more where what follows does not match.
  std::size_t at = 0, in = 0, star = std::string::npos, taken = 0;
  while (at < low_text.size()) {
    if (in < wanted.size() && wanted[in] == '*') {
      star = in++;
      taken = at;
    } else if (in < wanted.size() && (wanted[in] == '?' || wanted[in] == low_text[at])) {
      ++in;
      ++at;
    } else if (star != std::string::npos) {
      in = star + 1;
      at = ++taken;
    } else {
      return false;
    }
  }
  while (in < wanted.size() && wanted[in] == '*') ++in;
  return in == wanted.size();
}

} // namespace plimsoll
