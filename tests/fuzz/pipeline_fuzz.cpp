// Options in files: any YAML is a list of options, each of them is set or refused with its place, and what they ask for is planned;
// the same text as a JSON request.
#include "fuzz/fuzz.hpp"
#include "fuzz/plan_rules.hpp"

#include <algorithm>
#include <array>

#include "plimsoll/options.hpp"
#include "support/built_context.hpp"
#include "support/sparse_checkpoint.hpp"

namespace plimsoll::fuzz {
namespace {

constexpr std::array<OptionInfo, 3> kAlso{{{.name = "model"}, {.name = "config", .kind = OptionKind::kDocument}, {.name = "draft"}}};

void plan_with(const Result<std::vector<OptionValue>>& options) {
  static const Model model = test::built_context().load("Qwen/Qwen3-30B-A3B").value();
  if (!options) return must_speak(options.error());
  PlanRequest request;
  request.devices = "2xH100";
  for (const OptionValue& option : *options) {
    if (option.where.empty()) std::abort();
    if (std::any_of(kAlso.begin(), kAlso.end(), [&](const OptionInfo& info) { return info.name == option.name; })) continue;
    const PlanRequest before = request;
    if (const auto set = set_option(request, option); !set) {
      must_speak(set.error());
      if (set.error().where != option.where || request.devices != before.devices || request.max_length != before.max_length) std::abort();
    }
  }
  if (request.devices == "auto") return; // this machine's own
  must_plan_or_speak(test::built_context().plan(model, request));
}

} // namespace

std::vector<std::string> seeds() {
  return {"devices: 8xH200\ntp: 8\nep: 8\nengine: vllm@0.11.0\nmax_length: 32768\nmax-batch-size: 64\nkv_dtype: float8_e4m3fn\n",
          "model: Qwen/Qwen3-8B\ndevices: [4xH100, 4xA100-40GB]\npp: 2\nstage_layers: [24, 24]\nset: {engine.kv.page_tokens: 64}\n"
          "engine: max\nmax_length: auto:65536\nfrontier: true\nfrontier_kv_dtypes: [float16, q8_0]\n",
          "devices: 24GiB,16GiB:12GiB\nengine: llama.cpp\nsequences: 4\nubatch: 512\nset: [engine.kv_unified=true, engine.swa_full=true]\n"
          "kv_dtype: q8_0/q4_0\ntp: 1\npp: 2\n",
          "devices: 2x80GiB:60GiB\nengine: sglang\nset: [engine.state_dtype=float32]\nphase: decode\ndevice_memory_utilization: 0.85\n"
          "max_batch_input_tokens: 8192\nmax_batch_total_tokens: 65536\nnum_draft_tokens: 0\nredundant_experts: 4\nep: 2\n",
          R"({"devices": "2xH100", "engine": "tensorrt-llm", "max_length": "auto", "weights_bytes": "16GiB", "kv_cache_bytes": "20GiB"})",
          R"({"devices": "1xH100", "accounting": "pooled", "dtype": "float16", "vision_cache_utilization": 0.05,
              "set": {"engine.prefix_caching": false, "engine.page_tokens": 16}, "images_per_request": 3})"};
}

void fuzz_one(std::string_view input) {
  static const test::TemporaryDirectory folder;
  const std::string path = folder / "pipeline.yaml";
  test::write_text(path, input);
  plan_with(read_pipeline_file(path, kAlso));
  plan_with(read_options_json(input, kAlso));
}

} // namespace plimsoll::fuzz
