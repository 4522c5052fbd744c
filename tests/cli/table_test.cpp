// Tables, bars and wrapped text of the reports, without the program around them.
#include "plimsoll/table.hpp"

#include <gtest/gtest.h>

#include "plimsoll/report.hpp"

namespace plimsoll::cli {
namespace {

TEST(Table, ColumnsFitTheirContentAndEmptyOnesDisappear) {
  Table table({{"name"}, {"nothing"}, {"bytes", Align::kRight}});
  table.row({"a", "", "1"});
  table.row({"bcd", "", "1,000"});
  EXPECT_EQ(table.render({}), "  name  bytes\n  a         1\n  bcd   1,000\n");
}

TEST(Table, OnlyTextIsCutToFit) {
  Table table({{"name", Align::kLeft, true}, {"bytes", Align::kRight}});
  table.row({"a very long name of something", "123,456,789"});
  Style style;
  style.width_columns = 30;
  EXPECT_EQ(table.render(style), "  name                   bytes\n  a very long n..  123,456,789\n");
}

TEST(Bar, IsToScaleAndExactlyAsWideAsAsked) {
  const std::vector<Segment> segments{{50, "\u2588", "W", Paint::kBlue}, {25, "\u2591", "K", Paint::kGreen}, {25, " ", " ", Paint::kPlain}};
  Style style;
  EXPECT_EQ(bar(segments, 8, style), "WWWWKK  ");
  style.unicode = true;
  EXPECT_EQ(bar(segments, 4, style), "\u2588\u2588\u2591 ");
  EXPECT_EQ(columns_of(bar(segments, 77, style)), 77U);
  EXPECT_EQ(bar({{UINT64_MAX, "W", "W", Paint::kPlain}, {UINT64_MAX, "K", "K", Paint::kPlain}}, 4, {}), "WWKK");
  EXPECT_EQ(bar({}, 8, style), "");
}

TEST(Sparkline, HasABarForEachHeightAndKeepsBothEnds) {
  Style style;
  EXPECT_EQ(sparkline({0, 0.5, 1, -1, 2}, 9, style), "_=# #");
  EXPECT_EQ(sparkline({1, 0.9, 0.8, 0.2, 0.1, 0}, 3, style), "#*_");
  EXPECT_EQ(sparkline({0.3, 1}, 1, style), ":");
  EXPECT_EQ(sparkline({}, 9, style), "");
  style.unicode = true;
  EXPECT_EQ(sparkline({0, 1}, 9, style), "\u2581\u2588");
}

TEST(Text, RanksColumnsAndControlCharacters) {
  EXPECT_EQ(rank_list({0, 1, 2, 5, 7, 8}), "0-2,5,7-8");
  EXPECT_EQ(columns_of("\x1b[31m\u2588x\x1b[0m"), 2U);
  EXPECT_EQ(printable("a\x1b[2J\nb\u00e9\xc2\x9b"), "a?[2J?b\u00e9??");
}

TEST(Text, ParagraphsBreakAtBlanks) {
  Style style;
  style.width_columns = 12;
  EXPECT_EQ(paragraph("one two three four", style, 2), "  one two\n    three\n    four\n");
}

// A shell reads the lines as the one line that they were.
TEST(Text, CommandsGoOnWithABackslash) {
  Style style;
  style.width_columns = 31;
  EXPECT_EQ(shell_lines("plimsoll plan m --devices 2xH100 --tp 2 --set 'engine.a=b c'", style, 4),
            "    plimsoll plan m \\\n      --devices 2xH100 --tp 2 \\\n      --set 'engine.a=b c'\n");
  EXPECT_EQ(shell_lines("plimsoll plan 'it'\\''s mine'", style, 0), "plimsoll plan 'it'\\''s mine'\n");
  EXPECT_EQ(shell_lines("a --frontier --quiet", style, 0), "a --frontier --quiet\n");
  EXPECT_EQ(shell_lines("", style, 4), "");
}

} // namespace
} // namespace plimsoll::cli
