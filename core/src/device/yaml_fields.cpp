// See yaml_fields.hpp. yaml-cpp throws on bad documents; nothing of that leaves this file.
#include "device/yaml_fields.hpp"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include "base/human.hpp"

namespace plimsoll {
namespace {

std::string_view kind_of(const YAML::Node& node) {
  switch (node.Type()) {
  case YAML::NodeType::Scalar: return "a single value";
  case YAML::NodeType::Sequence: return "a list";
  case YAML::NodeType::Map: return "a mapping";
  default: return "nothing";
  }
}

} // namespace

Result<YAML::Node> parse_yaml(const std::string& text, const std::string& origin, std::size_t max_bytes) {
  if (text.size() > max_bytes)
    return fail(ErrorCode::kBadRequest, fmt::format("the file has {} bytes; at most {} are read", text.size(), max_bytes), origin);
  try {
    YAML::Node node = YAML::Load(text);
    if (!node || node.IsNull()) return fail(ErrorCode::kBadRequest, "the file is empty; a list of devices was expected", origin);
    return node;
  } catch (const YAML::Exception& problem) {
    return fail(ErrorCode::kBadRequest, fmt::format("this is not YAML: {}", problem.msg),
                problem.mark.is_null() ? origin : fmt::format("{}:{}", origin, problem.mark.line + 1));
  }
}

Result<YamlFields> YamlFields::open(const YAML::Node& node, std::string where, std::initializer_list<std::string_view> known) {
  if (!node.IsMap()) return fail(ErrorCode::kBadRequest, fmt::format("found {}, expected a mapping of keys", kind_of(node)), where);
  YamlFields out;
  out.where_ = std::move(where);
  for (const auto& entry : node) {
    if (!entry.first.IsScalar())
      return fail(ErrorCode::kBadRequest, fmt::format("a key is {}, expected a word", kind_of(entry.first)), out.where_);
    const std::string& key = entry.first.Scalar();
    if (std::find(known.begin(), known.end(), key) == known.end())
      return fail(ErrorCode::kBadRequest, fmt::format("unknown key '{}'; known are {}", key.substr(0, 64), fmt::join(known, ", ")),
                  out.where_);
    if (out.node(key)) return fail(ErrorCode::kBadRequest, fmt::format("key '{}' stands here twice; remove one", key), out.where_);
    out.fields_.emplace_back(key, entry.second);
  }
  return out;
}

std::optional<YAML::Node> YamlFields::node(std::string_view key) const {
  for (const auto& [name, value] : fields_)
    if (name == key) return value;
  return std::nullopt;
}

Result<std::optional<std::string>> YamlFields::text(std::string_view key) const {
  const auto found = node(key);
  if (!found || found->IsNull()) return std::nullopt;
  if (!found->IsScalar()) return fail(ErrorCode::kBadRequest, fmt::format("found {}, expected a single value", kind_of(*found)), at(key));
  return found->Scalar();
}

Result<std::optional<std::uint64_t>> YamlFields::bytes(std::string_view key) const {
  PLIMSOLL_ASSIGN(const std::optional<std::string> value, text(key));
  if (!value) return std::nullopt;
  PLIMSOLL_ASSIGN(const std::uint64_t size, parse_bytes(*value, at(key)));
  return size;
}

Result<std::optional<std::uint64_t>> YamlFields::count(std::string_view key) const {
  PLIMSOLL_ASSIGN(const std::optional<std::string> value, text(key));
  if (!value) return std::nullopt;
  std::uint64_t number = 0;
  const auto [end, problem] = std::from_chars(value->data(), value->data() + value->size(), number);
  if (problem != std::errc() || end != value->data() + value->size())
    return fail(ErrorCode::kBadRequest, fmt::format("'{}' is not a whole number", value->substr(0, 64)), at(key));
  return number;
}

Result<std::vector<std::string>> YamlFields::texts(std::string_view key) const {
  std::vector<std::string> out;
  const auto found = node(key);
  if (!found || found->IsNull()) return out;
  if (!found->IsSequence()) return fail(ErrorCode::kBadRequest, fmt::format("found {}, expected a list", kind_of(*found)), at(key));
  for (const auto& entry : *found) {
    if (!entry.IsScalar())
      return fail(ErrorCode::kBadRequest, fmt::format("found {}, expected a word", kind_of(entry)),
                  fmt::format("{}/{}", at(key), out.size()));
    out.push_back(entry.Scalar());
  }
  return out;
}

} // namespace plimsoll
