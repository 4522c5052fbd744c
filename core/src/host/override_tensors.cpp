#include "host/override_tensors.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <regex>

#include "model/gguf_class_names.hpp"

namespace plimsoll {
namespace {

constexpr std::size_t kMostExpression = 512;

struct Expression {
  std::string text;
  std::regex regex;
  bool found = false;
};

Result<std::vector<Expression>> compile(const std::vector<std::string>& overrides) {
  std::vector<Expression> out;
  for (const std::string& text : overrides) {
    const std::string expression = text.substr(0, text.find('='));
    if (expression.size() > kMostExpression)
      return fail(ErrorCode::kBadRequest,
                  fmt::format("an expression of {} characters; at most {} are read", expression.size(), kMostExpression),
                  "--override-tensor");
    try {
      out.push_back({expression, std::regex(expression), false});
    } catch (const std::regex_error& error) {
      return fail(ErrorCode::kBadRequest, fmt::format("'{}' is no expression: {}", expression, error.what()), "--override-tensor");
    }
  }
  return out;
}

std::string in_layer(const std::string& name, std::uint32_t layer) {
  return name.starts_with("blk.0.") ? fmt::format("blk.{}.{}", layer, std::string_view(name).substr(6)) : name;
}

bool is_found(const std::string& name, std::vector<Expression>& expressions) {
  for (Expression& one : expressions)
    if (std::regex_search(name, one.regex)) {
      one.found = true;
      return true;
    }
  return false;
}

} // namespace

Result<std::shared_ptr<const HostTensors>> host_tensors(const Declared& declared, const GgufArchitecture& words,
                                                        const std::vector<std::string>& overrides) {
  PLIMSOLL_ASSIGN(std::vector<Expression> expressions, compile(overrides));
  const GgufClassNames known(words);
  auto out = std::make_shared<HostTensors>();
  for (const WeightClass& c : declared.weights) {
    const std::vector<std::string> names = known.of(c);
    if (names.empty()) continue;
    const std::vector<std::uint32_t> all = c.layers.empty() ? std::vector<std::uint32_t>{0} : c.layers;
    for (const std::uint32_t layer : all) {
      const auto moves = [&](const std::string& name) { return is_found(in_layer(name, layer), expressions); };
      if (std::all_of(names.begin(), names.end(), moves)) out->layers_of_class[c.pattern].push_back(layer);
    }
  }
  for (const Expression& one : expressions)
    if (!one.found)
      return fail(ErrorCode::kBadRequest, fmt::format("'{}' finds no tensor of the model; names are as blk.7.ffn_up_exps.weight", one.text),
                  "--override-tensor");
  return std::shared_ptr<const HostTensors>(std::move(out));
}

} // namespace plimsoll
