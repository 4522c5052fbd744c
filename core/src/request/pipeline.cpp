// Pipeline files (YAML): the same options as the command line, one per key.
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
constexpr std::size_t kMaximumFileValues = 10'000;

class PipelineReader {
public:
  PipelineReader(const std::string& path, std::span<const OptionInfo> also) : path_(path), also_(also) {}

  Result<std::vector<OptionValue>> read(const YAML::Node& root) {
    if (root.IsNull()) return std::move(options_);
    if (!root.IsMap()) return bad(root, "a pipeline file is a map of options, such as 'tp: 8'");
    std::set<std::string_view> seen;
    for (const auto& entry : root) {
      if (!entry.first.IsScalar()) return bad(entry.first, "a key that is no word; give the name of an option");
      const OptionInfo* info = find_option(entry.first.Scalar(), also_);
      if (info == nullptr) return bad(entry.first, unknown_option(entry.first.Scalar(), also_));
      if (!seen.insert(info->name).second) return bad(entry.first, fmt::format("{} is given twice; keep one", info->name));
      PLIMSOLL_TRY(option(*info, entry.first, entry.second));
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

  Result<void> option(const OptionInfo& info, const YAML::Node& key, const YAML::Node& value) {
    if (value.IsScalar()) return add(info, value, value.Scalar());
    if (value.IsNull() || !value.IsDefined()) return bad(key, fmt::format("{} has no value; give one or leave the key out", info.name));
    if (value.IsMap()) return map(info, value);
    return list(info, value);
  }

  // set: {engine.kv.page_tokens: 64}
  Result<void> map(const OptionInfo& info, const YAML::Node& value) {
    if (info.kind != OptionKind::kSettings) return bad(value, fmt::format("{} takes a value, not a map", info.name));
    for (const auto& entry : value) {
      if (!entry.first.IsScalar() || !entry.second.IsScalar())
        return bad(entry.first, fmt::format("{} takes engine.KEY: VALUE with plain values", info.name));
      PLIMSOLL_TRY(add(info, entry.first, fmt::format("{}={}", entry.first.Scalar(), entry.second.Scalar())));
    }
    return {};
  }

  // What repeats is a value an entry; every other list is one value with commas.
  Result<void> list(const OptionInfo& info, const YAML::Node& value) {
    if (!takes_list(info)) return bad(value, fmt::format("{} takes one value, not a list", info.name));
    std::string joined;
    for (const auto& part : value) {
      if (!part.IsScalar()) return bad(part, fmt::format("{} takes a list of plain values", info.name));
      if (info.repeats) PLIMSOLL_TRY(add(info, part, part.Scalar()));
      joined += (joined.empty() ? "" : ",") + part.Scalar();
    }
    if (info.repeats) return {};
    return add(info, value, std::move(joined));
  }

  Result<void> add(const OptionInfo& info, const YAML::Node& node, std::string value) {
    if (options_.size() >= kMaximumFileValues)
      return bad(node, fmt::format("more than {} values; is it the right file?", kMaximumFileValues));
    options_.push_back({std::string(info.name), std::move(value), fmt::format("{}, {}", place(node), info.name)});
    return {};
  }

  const std::string& path_;
  std::span<const OptionInfo> also_;
  std::vector<OptionValue> options_;
};

} // namespace

Result<std::vector<OptionValue>> read_pipeline_file(const std::string& path, std::span<const OptionInfo> also) {
  PLIMSOLL_ASSIGN(const std::string text, read_text_file(path, kMaximumFileBytes, ErrorCode::kBadRequest));
  try {
    return PipelineReader(path, also).read(YAML::Load(text));
  } catch (const YAML::Exception& problem) {
    const std::string where = problem.mark.is_null() ? path : fmt::format("{}:{}", path, problem.mark.line + 1);
    return fail(ErrorCode::kBadRequest, fmt::format("this is not YAML: {}", problem.msg), where);
  }
}

} // namespace plimsoll
