// See flag_value.hpp. JSON is read as JSON, so that what an engine refuses is refused here.
#include "flags/flag_value.hpp"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include "base/json.hpp"
#include "base/regular_file.hpp"

namespace plimsoll {
namespace {

constexpr std::uint64_t kMostFileBytes = 1U << 20;
constexpr std::size_t kMostDepth = 16;
constexpr std::size_t kMostValues = 10'000;

FlagValue from_json(const Json& json, const std::string& place) {
  FlagValue out{FlagValue::Kind::kText, "", {}, place};
  if (json.is_null()) {
    out.kind = FlagValue::Kind::kNothing;
  } else if (json.is_object()) {
    out.kind = FlagValue::Kind::kMap;
    for (const auto& [key, value] : json.items()) out.members.emplace_back(key, from_json(value, fmt::format("{} {}", place, key)));
  } else if (json.is_array()) {
    out.kind = FlagValue::Kind::kList;
    for (const Json& value : json) out.members.emplace_back("", from_json(value, place));
  } else {
    out.text = json.is_string() ? json.get<std::string>() : json.dump();
  }
  return out;
}

class YamlValues {
public:
  explicit YamlValues(const std::string& path) : path_(path) {}

  Result<FlagValue> read(const YAML::Node& node, std::size_t depth) {
    const int line = node.Mark().line;
    FlagValue out{FlagValue::Kind::kText, "", {}, line < 0 ? path_ : fmt::format("{}:{}", path_, line + 1)};
    if (depth > kMostDepth || ++values_ > kMostValues)
      return fail(ErrorCode::kBadRequest, fmt::format("more than {} values, or {} levels; is it the right file?", kMostValues, kMostDepth),
                  out.place);
    if (node.IsNull() || !node.IsDefined()) {
      out.kind = FlagValue::Kind::kNothing;
    } else if (node.IsScalar()) {
      out.text = node.Scalar();
    } else if (node.IsMap()) {
      out.kind = FlagValue::Kind::kMap;
      for (const auto& entry : node) {
        if (!entry.first.IsScalar()) return fail(ErrorCode::kBadRequest, "a key that is no word", out.place);
        PLIMSOLL_ASSIGN(FlagValue value, read(entry.second, depth + 1));
        value.place = fmt::format("{}:{}", path_, entry.first.Mark().line + 1);
        out.members.emplace_back(entry.first.Scalar(), std::move(value));
      }
    } else {
      out.kind = FlagValue::Kind::kList;
      for (const auto& entry : node) {
        PLIMSOLL_ASSIGN(FlagValue value, read(entry, depth + 1));
        out.members.emplace_back("", std::move(value));
      }
    }
    return out;
  }

private:
  const std::string& path_;
  std::size_t values_ = 0;
};

} // namespace

std::string FlagValue::joined() const {
  if (kind != Kind::kList) return text;
  std::string out;
  for (const auto& [name, value] : members) {
    if (!out.empty()) out += ',';
    out += value.joined();
  }
  return out;
}

FlagValue text_value(std::string text, std::string place) { return {FlagValue::Kind::kText, std::move(text), {}, std::move(place)}; }

Result<FlagValue> parse_flag_value(const std::string& text, bool is_document, const std::string& place) {
  if (!is_document) return text_value(text, place);
  PLIMSOLL_ASSIGN(const Json json, parse_json(text, place, ErrorCode::kBadRequest));
  return from_json(json, place);
}

Result<FlagValue> read_yaml_map(const std::string& path) {
  PLIMSOLL_ASSIGN(const std::string text, read_text_file(path, kMostFileBytes, ErrorCode::kBadRequest));
  try {
    PLIMSOLL_ASSIGN(FlagValue out, YamlValues(path).read(YAML::Load(text), 0));
    if (out.kind == FlagValue::Kind::kNothing) out.kind = FlagValue::Kind::kMap;
    if (out.kind != FlagValue::Kind::kMap) return fail(ErrorCode::kBadRequest, "a map of keys and values was expected", out.place);
    return out;
  } catch (const YAML::Exception& problem) {
    const std::string where = problem.mark.is_null() ? path : fmt::format("{}:{}", path, problem.mark.line + 1);
    return fail(ErrorCode::kBadRequest, fmt::format("this is not YAML: {}", problem.msg), where);
  }
}

} // namespace plimsoll
