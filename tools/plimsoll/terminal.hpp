// What the terminal can show: colour, block characters, width. Asked once per run by the reports.
// Never writes. Threads: plain values.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace plimsoll::cli {

enum class Paint { kPlain, kBold, kDim, kRed, kGreen, kYellow, kBlue, kMagenta, kCyan };
enum class ColourChoice { kAuto, kAlways, kNever };

struct Style {
  bool colour = false;  // escape sequences are welcome
  bool unicode = false; // the locale is UTF-8
  std::size_t width_columns = 100;

  // `text` in that colour, or as it is where colours are off.
  std::string paint(Paint paint, std::string_view text) const;
};

// The style of standard output. kAuto: colour on a terminal, unless NO_COLOR is set or TERM is "dumb".
// `to_file`: the text goes to a file, so the terminal's width and colours do not count.
Style output_style(ColourChoice choice, bool to_file);
// Whether messages on standard error may carry colour.
bool error_colour(ColourChoice choice);

// Text from a model or a plugin without control characters, which could drive the terminal.
std::string printable(std::string_view text);
// Columns that `text` takes: code points, escape sequences not counted.
std::size_t columns_of(std::string_view text);

} // namespace plimsoll::cli
