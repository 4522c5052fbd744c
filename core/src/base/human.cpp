#include "base/human.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>

#include "base/checked.hpp"
#include "base/digit.hpp"

namespace plimsoll {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t bytes;
};
constexpr std::array<Unit, 13> kUnits{{{"tib", 1ULL << 40},
                                       {"gib", 1ULL << 30},
                                       {"mib", 1ULL << 20},
                                       {"kib", 1ULL << 10},
                                       {"tb", 1'000'000'000'000ULL},
                                       {"gb", 1'000'000'000ULL},
                                       {"mb", 1'000'000ULL},
                                       {"kb", 1'000ULL},
                                       {"t", 1ULL << 40},
                                       {"g", 1ULL << 30},
                                       {"m", 1ULL << 20},
                                       {"k", 1ULL << 10},
                                       {"b", 1}}};

std::string lower(std::string_view text) {
  std::string out;
  for (const char c : text)
    if (c != ' ' && c != '_') out += (c >= 'A' && c <= 'Z') ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

} // namespace

std::string human_bytes(std::uint64_t bytes) {
  constexpr std::array<Unit, 4> shown{{{"TiB", 1ULL << 40}, {"GiB", 1ULL << 30}, {"MiB", 1ULL << 20}, {"KiB", 1ULL << 10}}};
  for (const Unit& unit : shown)
    if (bytes >= unit.bytes || unit.bytes == 1ULL << 10)
      return fmt::format("{:.2f} {}", static_cast<double>(bytes) / static_cast<double>(unit.bytes), unit.name);
  return {};
}

std::string human_signed_bytes(std::int64_t bytes) {
  if (bytes >= 0) return human_bytes(static_cast<std::uint64_t>(bytes));
  return "-" + human_bytes(0 - static_cast<std::uint64_t>(bytes));
}

std::string human_count(std::uint64_t count) {
  std::string digits = fmt::to_string(count);
  for (std::size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, 1, ',');
  return digits;
}

Result<std::uint64_t> parse_bytes(std::string_view text, const std::string& where) {
  const auto bad = [&] {
    return fail(ErrorCode::kBadRequest,
                fmt::format("'{}' is not a size; give bytes or a number with a unit such as 80GiB", text.substr(0, 64)), where);
  };
  std::string rest = lower(text.substr(0, 64));
  std::uint64_t unit = 1;
  for (const Unit& candidate : kUnits)
    if (rest.size() > candidate.name.size() && rest.ends_with(candidate.name)) {
      unit = candidate.bytes;
      rest.resize(rest.size() - candidate.name.size());
      break;
    }
  Checked whole = 0;
  std::uint64_t fraction = 0, scale = 1;
  bool point = false, any = false;
  for (const char c : rest) {
    if (c == '.' && !point) {
      point = true;
    } else if (c < '0' || c > '9') {
      return bad();
    } else if (!point) {
      whole = whole * 10 + static_cast<std::uint64_t>(c - '0');
      any = true;
    } else if (scale < 1'000'000'000ULL) {
      fraction = fraction * 10 + static_cast<std::uint64_t>(c - '0');
      scale *= 10;
      any = true;
    }
  }
  if (!any || text.size() > 64) return bad();
  const Checked bytes = whole * unit + mul_div(fraction, unit, scale);
  if (bytes.overflowed()) return fail(ErrorCode::kBadRequest, fmt::format("'{}' does not fit 64 bits", text), where);
  return bytes.value();
}

std::optional<std::uint64_t> parse_tokens(std::string_view text) {
  constexpr std::array<std::pair<char, std::uint64_t>, 6> kLetters{
      {{'k', 1'000}, {'K', 1ULL << 10}, {'m', 1'000'000}, {'M', 1ULL << 20}, {'g', 1'000'000'000}, {'G', 1ULL << 30}}};
  std::uint64_t unit = 1;
  for (const auto& [letter, tokens] : kLetters)
    if (text.ends_with(letter)) unit = tokens;
  if (unit != 1) text.remove_suffix(1);
  const std::size_t point = std::min(text.find('.'), text.size());
  const std::string_view whole = text.substr(0, point), tenths = text.substr(std::min(text.size(), point + 1));
  const auto digits = [](std::string_view part) {
    return !part.empty() && part.size() < 19 && std::all_of(part.begin(), part.end(), is_digit);
  };
  const bool decimal = point < text.size();
  if (!digits(whole) || (whole.size() > 1 && whole.front() == '0')) return std::nullopt;
  if (decimal && (!digits(tenths) || unit % 10 != 0)) return std::nullopt;
  Checked value = 0;
  for (const char c : whole) value = value * 10 + static_cast<std::uint64_t>(c - '0');
  value = value * unit;
  for (const char c : decimal ? tenths : std::string_view()) {
    const auto digit = static_cast<std::uint64_t>(c - '0');
    if (unit < 10 && digit != 0) return std::nullopt; // a part of a token
    unit /= 10;
    value += digit * unit;
  }
  if (value.overflowed() || value.value() > INT64_MAX) return std::nullopt;
  return value.value();
}

} // namespace plimsoll
