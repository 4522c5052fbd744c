#include "run_report.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "plimsoll/human.hpp"

namespace plimsoll::cli {
namespace {

using Json = nlohmann::ordered_json;

Json number_or_null(double seconds, std::uint64_t tokens) {
  if (seconds <= 0 || tokens == 0) return nullptr;
  return static_cast<double>(tokens) / seconds;
}

Json log_probabilities(const LogProbabilities& of) {
  Json top = Json::array();
  for (const auto& row : of.top) {
    Json entries = Json::array();
    for (const auto& [token, value] : row) entries.push_back({{"token", token}, {"log_probability", value}});
    top.push_back(std::move(entries));
  }
  return {{"tokens", of.sampled}, {"token_log_probabilities", of.token}, {"top_log_probabilities", std::move(top)}};
}

Json output(const TextGenerationOutput& of) {
  Json out = {{"request", of.id}, {"tokens", of.tokens}, {"text", of.text}, {"status", status_name(of.status)}};
  out["log_probabilities"] = of.log_probabilities ? log_probabilities(*of.log_probabilities) : Json(nullptr);
  out["error"] = nullptr;
  if (of.error) out["error"] = {{"code", error_code_name(of.error->code)}, {"message", of.error->message}, {"where", of.error->where}};
  return out;
}

} // namespace

std::vector<UsageRow> usage_rows(const TextGenerationPipeline& pipeline) {
  std::vector<UsageRow> rows;
  for (const Usage& of : pipeline.usage()) rows.push_back({0, of.category, of.planned_bytes, of.peak_bytes});
  return rows;
}

std::string run_to_json(const RunResult& result) {
  Json out = {{"schema", "plimsoll.run/1"}};
  Json outputs = Json::array(), usage = Json::array();
  for (const TextGenerationOutput& of : result.outputs) outputs.push_back(output(of));
  for (const UsageRow& row : result.usage)
    usage.push_back({{"rank", row.rank},
                     {"category", category_name(row.category)},
                     {"planned_bytes", row.planned_bytes},
                     {"peak_bytes", row.peak_bytes}});
  out["outputs"] = std::move(outputs);
  out["usage"] = std::move(usage);
  const RunTimes& t = result.times;
  out["tokens_per_second"] = {{"prompt", number_or_null(t.prompt_seconds, t.prompt_tokens)},
                              {"generated", number_or_null(t.generate_seconds, t.generated_tokens)}};
  out["load_seconds"] = t.load_seconds;
  out["error"] = nullptr;
  // Text that is cut within a character is no UTF-8: what is broken becomes the replacement character.
  return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string run_summary(const RunResult& result, const Style& style) {
  const RunTimes& t = result.times;
  std::string out = fmt::format("{} prompt tokens", t.prompt_tokens);
  if (t.prompt_seconds > 0) out += fmt::format(", {:.0f}/s", static_cast<double>(t.prompt_tokens) / t.prompt_seconds);
  std::uint64_t generated = 0;
  for (const TextGenerationOutput& of : result.outputs) generated += of.tokens.size();
  out += fmt::format("; {} generated", generated);
  if (t.generate_seconds > 0 && t.generated_tokens > 0)
    out += fmt::format(", {:.0f}/s", static_cast<double>(t.generated_tokens) / t.generate_seconds);
  out += "\n";
  for (const UsageRow& row : result.usage) {
    if (row.planned_bytes == 0 && row.peak_bytes == 0) continue;
    const std::string line = fmt::format("{:<14}{:>12} of {:>12} planned", category_name(row.category), human_bytes(row.peak_bytes),
                                         human_bytes(row.planned_bytes));
    out += style.paint(row.peak_bytes > row.planned_bytes ? Paint::kRed : Paint::kDim, line) + "\n";
  }
  return out;
}

} // namespace plimsoll::cli
