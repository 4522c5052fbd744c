#include "engine/release.hpp"

#include <array>
#include <charconv>

namespace plimsoll {
namespace {

constexpr std::size_t kMaxText = 64;

// Takes a number from the front of `text`.
std::optional<std::uint64_t> take_number(std::string_view& text) {
  std::uint64_t value = 0;
  const auto [stop, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (status != std::errc() || stop == text.data()) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(stop - text.data()));
  return value;
}

bool take(std::string_view& text, std::string_view word) {
  if (!text.starts_with(word)) return false;
  text.remove_prefix(word.size());
  return true;
}

struct Stage {
  std::string_view word;
  std::uint32_t stage;
};
constexpr std::array<Stage, 5> kStages{{{"rc", 3}, {"post", 5}, {"dev", 0}, {"a", 1}, {"b", 2}}};

} // namespace

std::optional<Release> parse_release(std::string_view text) {
  if (text.size() > kMaxText) return std::nullopt;
  text = text.substr(0, text.find(' '));
  text = text.substr(0, text.find('+'));
  if (!text.empty() && (text.front() == 'v' || text.front() == 'b')) text.remove_prefix(1);
  Release release;
  do {
    const auto number = take_number(text);
    if (!number) return std::nullopt;
    release.numbers.push_back(*number);
  } while (text.size() > 1 && text[0] == '.' && text[1] >= '0' && text[1] <= '9' && take(text, "."));
  while (!text.empty()) {
    take(text, ".") || take(text, "-");
    bool known = false;
    for (const Stage& stage : kStages) {
      if (!take(text, stage.word)) continue;
      known = true;
      const std::uint64_t number = take_number(text).value_or(0);
      if (stage.stage == 0 && release.stage != 4) release.build = number; // a build of a candidate
      else {
        release.stage = stage.stage;
        release.stage_number = number;
      }
      break;
    }
    if (!known) return std::nullopt;
  }
  while (release.numbers.size() > 1 && release.numbers.back() == 0) release.numbers.pop_back();
  return release;
}

} // namespace plimsoll
