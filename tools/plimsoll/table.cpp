// See table.hpp.
#include "table.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>

namespace plimsoll::cli {
namespace {

constexpr std::size_t kGap = 2, kLeastShrunk = 8;

// `text` in `width` columns; what is longer ends in two dots.
std::string fitted(const std::string& text, std::size_t width, Align align) {
  const std::size_t columns = columns_of(text);
  if (columns <= width) {
    const std::string blanks(width - columns, ' ');
    return align == Align::kLeft ? text + blanks : blanks + text;
  }
  std::string out;
  std::size_t taken = 0;
  for (std::size_t at = 0; at < text.size() && taken + 2 < width; ++taken) {
    out += text[at++];
    while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0U) == 0x80U) out += text[at++];
  }
  return out + "..";
}

void strip_right(std::string& line) {
  while (!line.empty() && line.back() == ' ') line.pop_back();
}

} // namespace

// Zero for a column without any content.
std::vector<std::size_t> Table::widths() const {
  std::vector<std::size_t> out(columns_.size(), 0);
  for (const Row& row : rows_)
    for (std::size_t at = 0; at < std::min(out.size(), row.cells.size()); ++at) out[at] = std::max(out[at], columns_of(row.cells[at]));
  for (std::size_t at = 0; at < out.size(); ++at)
    if (out[at] > 0) out[at] = std::max(out[at], columns_of(columns_[at].title));
  return out;
}

std::size_t Table::width_columns() const {
  std::size_t total = 0;
  for (const std::size_t width : widths()) total += width == 0 ? 0 : width + kGap;
  return total == 0 ? 0 : total - kGap;
}

std::string Table::render(const Style& style, std::size_t indent) const {
  std::vector<std::size_t> width = widths();
  const std::size_t room = style.width_columns > indent ? style.width_columns - indent : 0;
  for (std::size_t total = width_columns(); total > room;) {
    std::size_t widest = columns_.size();
    for (std::size_t at = 0; at < columns_.size(); ++at)
      if (columns_[at].shrink && width[at] > kLeastShrunk && (widest == columns_.size() || width[at] > width[widest])) widest = at;
    if (widest == columns_.size()) break;
    --width[widest];
    --total;
  }
  const auto line = [&](const auto& cell) {
    std::string out(indent, ' ');
    for (std::size_t at = 0; at < columns_.size(); ++at) {
      if (width[at] == 0) continue;
      out += fitted(cell(at), width[at], columns_[at].align);
      out.append(kGap, ' ');
    }
    strip_right(out);
    return out;
  };
  std::string out = style.paint(Paint::kDim, line([&](std::size_t at) { return columns_[at].title; })) + "\n";
  for (const Row& row : rows_) {
    out += line([&](std::size_t at) { return at < row.cells.size() ? row.cells[at] : std::string(); }) + "\n";
    if (!row.note.empty()) out += std::string(indent + kGap, ' ') + style.paint(Paint::kDim, row.note) + "\n";
  }
  return out;
}

std::string bar(const std::vector<Segment>& segments, std::size_t width, const Style& style) {
  long double total = 0;
  for (const Segment& segment : segments) total += static_cast<long double>(segment.amount);
  std::string out;
  if (total <= 0) return out;
  long double sum = 0;
  std::size_t drawn = 0;
  for (const Segment& segment : segments) {
    sum += static_cast<long double>(segment.amount);
    const auto end = std::min(width, static_cast<std::size_t>(sum / total * static_cast<long double>(width) + 0.5L));
    std::string cells;
    for (; drawn < end; ++drawn) cells += style.unicode ? segment.unicode : segment.ascii;
    if (!cells.empty()) out += style.paint(segment.paint, cells);
  }
  return out;
}

std::string sparkline(const std::vector<double>& heights, std::size_t width, const Style& style) {
  constexpr std::array<std::string_view, 8> kUnicode{"\u2581", "\u2582", "\u2583", "\u2584", "\u2585", "\u2586", "\u2587", "\u2588"};
  constexpr std::array<std::string_view, 8> kAscii{"_", ".", ":", "-", "=", "+", "*", "#"};
  const std::size_t drawn = std::min(width, heights.size());
  std::string out;
  for (std::size_t i = 0; i < drawn; ++i) {
    const double height = heights[drawn == 1 ? 0 : i * (heights.size() - 1) / (drawn - 1)];
    const auto level = static_cast<std::size_t>(std::clamp(height, 0.0, 1.0) * 7 + 0.5);
    out += height < 0 ? " " : style.unicode ? kUnicode[level] : kAscii[level];
  }
  return out;
}

std::string rank_list(const std::vector<std::uint32_t>& ranks) {
  std::string out;
  for (std::size_t at = 0; at < ranks.size();) {
    std::size_t last = at;
    while (last + 1 < ranks.size() && ranks[last + 1] == ranks[last] + 1) ++last;
    if (!out.empty()) out += ',';
    out += last == at ? fmt::format("{}", ranks[at]) : fmt::format("{}-{}", ranks[at], ranks[last]);
    at = last + 1;
  }
  return out;
}

} // namespace plimsoll::cli
