// Checkpoints whose quantisation nobody reads, and types that engines load otherwise.
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

constexpr const char* kShapes = R"("architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 256, "num_hidden_layers": 2,
  "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 512, "vocab_size": 1024, "max_position_embeddings": 2048)";

std::string config_of(const std::string& more) { return std::string("{") + kShapes + ", " + more + "}"; }

// A checkpoint of that model whose linear layers are `type`, with a scalar beside each.
std::uint64_t write_checkpoint(const std::string& directory, const std::string& config, const char* type) {
  std::vector<SparseTensor> tensors{
      {"model.embed_tokens.weight", "BF16", {1024, 256}}, {"model.norm.weight", "BF16", {256}}, {"lm_head.weight", "BF16", {1024, 256}}};
  for (const char* layer : {"model.layers.0.", "model.layers.1."}) {
    const auto linear = [&](const char* name, std::uint64_t rows, std::uint64_t columns) {
      tensors.push_back({layer + std::string(name) + ".weight", type, {rows, columns}});
      tensors.push_back({layer + std::string(name) + ".weight_scale", "F32", {}});
    };
    linear("self_attn.q_proj", 256, 256);
    linear("self_attn.k_proj", 128, 256);
    linear("self_attn.v_proj", 128, 256);
    linear("self_attn.o_proj", 256, 256);
    linear("mlp.gate_proj", 512, 256);
    linear("mlp.up_proj", 512, 256);
    linear("mlp.down_proj", 256, 512);
    for (const char* norm : {"input_layernorm.weight", "post_attention_layernorm.weight"})
      tensors.push_back({layer + std::string(norm), "BF16", {256}});
  }
  std::uint64_t bytes = 0;
  for (const SparseTensor& tensor : tensors) bytes += test::sparse_tensor_bytes(tensor);
  test::write_text(directory + "/config.json", config);
  test::write_safetensors(directory + "/model.safetensors", tensors);
  return bytes;
}

PlanRequest request_for(const std::string& engine) {
  PlanRequest request;
  request.devices = "1x1GiB";
  request.engine = engine;
  request.max_length = 256;
  request.max_batch_size = 1;
  return request;
}

bool warns(const Plan& plan, WarningCode code) {
  for (const Warning& warning : plan.warnings)
    if (warning.code == code) return true;
  return false;
}

TEST(StoredMethods, OfUnknownNamesCountAsTheyAreStored) {
  const auto& context = test::built_context();
  const std::string config = config_of(R"("torch_dtype": "bfloat16", "quantization_config": {"quant_method": "quux", "bits": 8})");
  const test::TemporaryDirectory directory;
  const std::uint64_t bytes = write_checkpoint(directory.path(), config, "F8_E4M3");
  const Plan stored = context.plan(context.load(directory.path()).value(), request_for("max")).value();
  EXPECT_EQ(stored.devices.front().weights_bytes, bytes);
  EXPECT_TRUE(warns(stored, WarningCode::kQuantizationUnknown));
  const Plan on_vllm = context.plan(context.load(directory.path()).value(), request_for("vllm")).value();
  EXPECT_TRUE(warns(on_vllm, WarningCode::kQuantizationNotLoaded));
  // From the configuration alone nothing is known, unless somebody says what they take.
  const Model alone = context.load_config(config, "config.json").value();
  const Result<Plan> none = context.plan(alone, request_for("max"));
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::kBadConfig);
  EXPECT_THAT(none.error().message, HasSubstr("\"quux\" instead of one of fp8, "));
  EXPECT_THAT(context.weights(alone, request_for("max")).error().where, HasSubstr("/quant_method"));
  PlanRequest given = request_for("max");
  given.weights_bytes = 1 << 20;
  const Plan plan = context.plan(alone, given).value();
  EXPECT_EQ(plan.devices.front().weights_bytes, 1U << 20);
  EXPECT_TRUE(warns(plan, WarningCode::kQuantizationUnknown));
}

