#include "tokenizer/text_steps.hpp"

#include <algorithm>
#include <cstdlib>
#include <fmt/format.h>
#include <memory>
#include <utf8proc.h>

#include "tokenizer/utf8.hpp"
#include "tokenizer/white_space.hpp"

namespace plimsoll {
namespace {

constexpr std::size_t kMaxGrowth = 32, kFreeBytes = 4096;
constexpr std::size_t kMaxMarks = 256; // combining marks in a row that are ordered together: the library's time grows with their square

int options_of(UnicodeForm form) {
  switch (form) {
  case UnicodeForm::kNfc: return UTF8PROC_STABLE | UTF8PROC_COMPOSE;
  case UnicodeForm::kNfd: return UTF8PROC_STABLE | UTF8PROC_DECOMPOSE;
  case UnicodeForm::kNfkc: return UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT;
  case UnicodeForm::kNfkd: return UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT;
  }
  return 0;
}

Result<void> append_form(UnicodeForm form, std::string_view text, std::string& out) {
  struct Free {
    void operator()(utf8proc_uint8_t* bytes) const { std::free(bytes); } // utf8proc_map says: with free
  };
  utf8proc_uint8_t* raw = nullptr;
  const utf8proc_ssize_t length_bytes =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()), static_cast<utf8proc_ssize_t>(text.size()), &raw,
                   static_cast<utf8proc_option_t>(options_of(form)));
  const std::unique_ptr<utf8proc_uint8_t, Free> bytes(raw);
  if (length_bytes < 0)
    return fail(ErrorCode::kBadRequest, fmt::format("the text cannot be brought into its Unicode form: {}", utf8proc_errmsg(length_bytes)));
  out.append(reinterpret_cast<const char*>(bytes.get()), static_cast<std::size_t>(length_bytes));
  return {};
}

// A well-formed text, cut where more marks follow one another than any writing has.
Result<void> append_forms(UnicodeForm form, std::string_view text, std::string& out) {
  std::size_t begin = 0, marks = 0;
  for (std::size_t at = 0; at < text.size();) {
    const CodePoint point = code_point_at(text, at);
    at += point.length_bytes;
    marks = utf8proc_get_property(static_cast<utf8proc_int32_t>(point.value))->combining_class == 0 ? 0 : marks + 1;
    if (marks < kMaxMarks) continue;
    PLIMSOLL_TRY(append_form(form, text.substr(begin, at - begin), out));
    begin = at;
    marks = 0;
  }
  return append_form(form, text.substr(begin), out);
}

struct Apply {
  std::string text;
  std::size_t most_bytes;
  bool at_start;

  Result<void> operator()(UnicodeForm form) {
    const auto is_ascii = [](char c) { return static_cast<unsigned char>(c) < 0x80U; };
    if (std::all_of(text.begin(), text.end(), is_ascii)) return {};
    std::string out;
    std::size_t copied = 0;
    PLIMSOLL_TRY(for_each_well_formed(text, [&](std::size_t begin, std::size_t end) {
      out.append(text, copied, begin - copied);
      copied = end;
      return append_forms(form, std::string_view(text).substr(begin, end - begin), out);
    }));
    out.append(text, copied);
    text = std::move(out);
    return {};
  }
  Result<void> operator()(const PrependStep& step) {
    if (text.empty() || (step.only_at_start && !at_start) || (step.unless_there && text.starts_with(step.text))) return {};
    text.insert(0, step.text);
    return {};
  }
  Result<void> operator()(const ReplaceStep& step) {
    PLIMSOLL_ASSIGN(const std::vector<Span> matches, step.pattern.matches(text));
    if (matches.empty()) return {};
    std::string out;
    std::size_t copied = 0;
    for (const Span& match : matches) {
      out.append(text, copied, match.begin - copied).append(step.content);
      copied = match.end;
      if (out.size() > most_bytes) break; // an error below
    }
    out.append(text, copied);
    text = std::move(out);
    return {};
  }
  Result<void> operator()(const BertStep& step) {
    text = bert_cleaned(step, text);
    if (step.strips_accents) PLIMSOLL_TRY((*this)(UnicodeForm::kNfd));
    if (step.strips_accents || step.lowers) text = bert_lowered(step, text);
    return {};
  }
  Result<void> operator()(const StripStep& step) {
    const std::size_t begin = step.left ? white_space_at_start(text) : 0;
    const std::size_t end = step.right && begin < text.size() ? text.size() - white_space_at_end(text) : text.size();
    text = text.substr(begin, end - begin);
    return {};
  }
};

} // namespace

Result<std::string> apply_steps(const std::vector<TextStep>& steps, std::string_view part, bool at_start) {
  Apply apply{std::string(part), kFreeBytes + kMaxGrowth * part.size(), at_start};
  for (const TextStep& step : steps) {
    PLIMSOLL_TRY(std::visit(apply, step));
    if (apply.text.size() > apply.most_bytes)
      return fail(ErrorCode::kBadRequest,
                  fmt::format("the tokenizer's steps make {} bytes of text more than {} times longer", part.size(), kMaxGrowth));
  }
  return std::move(apply.text);
}

} // namespace plimsoll
