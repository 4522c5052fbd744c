// Release strings of engines and their order: "0.8.5.post1", "0.26.1rc1.dev608", "b6900", "3597 (127c6ee6)".
// The rules of a profile say from which release they hold. Never knows an engine. Threads: plain values.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace plimsoll {

// Ordered as Python orders versions: 1.0.dev2 < 1.0a1 < 1.0rc1.dev3 < 1.0rc1 < 1.0 = 1.0.0 < 1.0.post1. A build number is a
// release of one number.
struct Release {
  std::vector<std::uint64_t> numbers; // no zeros at the end
  // 0 development, 1 alpha, 2 beta, 3 candidate, 4 the release itself, 5 after it; its number; the development build of it.
  std::uint32_t stage = 4;
  std::uint64_t stage_number = 0, build = UINT64_MAX;
  auto operator<=>(const Release&) const = default;
};

// "v" or "b" may stand in front, "+local" and " (hash)" behind; nothing where the text is no release.
std::optional<Release> parse_release(std::string_view text);

} // namespace plimsoll
