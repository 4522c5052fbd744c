// Lines that a terminal or a form cut at a column, put together again. Never believes that a text was cut where it need not be: lines
// that begin as an engine's own lines do are begun anew. Threads: pure functions.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll {

struct JoinedLine {
  std::string text;
  std::size_t number = 1; // of its first line in an editor
};

// Where lines are cut: at the column, through words and numbers, or before the first word that has no room.
enum class CutAt { kColumn, kWord };

// The lines of a text, joined where they may have been cut; nothing where no column can have cut them, or too long a line would come out.
// Which way it was, if any, who understands the lines has to tell.
std::optional<std::vector<JoinedLine>> joined_lines(std::string_view text, CutAt cut_at);

} // namespace plimsoll
