#include "lint/source_text.hpp"

#include <fstream>
#include <iterator>

namespace plimsoll::lint {
namespace {

enum class Part { kCode, kLineComment, kComment, kString, kCharacter, kRawString, kDirective };

// Calls seen(part, at) for every byte.
template <class Seen>
void each_byte(std::string_view text, const Seen& seen) {
  Part part = Part::kCode;
  std::string raw_end;
  bool line_start = true;
  const auto starts = [&](std::size_t at, std::string_view what) { return text.substr(at, what.size()) == what; };
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    std::size_t length = 1; // bytes that belong together
    switch (part) {
    case Part::kCode:
      if (starts(at, "//")) part = Part::kLineComment;
      else if (starts(at, "/*")) {
        part = Part::kComment;
        length = 2;
      } else if (c == '"' && at > 0 && text[at - 1] == 'R') {
        const std::size_t open = text.find('(', at);
        raw_end = ")" + std::string(text.substr(at + 1, open - at - 1)) + "\"";
        part = Part::kRawString;
      } else if (c == '"') part = Part::kString;
      // 1'000'000 is a number.
      else if (c == '\'' && (at == 0 || std::isxdigit(static_cast<unsigned char>(text[at - 1])) == 0)) part = Part::kCharacter;
      else if (c == '#' && line_start) part = Part::kDirective;
      for (std::size_t i = 0; i < length; ++i) seen(part, at + i);
      at += length - 1;
      break;
    case Part::kLineComment:
      if (c == '\n') part = Part::kCode;
      seen(part, at);
      break;
    case Part::kDirective:
      if (starts(at, "//")) part = Part::kLineComment;
      else if (c == '\n' && text[at - 1] != '\\') part = Part::kCode;
      seen(part, at);
      break;
    case Part::kComment:
      seen(part, at);
      if (!starts(at, "*/")) break;
      seen(part, ++at);
      part = Part::kCode;
      break;
    case Part::kRawString:
      seen(part, at);
      if (!starts(at, raw_end)) break;
      for (std::size_t i = 1; i < raw_end.size(); ++i) seen(part, ++at);
      part = Part::kCode;
      break;
    case Part::kString:
    case Part::kCharacter:
      seen(part, at);
      if (c == '\\' && at + 1 < text.size()) seen(part, ++at);
      else if (c == (part == Part::kString ? '"' : '\'')) part = Part::kCode;
      break;
    }
    line_start = c == '\n' || (line_start && (c == ' ' || c == '\t'));
  }
}

bool ends_with_any(std::string_view path, std::initializer_list<std::string_view> endings) {
  for (const std::string_view ending : endings)
    if (path.ends_with(ending)) return true;
  return false;
}

// Comments behind a # that stands alone; "#include" in a script's text is none.
std::string_view hash_comment(std::string_view line) {
  for (std::size_t at = line.find('#'); at != std::string_view::npos; at = line.find('#', at + 1))
    if ((at == 0 || line[at - 1] == ' ' || line[at - 1] == '\t') && line.substr(at + 1).starts_with(' ')) return line.substr(at + 1);
  return {};
}

std::vector<Line> lines_of(std::string_view text) {
  std::vector<Line> out;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    out.push_back({out.size() + 1, std::string(text.substr(begin, end - begin))});
    begin = end + 1;
  }
  return out;
}

} // namespace

std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

bool is_c_source(std::string_view path) { return ends_with_any(path, {".cpp", ".hpp", ".c", ".h"}); }

std::vector<Line> prose_of(std::string_view path, std::string_view text) {
  if (path.ends_with(".md")) return lines_of(text);
  if (is_c_source(path)) {
    std::string comments(text.size(), ' ');
    each_byte(text, [&](Part part, std::size_t at) {
      if (part == Part::kComment || part == Part::kLineComment || text[at] == '\n') comments[at] = text[at];
    });
    return lines_of(comments);
  }
  const std::string_view name = path.substr(path.rfind('/') == std::string_view::npos ? 0 : path.rfind('/') + 1);
  if (!ends_with_any(path, {".cmake", ".txt", ".yaml", ".py", ".bash", ".sh"}) && name.find('.') != std::string_view::npos) return {};
  std::vector<Line> lines = lines_of(text);
  for (Line& line : lines) line.text = std::string(hash_comment(line.text));
  return lines;
}

std::string code_of(std::string_view text) {
  std::string code(text);
  each_byte(text, [&](Part part, std::size_t at) {
    if (part != Part::kCode && text[at] != '\n') code[at] = ' ';
  });
  return code;
}

} // namespace plimsoll::lint
