// Repositories that are laid out in other ways than config.json and one complete set of shards.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>

#include "plimsoll/host.hpp"
#include "support/built_context.hpp"
#include "support/sparse_checkpoint.hpp"

namespace plimsoll {
namespace {

using test::SparseTensor;
using ::testing::HasSubstr;

constexpr const char* kLlama = R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 256, "num_hidden_layers": 2,
  "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 512, "vocab_size": 1024, "max_position_embeddings": 2048,
  "torch_dtype": "bfloat16"})";

PlanRequest small_request() {
  PlanRequest request;
  request.devices = "1x1GiB";
  request.max_length = 256;
  request.max_batch_size = 1;
  return request;
}

Result<Plan> plan_of(const std::string& path, const PlanRequest& request = small_request()) {
  const auto& context = test::built_context();
  Result<Model> model = context.load(path);
  if (!model) return tl::unexpected(std::move(model.error()));
  return context.plan(*model, request);
}

// Plans from the configuration, and says what lies there that is not read.
TEST(Repositories, WithoutTensorsThatAreReadSaySo) {
  struct Row {
    const char *file, *text, *said;
  };
  for (const Row& row :
       {Row{"model.safetensors.index.json",
            R"({"metadata": {"total_size": 3385856}, "weight_map": {"lm_head.weight": "model-00001-of-00001.safetensors"}})",
            "none of the shards that it names (3.23 MiB in all)"},
        Row{"pytorch_model.bin", "PK", ".bin files ('pytorch_model.bin' first), which are not read"},
        Row{"pytorch_model-00001-of-00002.bin", "PK", "which are not read"},
        Row{"model-rank-0-part-0.safetensors", "", "parts of ranks"}}) {
    const test::TemporaryDirectory folder;
    test::write_text(folder / "config.json", kLlama);
    test::write_text(folder / row.file, row.text);
    for (const std::string& path : {folder.path(), folder / "config.json"}) {
      const Result<Plan> plan = plan_of(path);
      ASSERT_TRUE(plan) << row.file << ": " << plan.error().message;
      EXPECT_EQ(plan->model.weights_source, WeightsSource::kConfig) << row.file;
      ASSERT_FALSE(plan->warnings.empty()) << row.file;
      EXPECT_EQ(plan->warnings.front().code, WarningCode::kMissingTensors);
      EXPECT_THAT(plan->warnings.front().message, HasSubstr(row.said));
    }
  }
  const test::TemporaryDirectory alone;
  test::write_text(alone / "config.json", kLlama);
  EXPECT_TRUE(plan_of(alone.path())->warnings.empty());
}

// Some shards of an index are no checkpoint, and no configuration either.
TEST(Repositories, WithSomeShardsAreRefused) {
  const test::TemporaryDirectory folder;
  test::write_text(folder / "config.json", kLlama);
  test::write_text(folder / "model.safetensors.index.json",
                   R"({"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}})");
  test::write_safetensors(folder / "model-00001-of-00002.safetensors", {{"a", "BF16", {4}}});
  EXPECT_EQ(plan_of(folder.path()).error().code, ErrorCode::kBadCheckpoint);
}

// As the safetensors library does: bytes between tensors or behind them are a damaged file.
TEST(Repositories, WhoseFilesHaveHolesAreRefused) {
  for (const char* header :
       {R"({"a": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}, "b": {"dtype": "BF16", "shape": [2], "data_offsets": [8, 12]}})",
        R"({"a": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}})"}) {
    const test::TemporaryDirectory folder;
    test::write_text(folder / "config.json", kLlama);
    const std::string start = test::safetensors_start_of(header);
    test::write_sparse(folder / "model.safetensors", start, start.size() + 12);
    const Result<Plan> plan = plan_of(folder.path());
    ASSERT_FALSE(plan) << header;
    EXPECT_EQ(plan.error().code, ErrorCode::kBadCheckpoint);
    EXPECT_THAT(plan.error().message, HasSubstr("bytes of the file belong to no tensor"));
    EXPECT_THAT(plan.error().where, HasSubstr("model.safetensors"));
  }
}

// Mistral's own format: params.json, and tensors under its own names, which count as they are stored.
TEST(Repositories, InMistralsFormatArePlanned) {
  const test::TemporaryDirectory folder;
  const std::string params =
      R"({"dim": 256, "n_layers": 2, "head_dim": 64, "hidden_dim": 512, "n_heads": 4, "n_kv_heads": 2, "norm_eps": 1e-05,
    "vocab_size": 1024, "rope_theta": 1000000.0})";
  test::write_text(folder / "params.json", params);
  const Plan declared = plan_of(folder.path()).value();
  EXPECT_EQ(declared.model.architecture, "MistralForCausalLM");
  EXPECT_EQ(declared.kv_cache.bytes_per_token_per_device, 2U * 2 * 64 * 2 * 2);
  EXPECT_EQ(declared.limits.max_length, 256U);
  std::vector<SparseTensor> tensors{
      {"tok_embeddings.weight", "BF16", {1024, 256}}, {"norm.weight", "BF16", {256}}, {"output.weight", "BF16", {1024, 256}}};
  for (const std::string layer : {"layers.0.", "layers.1."}) {
    for (const char* name : {"attention.wq.weight", "attention.wo.weight"}) tensors.push_back({layer + name, "BF16", {256, 256}});
    for (const char* name : {"attention.wk.weight", "attention.wv.weight"}) tensors.push_back({layer + name, "BF16", {128, 256}});
    for (const char* name : {"feed_forward.w1.weight", "feed_forward.w3.weight"}) tensors.push_back({layer + name, "BF16", {512, 256}});
    tensors.push_back({layer + "feed_forward.w2.weight", "BF16", {256, 512}});
    for (const char* name : {"attention_norm.weight", "ffn_norm.weight"}) tensors.push_back({layer + name, "BF16", {256}});
  }
  test::write_safetensors(folder / "consolidated.safetensors", tensors);
  const Plan stored = plan_of(folder.path()).value();
  EXPECT_EQ(stored.model.weights_source, WeightsSource::kSafetensors);
  EXPECT_EQ(stored.devices.front().weights_bytes, declared.devices.front().weights_bytes);
}

