// Pipeline files (YAML): the same options as the command line, one per key. Called by the command line and hosts.
// Reads one bounded file; never loads a model. A message names file:line. Threads: pure functions.
#include <fmt/format.h>
#include <set>
#include <yaml-cpp/yaml.h>

#include "base/regular_file.hpp"
#include "plimsoll/options.hpp"
#include "request/option_names.hpp"

namespace plimsoll {
namespace {

constexpr std::uint64_t kMaximumFileBytes = 1U << 20;
constexpr std::size_t kMaximumValues = 10'000;

class Reader {
public:
  Reader(const std::string& path, std::span<const std::string_view> also) : path_(path), also_(also) {}

  Result<std::vector<OptionValue>> read(const YAML::Node& root) {
    if (root.IsNull()) return std::move(options_);
    if (!root.IsMap()) return bad(root, "a pipeline file is a map of options, such as 'tp: 8'");
    std::set<std::string> seen;
    for (const auto& entry : root) {
      if (!entry.first.IsScalar()) return bad(entry.first, "a key that is no word; give the name of an option");
      const std::string name = option_key(entry.first.Scalar());
      if (!known_option(name, also_)) return bad(entry.first, unknown_option(entry.first.Scalar(), also_));
      if (!seen.insert(name).second) return bad(entry.first, fmt::format("{} is given twice; keep one", name));
      PLIMSOLL_TRY(option(name, entry.first, entry.second));
    }
    return std::move(options_);
  }

private:
  std::string place(const YAML::Node& node) const {
    const int line = node.Mark().line;
    return line < 0 ? path_ : fmt::format("{}:{}", path_, line + 1);
  }
  tl::unexpected<Error> bad(const YAML::Node& node, std::string message) const {
    return fail(ErrorCode::kBadRequest, std::move(message), place(node));
  }

  Result<void> option(const std::string& name, const YAML::Node& key, const YAML::Node& value) {
    if (value.IsScalar()) return add(name, value, value.Scalar());
    if (value.IsNull() || !value.IsDefined()) return bad(key, fmt::format("{} has no value; give one or leave the key out", name));
    if (value.IsMap()) return map(name, value);
    return list(name, value);
  }

  // set: {engine.kv.page_tokens: 64}
  Result<void> map(const std::string& name, const YAML::Node& value) {
    if (name != "set") return bad(value, fmt::format("{} takes a value, not a map", name));
    for (const auto& entry : value) {
      if (!entry.first.IsScalar() || !entry.second.IsScalar()) return bad(entry.first, "set takes engine.KEY: VALUE with plain values");
      PLIMSOLL_TRY(add(name, entry.first, fmt::format("{}={}", entry.first.Scalar(), entry.second.Scalar())));
    }
    return {};
  }

  // plugin_path and set repeat; every other list is one value with commas.
  Result<void> list(const std::string& name, const YAML::Node& value) {
    std::string joined;
    for (const auto& part : value) {
      if (!part.IsScalar()) return bad(part, fmt::format("{} takes a list of plain values", name));
      if (name == "set" || name == "plugin_path") {
        PLIMSOLL_TRY(add(name, part, part.Scalar()));
      } else {
        if (!joined.empty()) joined += ',';
        joined += part.Scalar();
      }
    }
    if (name == "set" || name == "plugin_path") return {};
    return add(name, value, std::move(joined));
  }

  Result<void> add(const std::string& name, const YAML::Node& node, std::string value) {
    if (options_.size() >= kMaximumValues) return bad(node, fmt::format("more than {} values; is it the right file?", kMaximumValues));
    options_.push_back({name, std::move(value), fmt::format("{}, {}", place(node), name)});
    return {};
  }

  const std::string& path_;
  std::span<const std::string_view> also_;
  std::vector<OptionValue> options_;
};

} // namespace

Result<std::vector<OptionValue>> read_pipeline_file(const std::string& path, std::span<const std::string_view> also) {
  PLIMSOLL_ASSIGN(const std::string text, read_text_file(path, kMaximumFileBytes, ErrorCode::kBadRequest));
  try {
    return Reader(path, also).read(YAML::Load(text));
  } catch (const YAML::Exception& problem) {
    const std::string where = problem.mark.is_null() ? path : fmt::format("{}:{}", path, problem.mark.line + 1);
    return fail(ErrorCode::kBadRequest, fmt::format("this is not YAML: {}", problem.msg), where);
  }
}

} // namespace plimsoll
