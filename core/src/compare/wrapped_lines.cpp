#include "compare/wrapped_lines.hpp"

#include <algorithm>
#include <array>

#include "base/digit.hpp"

namespace plimsoll {
namespace {

// A column that cuts is no narrower than a form and no wider than a terminal.
constexpr std::size_t kLeastColumn = 60, kMostColumn = 240;
constexpr std::size_t kMostJoinedBytes = 1U << 16, kMostLines = 100'000;

// Characters, not bytes: what goes on in a UTF-8 sequence is no column.
std::size_t columns(std::string_view line) {
  return static_cast<std::size_t>(
      std::count_if(line.begin(), line.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U; }));
}

// As engines begin a line: a level, a time, a process, a frame of a traceback.
bool begins_anew(std::string_view line) {
  if (line.find_first_not_of(" \t") == std::string_view::npos) return true;
  constexpr std::array<std::string_view, 8> kHeads{"INFO ",     "WARNING ",   "ERROR ",  "DEBUG ",
                                                   "CRITICAL ", "Traceback ", "  File ", "[TensorRT-LLM]"};
  if (std::any_of(kHeads.begin(), kHeads.end(), [&](std::string_view head) { return line.starts_with(head); })) return true;
  // (Worker_TP0 pid=101), [2026-09-11 23:34:03], [47161], 2026-05-08 11:47:02
  if (line[0] == '(') return line.substr(0, 48).find(" pid=") != std::string_view::npos;
  // llama_context: n_ctx = 8192
  const std::size_t name = static_cast<std::size_t>(
      std::find_if_not(line.begin(), line.end(), [](char c) { return c == '_' || (c >= 'a' && c <= 'z'); }) - line.begin());
  if (line.substr(name).starts_with(": ") && line.substr(0, name).find('_') != std::string_view::npos) return true;
  const bool bracket = line[0] == '[';
  if (bracket) line.remove_prefix(1);
  const std::size_t digits = static_cast<std::size_t>(std::find_if_not(line.begin(), line.end(), is_digit) - line.begin());
  const char after = digits < line.size() ? line[digits] : '\0';
  return ((digits == 2 || digits == 4) && (after == '-' || after == '/')) || (bracket && digits > 0 && after == ']');
}

struct Cut {
  std::string_view text;
  std::size_t columns = 0, number = 1;
};

std::vector<Cut> lines_of(std::string_view text) {
  std::vector<Cut> out;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    out.push_back({line, columns(line), number});
  }
  return out;
}

// Whether the first word of `next` had no room behind `line`.
bool no_room(const Cut& line, const Cut& next, std::size_t column) {
  const std::string_view word = next.text.substr(0, next.text.find(' '));
  return line.columns + 1 + columns(word) > column;
}

} // namespace

std::optional<std::vector<JoinedLine>> joined_lines(std::string_view text, CutAt cut_at) {
  // One pass tells of most logs that no column cut them: a line is longer than any, or there are too many to care.
  std::size_t column = 0, count = 0;
  for (std::size_t at = 0; at < text.size(); ++count) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    if (count == kMostLines || end - at > kMostColumn * 4) return std::nullopt;
    column = std::max(column, columns(text.substr(at, end - at)));
    at = end + 1;
  }
  if (column < kLeastColumn || column > kMostColumn) return std::nullopt;
  const std::vector<Cut> lines = lines_of(text);
  const bool anywhere = cut_at == CutAt::kColumn;
  // One longest line stands in every text: that it was cut tell others of its length, or that terminals are as wide.
  const auto full = std::count_if(lines.begin(), lines.end(), [&](const Cut& line) { return line.columns == column; });
  if (anywhere && full < 2 && column % 20 != 0 && column != 132) return std::nullopt;
  std::vector<JoinedLine> out;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    // At a column a line is full but for a blank that was dropped; between words it has no room for the next.
    const bool cut = i > 0 && !begins_anew(lines[i].text) && no_room(lines[i - 1], lines[i], column) &&
                     (!anywhere || lines[i - 1].columns + 2 >= column);
    if (!cut) {
      out.push_back({std::string(lines[i].text), lines[i].number});
      continue;
    }
    std::string& whole = out.back().text;
    if (whole.size() + lines[i].text.size() > kMostJoinedBytes) return std::nullopt;
    if (!anywhere || lines[i - 1].columns < column) whole += ' '; // the blank at which it was cut
    whole += lines[i].text;
  }
  return out.size() == lines.size() ? std::nullopt : std::optional(std::move(out));
}

} // namespace plimsoll