TEST(Repositories, InMistralsFormatMeanWhatTheirKeysSay) {
  struct Row {
    const char *more, *architecture;
    std::uint64_t bytes_per_token;
  };
  for (
      const Row& row :
      {Row{R"("sliding_window": [4096, null])", "MistralForCausalLM", 2U * 2 * 64 * 2 * 2},
       Row{R"("moe": {"num_experts": 8, "num_experts_per_tok": 2})", "MixtralForCausalLM", 2U * 2 * 64 * 2 * 2},
       Row{R"("q_lora_rank": 128, "kv_lora_rank": 64, "qk_nope_head_dim": 32, "qk_rope_head_dim": 16, "v_head_dim": 32, "moe": {"num_experts": 8,
               "num_experts_per_tok": 2, "expert_hidden_dim": 128, "num_shared_experts": 1, "first_k_dense_replace": 1, "route_every_n": 1,
               "routed_scale": 1.0, "num_expert_groups": 1, "num_expert_groups_per_tok": 1})",
           "DeepseekV3ForCausalLM", (64U + 16) * 2 * 2}}) {
    const test::TemporaryDirectory folder;
    test::write_text(folder / "params.json", std::string(R"({"dim": 256, "n_layers": 2, "head_dim": 64, "hidden_dim": 512, "n_heads": 4,
      "n_kv_heads": 2, "norm_eps": 1e-05, "vocab_size": 1024, "rope_theta": 1000000.0, )") +
                                                 row.more + "}");
    const Result<Plan> plan = plan_of(folder.path());
    ASSERT_TRUE(plan) << row.more << ": " << plan.error().message << " at " << plan.error().where;
    EXPECT_EQ(plan->model.architecture, row.architecture);
    EXPECT_EQ(plan->kv_cache.bytes_per_token_per_device, row.bytes_per_token) << row.more;
  }
  struct Bad {
    const char *params, *where;
    ErrorCode code;
  };
  for (const Bad& bad : {Bad{R"({"n_layers": 2, "n_heads": 4})", "/dim", ErrorCode::kBadConfig},
                         Bad{R"({"dim": "256", "n_layers": 2, "n_heads": 4})", "/dim", ErrorCode::kBadConfig},
                         Bad{R"([])", "params.json", ErrorCode::kBadConfig},
                         Bad{R"({"dim": 256, "n_layers": 2, "n_heads": 4, "quantization": {"qformat_weight": "int3"}})", "/qformat_weight",
                             ErrorCode::kBadConfig},
                         Bad{R"({"dim": 256, "n_layers": 2, "n_heads": 4, "vision_encoder": {"hidden_size": 1024}})", "params.json",
                             ErrorCode::kUnsupportedArchitecture}}) {
    const test::TemporaryDirectory folder;
    test::write_text(folder / "params.json", bad.params);
    const Result<Plan> plan = plan_of(folder.path());
    ASSERT_FALSE(plan) << bad.params;
    EXPECT_EQ(plan.error().code, bad.code) << bad.params;
    EXPECT_THAT(plan.error().where, HasSubstr(bad.where)) << bad.params;
  }
}

// An adapter is its base, with room for the adapter.
TEST(Repositories, OfAdaptersAreTheirBase) {
  const test::TemporaryDirectory folder;
  const auto write = [&](const std::string& base) {
    test::write_text(folder / "adapter_config.json",
                     R"({"peft_type": "LORA", "r": 8, "lora_alpha": 16, "target_modules": ["q_proj", "v_proj"],
      "base_model_name_or_path": ")" +
                         base + "\"}");
  };
  write("meta-llama/Llama-3.1-8B");
  PlanRequest request = small_request();
  request.devices = "1xH100";
  request.engine = "vllm";
  const Plan plan = plan_of(folder.path(), request).value();
  request.loras = {folder.path()};
  const Plan same = plan_of("meta-llama/Llama-3.1-8B", request).value();
  EXPECT_EQ(plan.devices.front().weights_bytes, same.devices.front().weights_bytes);
  EXPECT_GT(plan.devices.front().weights_bytes, 16060522496U);
  EXPECT_EQ(plan.model.path, folder.path());
  EXPECT_EQ(plan.request.max_lora_rank, 8U);
  write("nobody/of-that-name");
  const Result<Plan> none = plan_of(folder.path(), request);
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message, HasSubstr("this is a LoRA adapter of nobody/of-that-name"));
  test::write_text(folder / "adapter_config.json", R"({"peft_type": "LORA", "r": 8})");
  EXPECT_THAT(plan_of(folder.path(), request).error().where, HasSubstr("/base_model_name_or_path"));
}

} // namespace
} // namespace plimsoll
