// Tables and bars of text. Knows nothing about plans.
// Never writes: everything is returned as lines. Threads: plain values.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "terminal.hpp"

namespace plimsoll::cli {

enum class Align { kLeft, kRight };

struct Column {
  std::string title;
  Align align = Align::kLeft;
  bool shrink = false; // may be cut to make the table fit; only for text
};

// Rows under a heading. A column whose cells are all empty is left out.
class Table {
public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}
  void row(std::vector<std::string> cells) { rows_.push_back({std::move(cells), {}}); }
  // A line under the last row, indented to the second column: a formula.
  void note(std::string text) { rows_.back().note = std::move(text); }
  bool empty() const { return rows_.empty(); }
  std::size_t width_columns() const;
  // Every line indented by `indent`, without trailing blanks.
  std::string render(const Style& style, std::size_t indent = 2) const;

private:
  struct Row {
    std::vector<std::string> cells;
    std::string note;
  };
  std::vector<std::size_t> widths() const;
  std::vector<Column> columns_;
  std::vector<Row> rows_;
};

// One part of a bar.
struct Segment {
  std::uint64_t amount = 0;
  std::string_view unicode, ascii; // one column each
  Paint paint = Paint::kPlain;
};

// The segments to scale in `width` columns, each rounded so that the whole is exact.
std::string bar(const std::vector<Segment>& segments, std::size_t width, const Style& style);

// A bar for each height from 0 to 1; a negative height is a blank. More heights than `width` columns are thinned out, the first and
// the last kept.
std::string sparkline(const std::vector<double>& heights, std::size_t width, const Style& style);

// "0-3,5": ranks in increasing order.
std::string rank_list(const std::vector<std::uint32_t>& ranks);

} // namespace plimsoll::cli
