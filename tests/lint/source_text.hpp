// The two halves of a source text: what people read (comments, Markdown) and what compilers read. Knows quotes and comments of
// C and C++ and the # of everything else; no grammar. Threads: pure functions.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::lint {

struct Line {
  std::size_t number = 0; // from 1
  std::string text;
};

std::string read_file(const std::filesystem::path& path);

// .cpp, .hpp, .c and .h.
bool is_c_source(std::string_view path);

// Lines of comments, and of Markdown all lines; empty for data.
std::vector<Line> prose_of(std::string_view path, std::string_view text);

// C or C++ with comments, literals and directives turned into blanks, line for line and byte for byte.
std::string code_of(std::string_view text);

} // namespace plimsoll::lint
