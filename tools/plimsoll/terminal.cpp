// See terminal.hpp.
#include "terminal.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <sys/ioctl.h>
#include <unistd.h>

namespace plimsoll::cli {
namespace {

constexpr std::size_t kDefaultColumns = 100, kLeastColumns = 40, kMostColumns = 200;

std::string_view variable(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

bool colour_on(ColourChoice choice, int descriptor) {
  if (choice != ColourChoice::kAuto) return choice == ColourChoice::kAlways;
  return isatty(descriptor) == 1 && variable("NO_COLOR").empty() && variable("TERM") != "dumb";
}

bool utf8_locale() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const std::string_view value = variable(name);
    if (value.empty()) continue;
    std::string lower(value);
    std::transform(lower.begin(), lower.end(), lower.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    return lower.find("utf-8") != std::string::npos || lower.find("utf8") != std::string::npos;
  }
  return false;
}

// COLUMNS, which counts where there is no terminal to ask.
std::size_t columns_asked_for() {
  const std::string_view text = variable("COLUMNS");
  std::size_t columns = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), columns);
  return problem == std::errc() && end == text.data() + text.size() ? columns : kDefaultColumns;
}

} // namespace

std::string Style::paint(Paint paint, std::string_view text) const {
  constexpr std::array<std::string_view, 9> kCodes{"", "1", "2", "31", "32", "33", "34", "35", "36"};
  if (!colour || paint == Paint::kPlain) return std::string(text);
  std::string out = "\x1b[";
  out += kCodes[static_cast<std::size_t>(paint)];
  out += 'm';
  out += text;
  return out + "\x1b[0m";
}

Style output_style(ColourChoice choice, bool to_file) {
  Style style;
  style.colour = to_file ? choice == ColourChoice::kAlways : colour_on(choice, STDOUT_FILENO);
  style.unicode = utf8_locale();
  winsize size{};
  style.width_columns = std::clamp(columns_asked_for(), kLeastColumns, kMostColumns);
  if (!to_file && isatty(STDOUT_FILENO) == 1 && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
    style.width_columns = std::clamp<std::size_t>(size.ws_col, kLeastColumns, kMostColumns);
  return style;
}

bool error_colour(ColourChoice choice) { return colour_on(choice, STDERR_FILENO); }

std::string printable(std::string_view text) {
  std::string out(text);
  for (std::size_t at = 0; at < out.size(); ++at) {
    const auto byte = static_cast<unsigned char>(out[at]);
    if (byte < 0x20 || byte == 0x7f) out[at] = '?';
    // U+0080..U+009F: control characters that take two bytes.
    if (byte == 0xc2 && at + 1 < out.size() && static_cast<unsigned char>(out[at + 1]) < 0xa0) out[at] = out[at + 1] = '?';
  }
  return out;
}

std::size_t columns_of(std::string_view text) {
  std::size_t columns = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '\x1b') {
      while (at < text.size() && text[at] != 'm') ++at;
      continue;
    }
    if ((static_cast<unsigned char>(text[at]) & 0xc0U) != 0x80U) ++columns;
  }
  return columns;
}

} // namespace plimsoll::cli
