#include "storage/json_node.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/nearest.hpp"
#include "storage/storage.hpp"

namespace plimsoll {

std::string Node::at(std::string_view key) const {
  std::string escaped;
  for (const char c : key.substr(0, 200)) {
    if (c == '~') escaped += "~0";
    else if (c == '/') escaped += "~1";
    else escaped += c;
  }
  return pointer + "/" + escaped;
}

Node Node::operator[](std::string_view key) const {
  const Json* found = nullptr;
  if (json && json->is_object())
    if (const auto it = json->find(std::string(key)); it != json->end()) found = &*it;
  return {found, at(key)};
}

Node Node::any(std::initializer_list<std::string_view> keys) const {
  for (const std::string_view key : keys)
    if (Node node = (*this)[key]; node.present()) return node;
  return (*this)[*keys.begin()];
}

tl::unexpected<Error> bad(const Node& node, std::string_view expected) {
  std::string found = "nothing";
  if (node.present()) {
    found = node.json->is_structured() ? fmt::format("a JSON {}", node.json->type_name())
                                       : node.json->dump(-1, ' ', false, Json::error_handler_t::replace).substr(0, 60);
  }
  return fail(ErrorCode::kBadConfig, fmt::format("{} instead of {}", found, expected), node.pointer);
}

std::string unknown_key(std::string_view key, const std::vector<std::string_view>& known) {
  const std::string meant = either(nearest(key, known, 1));
  return meant.empty() ? fmt::format("an unknown key; {} are known", fmt::join(known, ", "))
                       : fmt::format("an unknown key; did you mean {}?", meant);
}

Result<void> only(const Node& node, const std::vector<std::string_view>& known) {
  if (!node.present() || !node.json->is_object()) return bad(node, "keys and values");
  for (const auto& [key, value] : node.json->get_ref<const Json::object_t&>())
    if (std::find(known.begin(), known.end(), key) == known.end())
      return fail(ErrorCode::kBadConfig, unknown_key(key, known), node.at(key));
  return {};
}

Result<std::int64_t> integer(const Node& node, std::int64_t fallback, std::int64_t least, std::int64_t most) {
  if (!node.present()) return fallback;
  const std::string expected = fmt::format("an integer from {} to {}", least, most);
  if (!node.json->is_number_integer()) return bad(node, expected);
  if (node.json->is_number_unsigned() && node.json->get<std::uint64_t>() > static_cast<std::uint64_t>(most)) return bad(node, expected);
  const auto value = node.json->get<std::int64_t>();
  if (value < least || value > most) return bad(node, expected);
  return value;
}

Result<bool> boolean(const Node& node, bool fallback) {
  if (!node.present()) return fallback;
  if (!node.json->is_boolean()) return bad(node, "true or false");
  return node.json->get<bool>();
}

Result<std::string> text(const Node& node, std::string fallback) {
  if (!node.present()) return fallback;
  if (!node.json->is_string()) return bad(node, "a string");
  return node.json->get<std::string>();
}

Result<std::uint32_t> group_size(const Node& node, std::uint32_t fallback) {
  PLIMSOLL_ASSIGN(const std::int64_t value, integer(node, fallback, -1, kMaxBlockExtent));
  if (node.present() && value == 0) return bad(node, fmt::format("an integer from 1 to {}, or -1 for one group", kMaxBlockExtent));
  return value < 0 ? 0U : static_cast<std::uint32_t>(value);
}

Result<std::uint32_t> bits(const Node& node, std::uint32_t fallback, std::initializer_list<std::uint32_t> allowed) {
  PLIMSOLL_ASSIGN(const std::int64_t value, integer(node, fallback, 1, 64));
  if (std::find(allowed.begin(), allowed.end(), value) == allowed.end())
    return bad(node, fmt::format("one of {} bits", fmt::join(allowed, ", ")));
  return static_cast<std::uint32_t>(value);
}

Result<Block> block_size(const Node& node) {
  const std::string expected = fmt::format("two integers from 1 to {}, like [128, 128]", kMaxBlockExtent);
  std::array<std::int64_t, 2> sizes{};
  if (node.present() && node.json->is_string()) {
    const std::string s = node.json->get<std::string>();
    std::size_t i = 0;
    for (std::int64_t& size : sizes) {
      const std::size_t start = i;
      for (; i < s.size() && i - start < 8 && s[i] >= '0' && s[i] <= '9'; ++i) size = size * 10 + (s[i] - '0');
      if (&size == &sizes[0] && (i == start || i >= s.size() || s[i++] != 'x')) return bad(node, expected);
    }
    if (i != s.size()) return bad(node, expected);
  } else {
    if (!node.present() || !node.json->is_array() || node.json->size() != 2) return bad(node, expected);
    for (std::size_t i = 0; i < 2; ++i) {
      PLIMSOLL_ASSIGN(sizes[i], integer({&(*node.json)[i], node.at(std::to_string(i))}, 0, 1, kMaxBlockExtent));
    }
  }
  for (const std::int64_t size : sizes)
    if (size < 1 || size > kMaxBlockExtent) return bad(node, expected);
  return Block{static_cast<std::uint32_t>(sizes[0]), static_cast<std::uint32_t>(sizes[1])};
}

bool same_text(std::string_view a, std::string_view lower) {
  return std::equal(a.begin(), a.end(), lower.begin(), lower.end(),
                    [](char x, char y) { return (x >= 'A' && x <= 'Z' ? static_cast<char>(x - 'A' + 'a') : x) == y; });
}

} // namespace plimsoll
