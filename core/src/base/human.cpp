#include "base/human.hpp"

#include <array>
#include <fmt/format.h>

#include "base/checked.hpp"

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

} // namespace plimsoll
