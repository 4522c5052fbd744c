// plimsoll models [PATTERN]: the well-known models whose configurations ship with the program.
#include <algorithm>
#include <fmt/format.h>

#include "command.hpp"
#include "report.hpp"

namespace plimsoll::cli {
namespace {

using SortKey = std::uint64_t CatalogueModel::*; // null: by name, as they come

Result<SortKey> sort_key(const std::string& name) {
  if (name == "name") return SortKey(nullptr);
  if (name == "parameters") return &CatalogueModel::parameters;
  if (name == "weights") return &CatalogueModel::weights_bytes;
  if (name == "kv") return &CatalogueModel::kv_bytes_per_token;
  return fail(ErrorCode::kBadRequest, fmt::format("'{}' is no order; give name, parameters, weights or kv", name), "--sort");
}

// A size as every option takes it.
Result<std::uint64_t> size_of(const std::string& text, std::uint64_t otherwise, const char* option) {
  if (text.empty()) return otherwise;
  PlanRequest request;
  PLIMSOLL_TRY(set_option(request, {"weights_bytes", text, option}));
  return request.weights_bytes.value_or(otherwise);
}

} // namespace

int run_models(const Arguments& arguments) {
  CommandLine line("models", "The model catalogue: architecture, family, parameters, weights, KV bytes per token.", "plimsoll.models/1",
                   "Examples:\n"
                   "  plimsoll models llama\n"
                   "  plimsoll models 'Qwen/*-?B' --sort weights\n"
                   "  plimsoll models --family moe --max-weights 80GiB");
  std::string pattern, family, sort = "name";
  std::string least, most;
  line.app().add_option("PATTERN", pattern, "part of a name, or a pattern with * and ?")->type_name("");
  line.app().add_option("--family", family, "only those of this family: dense, mla, moe, vlm, hybrid, draft")->type_name("ID");
  line.app().add_option("--min-weights", least, "only those whose weights take at least so much")->type_name("SIZE");
  line.app().add_option("--max-weights", most, "only those whose weights take at most so much, such as 80GiB")->type_name("SIZE");
  line.app().add_option("--sort", sort, "by name, the default, or the smallest first")->type_name("name|parameters|weights|kv");
  line.add_context_options();
  if (const auto code = line.parse(arguments)) return *code;
  const auto context = line.context();
  if (!context) return line.fail(context.error());
  const auto key = sort_key(sort);
  if (!key) return line.fail(key.error());
  const auto at_least = size_of(least, 0, "--min-weights"), at_most = size_of(most, UINT64_MAX, "--max-weights");
  if (!at_least || !at_most) return line.fail(at_least ? at_most.error() : at_least.error());
  auto models = context->models(pattern);
  if (!models) return line.fail(models.error());
  std::erase_if(*models, [&](const CatalogueModel& model) {
    return (!family.empty() && model.family != family) || model.weights_bytes < *at_least || model.weights_bytes > *at_most;
  });
  if (*key != nullptr)
    std::stable_sort(models->begin(), models->end(),
                     [by = *key](const CatalogueModel& a, const CatalogueModel& b) { return a.*by < b.*by; });
  const Output& output = line.output();
  if (output.format == Format::kTable) return output.write(models_report(*models, output.style()), kExitFits);
  return output.write_document(models_to_json(*models), kExitFits);
}

} // namespace plimsoll::cli
