#include "checkpoint/shard_names.hpp"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>

#include "base/digit.hpp"

namespace plimsoll {
namespace {

constexpr std::size_t kMinDigits = 5, kMaxDigits = 6;
constexpr std::string_view kOf = "-of-";

// Takes the digits at the end of `text`.
std::string_view trailing_digits(std::string_view text) {
  std::size_t begin = text.size();
  while (begin > 0 && is_digit(text[begin - 1])) --begin;
  return text.substr(begin);
}

bool read(std::string_view digits, std::uint32_t& value) {
  if (digits.size() < kMinDigits || digits.size() > kMaxDigits) return false;
  return std::from_chars(digits.data(), digits.data() + digits.size(), value).ec == std::errc{};
}

} // namespace

std::optional<ShardName> parse_shard_name(std::string_view file_name) {
  ShardName name;
  const std::size_t dot = file_name.rfind('.');
  if (dot == std::string_view::npos) return std::nullopt;
  name.extension = file_name.substr(dot);
  std::string_view rest = file_name.substr(0, dot);
  name.count_text = trailing_digits(rest);
  rest.remove_suffix(name.count_text.size());
  if (!rest.ends_with(kOf)) return std::nullopt;
  rest.remove_suffix(kOf.size());
  name.number_text = trailing_digits(rest);
  rest.remove_suffix(name.number_text.size());
  name.stem = rest;
  if (!read(name.count_text, name.count) || !read(name.number_text, name.number)) return std::nullopt;
  if (name.count == 0 || name.number > name.count) return std::nullopt;
  return name;
}

std::string with_number(const ShardName& name, std::uint32_t number) {
  return fmt::format("{}{:0{}}{}{}{}", name.stem, number, name.number_text.size(), kOf, name.count_text, name.extension);
}

std::vector<std::string> missing_shards(const std::vector<std::string>& present) {
  constexpr std::size_t kNamedAtMost = 8;
  std::vector<std::string> missing;
  if (present.empty()) return missing;
  const auto some = parse_shard_name(present.front());
  if (!some) return missing;
  const auto have = [&present](const std::string& name) { return std::binary_search(present.begin(), present.end(), name); };
  // Files numbered from 0 end with count - 1 or, where the last number was taken for the count, with count.
  const bool from_zero = have(with_number(*some, 0));
  const std::uint32_t last = from_zero ? some->count - 1 : some->count;
  for (std::uint32_t number = from_zero ? 0 : 1; number <= last && missing.size() < kNamedAtMost; ++number)
    if (std::string name = with_number(*some, number); !have(name)) missing.push_back(std::move(name));
  return missing;
}

} // namespace plimsoll
