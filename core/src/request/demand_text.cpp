// Requests that have to be held at once, as people write them: see plimsoll/fit.hpp. Called by whoever reads --for. Threads: pure
// functions.
#include <charconv>
#include <fmt/format.h>

#include "base/human.hpp"
#include "base/printable.hpp"
#include "plimsoll/fit.hpp"
#include "plimsoll/limits.hpp"

namespace plimsoll {
namespace {

std::optional<std::uint64_t> whole_number(std::string_view text) {
  std::uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, status] = std::from_chars(text.data(), end, value);
  return text.empty() || stop != end || status != std::errc() ? std::nullopt : std::optional(value);
}

std::optional<std::uint64_t> within(std::optional<std::uint64_t> value, std::uint64_t most) {
  return value && *value >= 1 && *value <= most ? value : std::nullopt;
}

std::string_view without_blanks(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

} // namespace

Result<std::vector<FitDemand>> read_demand(std::string_view text, const std::string& where) {
  std::vector<FitDemand> out;
  std::string_view rest = text;
  while (out.size() < kMaxFitDemands) {
    const std::size_t comma = rest.find(',');
    const std::string_view part = without_blanks(rest.substr(0, comma));
    const std::size_t x = part.find_first_of("xX");
    const bool one = x == std::string_view::npos;
    const auto requests = one ? std::optional<std::uint64_t>(1) : within(whole_number(without_blanks(part.substr(0, x))), kMaxSequences);
    const auto length = within(parse_tokens(without_blanks(one ? part : part.substr(x + 1))), kMaxTokens);
    if (!requests || !length)
      return fail(
          ErrorCode::kBadRequest,
          fmt::format("'{}' is not REQUESTSxTOKENS; give lists such as 64x8K,4x128K; K is 1,024 tokens, k 1,000", printable_text(part, 60)),
          where);
    out.push_back({*requests, *length});
    if (comma == std::string_view::npos) return out;
    rest.remove_prefix(comma + 1);
  }
  return fail(ErrorCode::kBadRequest, fmt::format("more than {} kinds of requests", kMaxFitDemands), where);
}

} // namespace plimsoll
