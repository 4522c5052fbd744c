// Plan documents of strangers: any text beside a sound plan is a difference that adds up, or an error with a message.
#include "fuzz/fuzz.hpp"
#include "fuzz/plan_rules.hpp"

#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>

#include "plimsoll/diff.hpp"
#include "support/built_context.hpp"

namespace plimsoll::fuzz {
namespace {

using Json = nlohmann::ordered_json;

std::string planned(const char* model, const char* devices, const char* engine) {
  const Context& context = test::built_context();
  PlanRequest request;
  request.devices = devices;
  request.engine = engine;
  return plan_to_json(context.plan(context.load(model).value(), request).value());
}

const std::string& sound() {
  static const std::string text = planned("Qwen/Qwen3-8B", "2xH100", "vllm");
  return text;
}

void must_add_up(const Result<PlanDiff>& diff) {
  if (!diff) return must_speak(diff.error());
  std::map<std::string, std::int64_t> step;
  for (const DiffChange& change : diff->changes) {
    if (!change.bytes) continue;
    const auto from = std::get<std::int64_t>(change.from), to = std::get<std::int64_t>(change.to);
    if (to - from != *change.bytes || from == to) std::abort();
    const bool is_step = change.what == "kv_cache_bytes" || change.what == "unused_bytes";
    if (is_step && step.contains(change.what) && step[change.what] != from) std::abort();
    step[change.what] = to;
  }
  if (!Json::parse(diff_to_json(*diff)).is_object()) std::abort();
}

} // namespace

std::vector<std::string> seeds() {
  return {sound(), planned("google/gemma-3-27b-it", "H100", "sglang"), planned("openai/gpt-oss-20b", "8GiB", "llama.cpp"),
          error_to_json({ErrorCode::kBadConfig, "no model", "x"}), document_to_yaml(sound()).value()};
}

void fuzz_one(std::string_view input) {
  const PlanDocument strange{"strange", std::string(input)}, known{"sound", sound()};
  must_add_up(diff_documents(known, strange));
  must_add_up(diff_documents(strange, known));
}

} // namespace plimsoll::fuzz