// Settings of a known method that nobody can read are as good as an unknown one.
TEST(StoredMethods, OfUnreadableSettingsCountAsTheyAreStored) {
  const auto& context = test::built_context();
  for (const char* settings :
       {R"({"quant_method": "torchao", "quant_type": {"default": {"_type": "MXFPInferenceConfig", "_data": {"block_size": 32}}}})",
        R"({"quant_method": "torchao", "quant_type": "autoquant"})", R"({"quant_method": "gptq", "bits": "four"})",
        R"({"quant_method": "modelopt", "quant_algo": "W8A8_SQ_PER_CHANNEL"})",
        R"({"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "mx", "qscheme": "per_group"}}})",
        R"({"quant_method": "compressed-tensors", "format": "marlin-24", "config_groups": {"group_0": {"targets": ["Linear"],
            "weights": {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 128}}}})",
        R"({"bits": 4})", "[]"}) {
    const std::string config = config_of(std::string(R"("torch_dtype": "bfloat16", "quantization_config": )") + settings);
    const test::TemporaryDirectory directory;
    const std::uint64_t bytes = write_checkpoint(directory.path(), config, "F8_E4M3");
    const Result<Model> model = context.load(directory.path());
    ASSERT_TRUE(model) << settings << ": " << model.error().message;
    const Result<Plan> plan = context.plan(*model, request_for("vllm"));
    ASSERT_TRUE(plan) << settings << ": " << plan.error().message;
    EXPECT_EQ(plan->devices.front().weights_bytes, bytes) << settings;
    EXPECT_TRUE(warns(*plan, WarningCode::kQuantizationUnknown)) << settings;
    EXPECT_THAT(plan->warnings.front().message, HasSubstr("not understood (" + directory.path() + "/config.json#/quantization_config"));
    PlanRequest what_if = request_for("vllm");
    what_if.quantize = {"awq"};
    EXPECT_THAT(context.plan(*model, what_if).error().message, HasSubstr("is quantised already"));
    EXPECT_FALSE(context.load_config(config, "config.json")) << settings; // of which nothing would be known
  }
}

// Quark's fp8 of the same tensors: known, claimed to the last scale.
TEST(StoredMethods, OfQuarkAreClaimed) {
  const auto& context = test::built_context();
  const test::TemporaryDirectory directory;
  const std::uint64_t bytes = write_checkpoint(
      directory.path(), config_of(R"("torch_dtype": "bfloat16", "quantization_config": {"quant_method": "quark", "exclude": ["lm_head"],
        "global_quant_config": {"weight": {"dtype": "fp8_e4m3", "qscheme": "per_tensor"}}})"),
      "F8_E4M3");
  const Plan plan = context.plan(context.load(directory.path()).value(), request_for("max")).value();
  EXPECT_EQ(plan.devices.front().weights_bytes, bytes);
  EXPECT_TRUE(plan.warnings.empty());
}

// What is saved in float32 takes half of it in engines that never compute in 32 bits.
TEST(StoredMethods, OfFloat32AreLoadedIn16Bits) {
  const auto& context = test::built_context();
  const Model model = context.load_config(config_of(R"("torch_dtype": "float32")"), "config.json").value();
  const std::uint64_t whole = context.plan(model, request_for("max"))->devices.front().weights_bytes;
  for (const char* engine : {"vllm", "sglang"}) {
    const Plan half = context.plan(model, request_for(engine)).value();
    EXPECT_EQ(half.devices.front().weights_bytes, whole / 2) << engine;
    EXPECT_EQ(half.request.dtype, "bfloat16") << engine;
    PlanRequest asked = request_for(engine);
    asked.dtype = "float32";
    EXPECT_EQ(context.plan(model, asked)->devices.front().weights_bytes, whole) << engine;
  }
}

} // namespace
} // namespace plimsoll
