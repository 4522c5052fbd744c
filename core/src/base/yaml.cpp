#include "base/yaml.hpp"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

namespace plimsoll {
namespace {

constexpr std::size_t kMaxYamlBytes = 4 << 20;
constexpr int kMaxDepth = 32;
constexpr std::size_t kMaxNodes = 1 << 18; // aliases may multiply what the text holds

struct Walk {
  std::size_t nodes = 0;
  std::string problem;
  int line = 0;

  void wrong(const YAML::Node& at, std::string message) {
    if (problem.empty()) problem = std::move(message), line = at.Mark().line + 1;
  }

  Json value(const YAML::Node& node, int depth) {
    if (!problem.empty() || !node || node.IsNull()) return nullptr;
    if (++nodes > kMaxNodes) return wrong(node, "holds too many values"), nullptr;
    if (depth > kMaxDepth) return wrong(node, fmt::format("nests deeper than {} levels", kMaxDepth)), nullptr;
    if (node.IsMap()) {
      Json out = Json::object();
      for (const auto& pair : node) {
        if (!pair.first.IsScalar()) return wrong(pair.first, "a key must be plain text"), nullptr;
        if (out.contains(pair.first.Scalar()))
          return wrong(pair.first, fmt::format("the key '{}' appears twice", pair.first.Scalar())), nullptr;
        out[pair.first.Scalar()] = value(pair.second, depth + 1);
      }
      return out;
    }
    if (node.IsSequence()) {
      Json out = Json::array();
      for (const auto& item : node) out.push_back(value(item, depth + 1));
      return out;
    }
    return scalar(node);
  }

  static Json scalar(const YAML::Node& node) {
    const std::string& text = node.Scalar();
    if (node.Tag() == "!") return text; // quoted
    if (text == "true" || text == "True") return true;
    if (text == "false" || text == "False") return false;
    if (text == "~" || text == "null") return nullptr;
    if (!text.empty() && (text.front() == '-' || (text.front() >= '0' && text.front() <= '9')))
      if (Json number = Json::parse(text, nullptr, false); number.is_number()) return number;
    return text;
  }
};

} // namespace

Json yaml_to_json(const YAML::Node& node, int depth_left) {
  Walk walk;
  return walk.value(node, kMaxDepth - depth_left);
}

Result<Json> parse_yaml(const std::string& text, const std::string& where, ErrorCode code) {
  if (text.size() > kMaxYamlBytes) return fail(code, "is larger than 4 MiB", where);
  // yaml-cpp's parser recurses: bound what it could nest before it sees the text.
  std::size_t flow = 0, deepest = 0;
  for (const char c : text) {
    if (c == '[' || c == '{') deepest = std::max(deepest, ++flow);
    else if ((c == ']' || c == '}') && flow > 0) --flow;
  }
  if (deepest > 256) return fail(code, "nests too deep", where);
  try {
    Walk walk;
    Json out = walk.value(YAML::Load(text), 0);
    if (!walk.problem.empty()) return fail(code, walk.problem, fmt::format("{}:{}", where, walk.line));
    return out;
  } catch (const YAML::Exception& e) {
    return fail(code, fmt::format("is not valid YAML: {}", e.msg), fmt::format("{}:{}", where, e.mark.line + 1));
  }
}

} // namespace plimsoll
