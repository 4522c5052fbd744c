#include "runtime/token_positions.hpp"

#include <algorithm>
#include <array>

namespace plimsoll {

void write_token_positions(std::span<const MediaSpan> media, std::uint64_t begin, std::span<std::uint32_t> out) {
  const std::uint64_t end = begin + out.size() / 3;
  const auto write = [&](std::uint64_t token, const std::array<std::uint64_t, 3>& at) {
    for (std::size_t i = 0; i < at.size(); ++i) out[(token - begin) * 3 + i] = static_cast<std::uint32_t>(at[i]);
  };
  std::uint64_t token = 0, position = 0; // the next ones
  const auto text = [&](std::uint64_t until) {
    for (std::uint64_t t = std::max(token, begin); t < std::min(until, end); ++t) {
      const std::uint64_t at = position + (t - token);
      write(t, {at, at, at});
    }
    position += until - token;
    token = until;
  };
  for (const MediaSpan& span : media) {
    if (token >= end) return;
    if (span.rows == 0) continue;
    text(span.begin_tokens);
    const std::uint64_t after = span.begin_tokens + span.length_tokens;
    for (std::uint64_t t = std::max(token, begin); t < std::min(after, end); ++t) {
      const std::uint64_t in = t - token;
      write(t, {position, position + in / span.columns, position + in % span.columns});
    }
    token = after;
    position += std::max(span.rows, span.columns);
  }
  if (token < end) text(end);
}

} // namespace plimsoll
