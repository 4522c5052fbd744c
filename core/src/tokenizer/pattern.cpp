#include "tokenizer/pattern.hpp"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <optional>
#include <pcre2.h>
#include <utility>

#include "tokenizer/utf8.hpp"

namespace plimsoll {
namespace pcre {

template <auto function>
struct Freed {
  template <class T>
  void operator()(T* object) const {
    function(object);
  }
};
using CodePointer = std::unique_ptr<pcre2_code, Freed<pcre2_code_free>>;

} // namespace pcre

namespace {

using pcre::CodePointer;
using pcre::Freed;

using CompileContext = std::unique_ptr<pcre2_compile_context, Freed<pcre2_compile_context_free>>;
using MatchContext = std::unique_ptr<pcre2_match_context, Freed<pcre2_match_context_free>>;
using MatchData = std::unique_ptr<pcre2_match_data, Freed<pcre2_match_data_free>>;

constexpr std::uint32_t kHeapLimitKib = 128U << 10U;

// A match is looked for at few places at a time, in a window of the text and with few steps for each. Where window or steps do not do, the
// first place is tried again alone with eight times as much; what these later tries cost together is limited by the length of the text. So
// all searches of a text take time in proportion to it. (PCRE2 counts its steps anew at each place, and not those of a plain repetition.)
constexpr std::size_t kPlacesBytes = 64;
constexpr std::uint64_t kFirstWindowBytes = 512, kFirstSteps = 512, kMostSteps = 1U << 30U;
constexpr unsigned kGrowthBits = 3;
constexpr std::uint64_t kCostPerByte = 64, kFreeCost = 1U << 20U;

// Constructs that Oniguruma and PCRE2 read differently and that are therefore refused; the others that tokenizer files have mean the same.
Result<std::string> translated(const std::string& expression) {
  std::string out;
  bool in_class = false;
  for (std::size_t i = 0; i < expression.size(); ++i) {
    const char c = expression[i];
    const char next = i + 1 < expression.size() ? expression[i + 1] : '\0';
    if (c == '\\' && next != '\0') {
      if (std::string_view("hHgQO").find(next) != std::string_view::npos)
        return fail(ErrorCode::kBadConfig, fmt::format("'\\{}' in a regular expression is not supported", next));
      // Oniguruma's spaces are Unicode's White_Space; PCRE2's \s has U+180E beside them.
      if (next == 's' || next == 'S') out += next == 's' ? "\\p{White_Space}" : "\\P{White_Space}";
      else out.append({c, next});
      ++i;
      continue;
    }
    if (in_class && (c == '[' || (c == '&' && next == '&')))
      return fail(ErrorCode::kBadConfig, "sets inside sets of characters in a regular expression are not supported");
    if (c == '[') in_class = true;
    else if (c == ']') in_class = false;
    out += c;
  }
  return out;
}

std::string message_of(int code) {
  std::array<PCRE2_UCHAR, 256> text{};
  pcre2_get_error_message(code, text.data(), text.size());
  std::string out;
  for (const PCRE2_UCHAR c : text) {
    if (c == 0) break;
    out += static_cast<char>(c);
  }
  return out;
}

PCRE2_SPTR units(std::string_view text) { return reinterpret_cast<PCRE2_SPTR>(text.data()); }

} // namespace

struct Pattern::Code {
  pcre::CodePointer code;
};

namespace {

// The searches in one text.
class Search {
public:
  Search(const pcre2_code& code, std::uint64_t text_bytes)
      : code_(code), data_(pcre2_match_data_create(1, nullptr)), context_(pcre2_match_context_create(nullptr)),
        budget_(kFreeCost + kCostPerByte * text_bytes) {
    if (context_) pcre2_set_heap_limit(context_.get(), kHeapLimitKib);
  }

  // Appends the matches in a part of the text, which is UTF-8 from end to end.
  Result<void> run(std::string_view part, std::size_t part_begin, std::vector<Span>& matches) {
    if (!data_ || !context_) return fail(ErrorCode::kInternal, "no memory is left for a search");
    std::size_t from = 0;
    std::uint32_t options = PCRE2_NO_UTF_CHECK;
    while (from <= part.size()) {
      PLIMSOLL_ASSIGN(const std::optional<Span> match, next(part, from, options));
      if (!match) break;
      matches.push_back({part_begin + match->begin, part_begin + match->end});
      from = match->end;
      options = PCRE2_NO_UTF_CHECK | (match->begin == match->end ? PCRE2_NOTEMPTY_ATSTART : 0U);
    }
    return {};
  }

private:
  // The next match from `from` on.
  Result<std::optional<Span>> next(std::string_view part, std::size_t from, std::uint32_t options) {
    for (;; options = PCRE2_NO_UTF_CHECK) {
      std::size_t last_place = std::min(part.size(), from + kPlacesBytes);
      PLIMSOLL_ASSIGN(const std::optional<Span> match, at_places(part, from, last_place, options));
      if (match || last_place == part.size()) return match;
      for (from = last_place + 1; from < part.size() && !begins_character(part[from]);) ++from;
    }
  }

