// Qwen3.5 stores apart, one projection after another, what Qwen3-Next stores head by head in two: the same numbers in both layouts are the
// same model.
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "generation/tiny_models.hpp"
#include "support/sparse_checkpoint.hpp"
#include "support/tiny_model.hpp"

namespace plimsoll::testing {
namespace {

using nlohmann::json;
using test::TinyModel;
using test::TinyTensor;

// Rows of a matrix: of each of `heads` runs of `stride` rows those from `first` on.
TinyTensor rows_of(const TinyTensor& from, const std::string& name, std::uint64_t heads, std::uint64_t stride, std::uint64_t first,
                   std::uint64_t rows) {
  TinyTensor out{name, {heads * rows, from.shape[1]}, {}};
  for (std::uint64_t head = 0; head < heads; ++head) {
    const auto begin = from.values.begin() + static_cast<std::ptrdiff_t>((head * stride + first) * from.shape[1]);
    out.values.insert(out.values.end(), begin, begin + static_cast<std::ptrdiff_t>(rows * from.shape[1]));
  }
  return out;
}

// The fused model with its projections apart, under Qwen3.5's names.
TinyModel apart(const TinyModel& fused) {
  json config = json::parse(fused.config);
  const std::uint64_t heads = config["linear_num_key_heads"], key = config["linear_key_head_dim"];
  const std::uint64_t shared = config["linear_num_value_heads"].get<std::uint64_t>() / heads;
  const std::uint64_t values = shared * config["linear_value_head_dim"].get<std::uint64_t>(), stride = 2 * key + 2 * values;
  TinyModel out;
  for (const TinyTensor& tensor : fused.tensors) {
    const std::string prefix = tensor.name.substr(0, tensor.name.rfind("in_proj"));
    if (tensor.name.ends_with("in_proj_qkvz.weight")) {
      TinyTensor qkv = rows_of(tensor, prefix + "in_proj_qkv.weight", heads, stride, 0, key);
      for (const auto& [first, n] : {std::pair(key, key), std::pair(2 * key, values)}) {
        const TinyTensor more = rows_of(tensor, "", heads, stride, first, n);
        qkv.shape[0] += more.shape[0];
        qkv.values.insert(qkv.values.end(), more.values.begin(), more.values.end());
      }
      out.tensors.push_back(std::move(qkv));
      out.tensors.push_back(rows_of(tensor, prefix + "in_proj_z.weight", heads, stride, 2 * key + values, values));
    } else if (tensor.name.ends_with("in_proj_ba.weight")) {
      out.tensors.push_back(rows_of(tensor, prefix + "in_proj_b.weight", heads, 2 * shared, 0, shared));
      out.tensors.push_back(rows_of(tensor, prefix + "in_proj_a.weight", heads, 2 * shared, shared, shared));
    } else {
      out.tensors.push_back(tensor);
    }
  }
  config["architectures"] = {"Qwen3_5ForCausalLM"};
  config["model_type"] = "qwen3_5_text";
  out.config = config.dump();
  return out;
}

TEST(DeltaLayouts, FusedAndApartAreOneModel) {
  json config = json::parse(test::tiny_model("qwen3_next").config);
  for (const char* experts : {"num_experts", "num_experts_per_tok", "shared_expert_intermediate_size", "moe_intermediate_size"})
    config.erase(experts);
  const TinyModel fused = test::tiny_model_of(config.dump(), 3);
  const test::TemporaryDirectory folder;
  test::write_tiny_folder(fused, folder / "fused");
  test::write_tiny_folder(apart(fused), folder / "apart");
  TextGenerationRequest prompt;
  prompt.prompt_tokens = {1, 9, 30, 41, 77, 120, 5};
  prompt.max_new_tokens = 24;
  prompt.ignore_end = true;
  prompt.log_probabilities = 3;
  std::vector<TextGenerationOutput> outputs;
  for (const char* name : {"fused", "apart"})
    for (const std::uint32_t tp : {1U, 2U}) {
      PlanRequest request = request_of(96);
      request.devices = std::to_string(tp) + "x64MiB";
      request.tp = tp;
      auto pipeline = pipeline_of(folder / name, request);
      ASSERT_TRUE(pipeline) << pipeline.error().message;
      outputs.push_back(pipeline->generate(prompt).value());
      for (const Arena& arena : pipeline->model().arenas())
        for (const Usage& usage : arena.usage()) EXPECT_EQ(usage.peak_bytes, usage.planned_bytes) << name << usage.label;
    }
  for (const TextGenerationOutput& output : outputs) {
    EXPECT_EQ(output.tokens, outputs.front().tokens);
    ASSERT_TRUE(output.log_probabilities);
    for (std::size_t step = 0; step < output.tokens.size(); ++step)
      EXPECT_NEAR(output.log_probabilities->top[step].front().second, outputs.front().log_probabilities->top[step].front().second, 2e-4);
  }
}

} // namespace
} // namespace plimsoll::testing