  // The next match that begins from `from` to `last_place`, which becomes less where less was looked at.
  Result<std::optional<Span>> at_places(std::string_view part, std::size_t from, std::size_t& last_place, std::uint32_t options) {
    std::uint64_t window_bytes = kFirstWindowBytes, steps = kFirstSteps;
    for (;;) {
      const std::size_t end = window_end(part, from, window_bytes);
      const std::uint32_t partial = end == part.size() ? 0 : PCRE2_PARTIAL_HARD;
      pcre2_set_offset_limit(context_.get(), last_place);
      pcre2_set_match_limit(context_.get(), static_cast<std::uint32_t>(steps));
      const int found = pcre2_match(&code_, units(part), end, from, options | partial, data_.get(), context_.get());
      if (found >= 0) {
        const PCRE2_SIZE* const bounds = pcre2_get_ovector_pointer(data_.get());
        return std::optional(Span{bounds[0], std::max(bounds[0], bounds[1])});
      }
      if (found == PCRE2_ERROR_NOMATCH) return std::optional<Span>();
      if (found != PCRE2_ERROR_PARTIAL && found != PCRE2_ERROR_MATCHLIMIT)
        return fail(ErrorCode::kBadRequest,
                    fmt::format("the tokenizer's pattern cannot be searched for in this text: {}", message_of(found)));
      std::uint64_t& grown = found == PCRE2_ERROR_PARTIAL ? window_bytes : steps;
      grown = std::min(grown << kGrowthBits, kMostSteps);
      if (grown > budget_) return fail(ErrorCode::kBadRequest, "the tokenizer's pattern takes too long on this text");
      budget_ -= grown;
      last_place = from;
    }
  }

  static bool begins_character(char byte) { return (static_cast<unsigned char>(byte) & 0xc0U) != 0x80U; }

  // Where the window ends: behind a character.
  static std::size_t window_end(std::string_view part, std::size_t from, std::uint64_t window_bytes) {
    if (part.size() - from <= window_bytes) return part.size();
    std::size_t end = from + static_cast<std::size_t>(window_bytes);
    while (!begins_character(part[end])) --end;
    return end;
  }

  const pcre2_code& code_;
  MatchData data_;
  MatchContext context_;
  std::uint64_t budget_;
};

} // namespace

Pattern Pattern::plain(std::string text) {
  Pattern pattern;
  pattern.plain_ = std::move(text);
  return pattern;
}

Result<Pattern> Pattern::regex(const std::string& expression) {
  if (expression.size() > kMaxPatternBytes)
    return fail(ErrorCode::kBadConfig,
                fmt::format("the regular expression has {} bytes, expected at most {}", expression.size(), kMaxPatternBytes));
  PLIMSOLL_ASSIGN(const std::string text, translated(expression));
  const CompileContext context(pcre2_compile_context_create(nullptr));
  if (!context) return fail(ErrorCode::kInternal, "no memory is left for a regular expression");
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  pcre2_set_parens_nest_limit(context.get(), 50);
  int code = 0;
  PCRE2_SIZE offset = 0;
  // Oniguruma's ^ and $ are those of lines.
  CodePointer compiled(pcre2_compile(units(text), text.size(),
                                     PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_USE_OFFSET_LIMIT | PCRE2_NEVER_BACKSLASH_C, &code,
                                     &offset, context.get()));
  if (!compiled) return fail(ErrorCode::kBadConfig, fmt::format("the regular expression is not understood: {}", message_of(code)));
  Pattern pattern;
  pattern.code_ = std::make_shared<const Code>(Code{std::move(compiled)});
  return pattern;
}

Result<std::vector<Span>> Pattern::matches(std::string_view text) const {
  std::vector<Span> found;
  if (!code_) {
    if (plain_.empty()) return found;
    for (std::size_t at = text.find(plain_); at != std::string_view::npos; at = text.find(plain_, at + plain_.size()))
      found.push_back({at, at + plain_.size()});
    return found;
  }
  Search search(*code_->code, text.size());
  PLIMSOLL_TRY(for_each_well_formed(
      text, [&](std::size_t begin, std::size_t end) { return search.run(text.substr(begin, end - begin), begin, found); }));
  return found;
}

} // namespace plimsoll
