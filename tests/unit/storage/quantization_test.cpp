#include "storage/quantization.hpp"

#include <initializer_list>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "plugin/manifest.hpp"
#include "unit/storage/bf16.hpp"

namespace plimsoll {
namespace {

using Json = nlohmann::ordered_json;
using ::testing::HasSubstr;
using testing::kBf16;

// What the manifests of the built-in families say, all together.
const QuantizationHints& built_in_hints() {
  static const QuantizationHints hints = [] {
    QuantizationHints out;
    for (const char* family : {"dense", "hybrid", "mla", "moe", "vlm"}) {
      const auto manifest = read_manifest(std::string(PLIMSOLL_SOURCE_DIR) + "/plugins/" + family);
      if (!manifest) throw std::runtime_error(manifest.error().where + ": " + manifest.error().message);
      out.names.add(manifest->families.front().names().modules);
    }
    out.text_parts = {"/text_config"};
    return out;
  }();
  return hints;
}

Quantization parse(const Json& config, const Json* hf = nullptr) {
  auto result = Quantization::parse(config, hf, "m/config.json", built_in_hints());
  if (!result) ADD_FAILURE() << result.error().where << ": " << result.error().message;
  return result ? *std::move(result) : Quantization();
}

Json fp8_block() {
  return Json::parse(R"({"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic", "weight_block_size": [128, 128]})");
}

// What a configuration makes of one module.
struct ModuleCase {
  const char *config, *module, *format;
};

// How the numbers of a linear layer become floats, as far as settings say it.
std::optional<Unpacking> unpacking_of(const char* settings) {
  const Json config = {{"quantization_config", Json::parse(settings)}};
  return parse(config).storage_for("model.layers.3.mlp.up_proj").unpacking();
}

TEST(Quantization, SaysHowNumbersAreUnpacked) {
  using Zero = Unpacking::Zero;
  using Index = Unpacking::Index;
  const auto gptq = unpacking_of(R"({"quant_method": "gptq", "bits": 4, "group_size": 64})");
  ASSERT_TRUE(gptq);
  EXPECT_EQ(gptq->order, Unpacking::Order::kByInput);
  EXPECT_EQ(gptq->zero, Zero::kStoredLess);
  EXPECT_EQ(gptq->index, Index::kMayBe);
  EXPECT_EQ(gptq->block_out, 1U);
  EXPECT_EQ(gptq->block_in, 64U);
  EXPECT_EQ(unpacking_of(R"({"quant_method": "gptq", "bits": 8, "checkpoint_format": "gptq_v2"})")->zero, Zero::kStored);
  EXPECT_EQ(unpacking_of(R"({"quant_method": "gptq", "bits": 4, "desc_act": true})")->index, Index::kMust);
  EXPECT_EQ(unpacking_of(R"({"quant_method": "auto-round", "bits": 4, "packing_format": "auto_round:auto_gptq"})")->zero,
            Zero::kStoredLess);
  EXPECT_EQ(unpacking_of(R"({"quant_method": "auto-round", "bits": 4, "packing_format": "auto_round"})")->zero, Zero::kStored);
  EXPECT_EQ(unpacking_of(R"({"quant_method": "auto-round", "bits": 4, "packing_format": "auto_round:auto_awq"})")->order,
            Unpacking::Order::kByInputOutputs);
  for (const char* const unknown :
       {R"({"quant_method": "gptq", "bits": 3})", R"({"quant_method": "gptq", "bits": 4, "checkpoint_format": "bitblas"})",
        R"({"quant_method": "auto-round", "bits": 4, "packing_format": "auto_round:gptq:marlin"})", R"({"quant_method": "awq", "bits": 8})",
        R"({"quant_method": "bitsandbytes", "load_in_8bit": true})", R"({"quant_method": "modelopt", "quant_algo": "NVFP4_AWQ"})"})
    EXPECT_FALSE(unpacking_of(unknown)) << unknown;
  const auto blocks = unpacking_of(R"({"quant_method": "fp8", "weight_block_size": [128, 64]})");
  ASSERT_TRUE(blocks);
  EXPECT_EQ(blocks->block_out, 128U);
  EXPECT_EQ(blocks->block_in, 64U);
  EXPECT_EQ(blocks->element, Unpacking::Element::kFloat8);
  EXPECT_EQ(unpacking_of(R"({"quant_method": "modelopt", "quant_algo": "NVFP4"})")->second, Unpacking::Second::kTimes);
}

// Layers of one name in a plan may still be unpacked in two ways.
TEST(Quantization, KeepsApartWhatIsUnpackedOtherwise) {
  const auto found = parse(Json::parse(R"({"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 64,
    "dynamic": {"+:.*down_proj": {"desc_act": true}}}})"));
  const Storage &up = found.storage_for("model.layers.3.mlp.up_proj"), &down = found.storage_for("model.layers.3.mlp.down_proj");
  EXPECT_EQ(up.name(), down.name());
  EXPECT_EQ(up.unpacking()->index, Unpacking::Index::kMayBe);
  EXPECT_EQ(down.unpacking()->index, Unpacking::Index::kMust);
}

TEST(Quantization, FindsTheFormatOfALayer) {
  constexpr ModuleCase kCases[]{
      {"{}", "model.layers.0.mlp.up_proj", "plain"},
      {R"({"quantization_config": null})", "model.layers.0.mlp.up_proj", "plain"},
      // DeepSeek-V3: no list at all, and still heads, routers and MTP's projection stay.
      {R"({"quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}})", "model.layers.3.self_attn.q_b_proj",
       "fp8_block_128x128"},
      {R"({"quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}})", "lm_head", "plain"},
      {R"({"quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}})", "model.layers.3.mlp.gate", "plain"},
      {R"({"quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}})", "model.layers.61.eh_proj", "plain"},
      {R"({"quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}})", "model.layers.61.shared_head.head", "plain"},
      // MiniMax-M2.5 names segments; Devstral whole modules, with another wrapper than the checkpoint's.
      {R"({"quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128], "modules_to_not_convert": ["gate", "lm_head"]}})",
       "model.layers.0.block_sparse_moe.gate", "plain"},
      {R"({"quantization_config": {"quant_method": "fp8", "activation_scheme": "static", "weight_block_size": null,
           "modules_to_not_convert": ["model.vision_tower", "lm_head"]}})",
       "vision_tower.transformer.layers.0.attention.q_proj", "plain"},
      {R"({"quantization_config": {"quant_method": "fp8", "activation_scheme": "static", "weight_block_size": null}})",
       "model.layers.0.self_attn.q_proj", "fp8_tensor_static"},
      // gpt-oss: experts only.
      {R"({"quantization_config": {"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn", "lm_head"]}})",
       "model.layers.0.mlp.experts.gate_up_proj", "mxfp4"},
      {R"({"quantization_config": {"quant_method": "mxfp4"}})", "model.layers.0.mlp.router", "plain"},
      {R"({"quantization_config": {"quant_method": "mxfp4"}})", "model.layers.0.self_attn.q_proj", "plain"},
      {R"({"quantization_config": {"quant_method": "mxfp4"}})", "model.layers.0.mlp.experts.gate_up_proj_bias", "plain"},
      {R"({"quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 128, "modules_to_not_convert": ["visual"]}})",
       "model.layers.0.mlp.up_proj", "awq_int4_g128"},
      {R"({"quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 128, "modules_to_not_convert": ["visual"]}})",
       "visual.blocks.0.attn.qkv", "plain"},
      {R"({"quantization_config": {"quant_method": "gptq", "bits": 3, "group_size": -1}})", "model.layers.0.mlp.up_proj",
       "gptq_int3_channel"},
      {R"({"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 32, "lm_head": true}})", "lm_head", "gptq_int4_g32"},
      {R"({"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 32, "modules_in_block_to_quantize": [["self_attn.q_proj"], ["mlp.up_proj"]]}})",
       "model.layers.0.mlp.down_proj", "plain"},
      {R"({"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 32, "dynamic": {"+:.*down.*": {"bits": 8}, "-:.*up.*": {}}}})",
       "model.layers.0.mlp.down_proj", "gptq_int8_g32"},
      {R"({"quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 32, "dynamic": {"+:.*down.*": {"bits": 8}, "-:.*up.*": {}}}})",
       "model.layers.0.mlp.up_proj", "plain"},
      {R"({"quantization_config": {"quant_method": "intel/auto-round", "bits": 4, "group_size": 128}})", "model.layers.0.mlp.up_proj",
       "gptq_int4_g128"},
      {R"({"quantization_config": {"producer": {"name": "modelopt"}, "quantization": {"quant_algo": "FP8", "exclude_modules": ["lm_head"]}}})",
       "model.layers.0.mlp.up_proj", "fp8_tensor_static"},
      {R"({"quantization_config": {"quant_method": "auto-round", "bits": 4, "group_size": 128, "packing_format": "auto_round:auto_awq"}})",
       "model.layers.0.mlp.up_proj", "awq_int4_g128"},
      {R"({"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": true, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": true}})",
       "model.layers.0.mlp.up_proj", "bnb_nf4_double"},
      {R"({"quantization_config": {"quant_method": "bitsandbytes", "load_in_8bit": true}})", "model.layers.0.mlp.up_proj", "bnb_int8"},
      {R"({"quantization_config": {"quant_method": "fbgemm_fp8", "modules_to_not_convert": ["model.layers.0.mlp.up_proj"]}})",
       "model.layers.1.mlp.up_proj", "fp8_fbgemm"},
      // compressed-tensors inside text_config: Kimi-K3's lists, Kimi-K2-Thinking's int4.
      {R"({"text_config": {"quantization_config": {"quant_method": "compressed-tensors", "format": "mxfp4-pack-quantized",
           "ignore": ["re:.*self_attn.*", "re:.*mlp\\.(gate|up|gate_up|down)_proj.*"],
           "config_groups": {"group_0": {"targets": ["Linear"], "weights": {"num_bits": 4, "type": "float", "group_size": 32, "strategy": "group"}}}}}})",
       "language_model.model.layers.4.mlp.experts.0.up_proj", "mxfp4_packed"},
      {R"({"text_config": {"quantization_config": {"quant_method": "compressed-tensors", "format": "pack-quantized", "ignore": ["lm_head"],
           "config_groups": {"group_0": {"targets": ["Linear"], "weights": {"num_bits": 4, "type": "int", "group_size": 32, "strategy": "group", "symmetric": true}}}}}})",
       "model.layers.4.mlp.experts.0.up_proj", "int4_g32"},
      {R"({"quantization_config": {"quant_method": "compressed-tensors", "format": "pack-quantized",
           "config_groups": {"group_0": {"targets": ["Linear"], "weights": {"num_bits": 4, "type": "int", "group_size": 128, "symmetric": false, "actorder": "group"}}}}})",
       "model.layers.4.mlp.up_proj", "int4_g128_zp_g_idx"},
      {R"({"quantization_config": {"quant_method": "compressed-tensors", "format": "float-quantized",
           "config_groups": {"group_0": {"targets": ["Linear"], "input_activations": {"dynamic": true}, "weights": {"num_bits": 8, "type": "float", "strategy": "channel"}}}}})",
       "model.layers.4.mlp.up_proj", "fp8_ct_channel"},
      {R"({"quantization_config": {"quant_method": "compressed-tensors", "format": "float-quantized",
           "config_groups": {"group_0": {"targets": ["Linear"], "weights": {"num_bits": 8, "type": "float", "strategy": "block", "block_structure": "128x64"}}}}})",
       "model.layers.4.mlp.up_proj", "fp8_ct_block_128x64"},
      {R"({"compression_config": {"quant_method": "compressed-tensors", "format": "int-quantized",
           "config_groups": {"group_0": {"targets": ["Linear"], "input_activations": {"dynamic": true}, "weights": {"num_bits": 8, "type": "int", "strategy": "channel"}}}}})",
       "model.layers.4.mlp.up_proj", "int8_bytes_channel"},
      {R"({"quantization_config": {"quant_method": "compressed-tensors", "format": "mixed-precision", "config_groups": {
           "a": {"targets": ["re:.*self_attn.*"], "format": "float-quantized", "weights": {"num_bits": 8, "type": "float", "strategy": "tensor"}},
           "b": {"targets": ["Linear"], "format": "nvfp4-pack-quantized", "input_activations": {"dynamic": "local"},
                 "weights": {"num_bits": 4, "type": "float", "group_size": 16, "strategy": "tensor_group"}}}}})",
       "model.layers.4.self_attn.q_proj", "fp8_ct_tensor"},
      {R"({"quantization_config": {"quant_method": "compressed-tensors", "format": "nvfp4-pack-quantized", "config_groups": {
           "b": {"targets": ["Linear"], "input_activations": {"dynamic": "local"},
                 "weights": {"num_bits": 4, "type": "float", "group_size": 16, "strategy": "tensor_group"}}}}})",
       "model.layers.4.mlp.up_proj", "nvfp4_packed"},
      // modelopt: without quant_method, with globs, mixed.
      {R"({"quantization_config": {"quant_algo": "FP8", "ignore": ["lm_head"]}})", "model.layers.0.mlp.up_proj", "fp8_tensor_static"},
      {R"({"quantization_config": {"quant_method": "modelopt", "quant_algo": "NVFP4", "ignore": ["model.layers.0*", "*.mlp.shared_expert.*"]}})",
       "model.layers.1.mlp.shared_expert.up_proj", "plain"},
      {R"({"quantization_config": {"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION", "quantized_layers": {
           "lm_head": {"quant_algo": "W4A16_NVFP4", "group_size": 16}, "model.layers.0.mlp.experts": {"quant_algo": "NVFP4", "group_size": 16},
           "model.layers.0.self_attn.q_proj": {"quant_algo": "MXFP8"}}}})",
       "lm_head", "nvfp4_w4a16"},
      {R"({"quantization_config": {"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION", "quantized_layers": {
           "model.layers.0.mlp.experts": {"quant_algo": "NVFP4", "group_size": 16}, "model.layers.0.self_attn.q_proj": {"quant_algo": "MXFP8"}}}})",
       "model.language_model.layers.0.mlp.experts.7.up_proj", "nvfp4"},
      {R"({"quantization_config": {"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION", "quantized_layers": {
           "model.layers.0.self_attn.q_proj": {"quant_algo": "MXFP8"}}}})",
       "model.layers.0.self_attn.k_proj", "plain"},
      // Mixed: cache scales beside key and value projections, converted or not, but not in drafts.
      {R"({"quantization_config": {"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION", "kv_cache_quant_algo": "FP8",
           "quantized_layers": {"model.layers.0.self_attn.k_proj": {"quant_algo": "FP8"}}}})",
       "model.layers.0.self_attn.k_proj", "fp8_tensor_static_k_scale"},
      {R"({"quantization_config": {"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION", "kv_cache_quant_algo": "FP8",
           "exclude_modules": ["mtp*"], "quantized_layers": {"model.layers.0.self_attn.k_proj": {"quant_algo": "FP8"}}}})",
       "model.layers.1.self_attn.v_proj", "plain_v_scale"},
      {R"({"quantization_config": {"quant_method": "modelopt", "quant_algo": "MIXED_PRECISION", "kv_cache_quant_algo": "FP8",
           "exclude_modules": ["mtp*"], "quantized_layers": {"model.layers.0.self_attn.k_proj": {"quant_algo": "FP8"}}}})",
       "mtp.layers.0.self_attn.v_proj", "plain"},
      {R"({"quantization_config": {"quant_method": "modelopt", "quant_algo": "NVFP4", "kv_cache_quant_algo": "FP8"}})",
       "model.layers.1.self_attn.v_proj", "nvfp4"},
      // Drafts: 4 bits leave them alone, 8 bits do not.
      {R"({"quantization_config": {"quant_method": "modelopt", "quant_algo": "NVFP4"}})", "mtp.layers.0.mixer.experts.7.up_proj", "plain"},
      {R"({"quantization_config": {"quant_method": "modelopt", "quant_algo": "NVFP4"}})", "model.layers.61.eh_proj", "plain"},
      {R"({"quantization_config": {"quant_method": "modelopt", "quant_algo": "FP8"}})", "mtp.layers.0.eh_proj", "fp8_tensor_static"},
      {R"({"quantization_config": {"quant_method": "modelopt", "quant_algo": "FP8"}})", "mtp.layers.0.mixer.gate", "plain"},
      // compressed-tensors' own writer names its version and stores shapes in 64 bits.
      {R"({"quantization_config": {"quant_method": "compressed-tensors", "format": "pack-quantized", "version": "0.10.2", "config_groups": {
           "group_0": {"targets": ["Linear"], "weights": {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 128}}}}})",
       "model.layers.0.mlp.up_proj", "int4_g128_wide"},
      // DeepSeek-V4: fp8 blocks (the planner names the scales' type) with 4-bit experts, and NVIDIA's re-export of the experts.
      {R"({"expert_dtype": "fp4", "quantization_config": {"quant_method": "fp8", "scale_fmt": "ue8m0", "weight_block_size": [128, 128]}})",
       "layers.3.ffn.experts.0.w1", "mxfp4_scale"},
      {R"({"expert_dtype": "fp4", "quantization_config": {"quant_method": "fp8", "scale_fmt": "ue8m0", "weight_block_size": [128, 128]}})",
       "layers.3.ffn.shared_experts.w1", "fp8_block_128x128"},
      {R"({"expert_dtype": "fp4", "quantization_config": {"quant_method": "fp8", "scale_fmt": "ue8m0", "weight_block_size": [128, 128],
           "quant_algo": "MIXED_PRECISION", "quantized_layers": {"layers.3.ffn.experts": {"quant_algo": "NVFP4", "group_size": 16}}}})",
       "layers.3.ffn.experts.0.w1", "nvfp4"},
      {R"({"expert_dtype": "fp4", "quantization_config": {"quant_method": "fp8", "scale_fmt": "ue8m0", "weight_block_size": [128, 128],
           "quant_algo": "MIXED_PRECISION", "quantized_layers": {"layers.3.ffn.experts": {"quant_algo": "NVFP4", "group_size": 16}}}})",
       "mtp.0.ffn.experts.0.w1", "mxfp4_scale"},
      {R"({"model_type": "deepseek_v32", "quantization_config": {"quant_method": "fp8", "scale_fmt": "ue8m0", "weight_block_size": [128, 128]}})",
       "model.layers.3.self_attn.indexer.wk", "fp8_block_128x128"},
  };
  for (const ModuleCase& c : kCases)
    EXPECT_EQ(parse(Json::parse(c.config)).storage_for(c.module).name(), c.format) << c.module << " in " << c.config;
}

TEST(Quantization, ReadsModeloptsOwnFile) {
  const Json hf = Json::parse(R"({"producer": {"name": "modelopt"}, "quantization": {"quant_algo": "NVFP4", "kv_cache_quant_algo": "FP8",
    "group_size": 16, "exclude_modules": ["lm_head", "model.layers.61*"]}})");
  const Quantization q = parse(Json::parse(R"({"torch_dtype": "bfloat16"})"), &hf);
  EXPECT_EQ(q.method(), "modelopt");
  EXPECT_EQ(q.storage_for("model.layers.5.mlp.experts.1.up_proj").name(), "nvfp4");
  EXPECT_TRUE(q.storage_for("model.layers.61.mlp.experts.1.up_proj").is_plain());
  EXPECT_EQ(q.kv_cache_dtype(), "float8_e4m3fn");
  EXPECT_TRUE(q.is_fp4());
  EXPECT_EQ(q.weight_type_bytes(kBf16), 1U);

  // config.json wins; what it leaves open comes from the other file.
  const Json config = Json::parse(R"({"quantization_config": {"quant_method": "modelopt", "quant_algo": "FP8"}})");
  const Quantization both = parse(config, &hf);
  EXPECT_EQ(both.storage_for("model.layers.5.mlp.experts.1.up_proj").name(), "fp8_tensor_static");
  EXPECT_TRUE(both.storage_for("model.layers.61.mlp.up_proj").is_plain());
  EXPECT_EQ(both.kv_cache_dtype(), "float8_e4m3fn");
}

TEST(Quantization, KvCacheHints) {
  const auto hint = [](const char* settings) {
    Json config = {{"quantization_config", Json::parse(settings)}};
    return parse(config).kv_cache_dtype().value_or("none");
  };
  EXPECT_EQ(hint(R"({"quant_algo": "FP8", "kv_cache_scheme": {"dynamic": false, "num_bits": 8, "type": "float"}})"), "float8_e4m3fn");
  EXPECT_EQ(hint(R"({"quant_algo": "FP8", "kv_cache_scheme": "FP8"})"), "float8_e4m3fn");
  EXPECT_EQ(hint(R"({"quant_algo": "FP8", "kv_cache_scheme": {"num_bits": 8, "type": "int"}})"), "int8");
  EXPECT_EQ(hint(R"({"quant_algo": "NVFP4", "kv_cache_quant_algo": "NVFP4"})"), "nvfp4");
  EXPECT_EQ(hint(R"({"quant_algo": "NVFP4", "kv_cache_quant_algo": null})"), "none");
  EXPECT_EQ(hint(R"({"quant_algo": "NVFP4", "kv_cache_scheme": [3]})"), "none");
}

TEST(Quantization, NothingIsPlain) {
  const Quantization q;
  EXPECT_FALSE(q.quantized());
  EXPECT_TRUE(q.storage_for("model.layers.0.mlp.up_proj").is_plain());
  EXPECT_TRUE(q.main_storage().is_plain());
  EXPECT_EQ(q.weight_type_bytes(kBf16), 2U);
  EXPECT_FALSE(q.is_fp4());
  EXPECT_EQ(q.method(), "");
}

// Whole models from their dimensions, against the totals of their files.
class Total {
public:
  explicit Total(const Quantization& q) : q_(q) {}
  void linear(const std::string& module, std::uint64_t out, std::uint64_t in) {
    sum_ += q_.storage_for(module).bytes(LinearShape::matrix(out, in, kBf16));
  }
  void packed(const std::string& module, std::uint64_t experts, std::uint64_t out, std::uint64_t in) {
    sum_ += q_.storage_for(module).bytes(LinearShape::packed(experts, out, in, kBf16));
  }
  void plain(std::uint64_t elements, std::uint64_t element_bytes = 2) { sum_ += Checked(elements) * element_bytes; }
  std::uint64_t bytes() const { return sum_.value(); }

private:
  const Quantization& q_;
  Checked sum_;
};

std::uint64_t deepseek_v3_bytes(const Quantization& q) {
  constexpr std::uint64_t h = 7168, v = 129280, heads = 128;
  Total t(q);
  t.plain(2 * v * h + h);
  for (int i = 0; i <= 61; ++i) {
    const std::string layer = fmt::format("model.layers.{}.", i), a = layer + "self_attn.";
    t.linear(a + "q_a_proj", 1536, h);
    t.linear(a + "q_b_proj", heads * 192, 1536);
    t.linear(a + "kv_a_proj_with_mqa", 576, h);
    t.linear(a + "kv_b_proj", heads * 256, 512);
    t.linear(a + "o_proj", h, heads * 128);
    t.plain(1536 + 512 + 2 * h);
    const auto ffn = [&](const std::string& name, std::uint64_t width) {
      t.linear(name + "gate_proj", width, h);
      t.linear(name + "up_proj", width, h);
      t.linear(name + "down_proj", h, width);
    };
    if (i < 3) ffn(layer + "mlp.", 18432);
    else {
      t.linear(layer + "mlp.gate", 256, h);
      t.plain(256, 4);
      for (int e = 0; e < 256; ++e) ffn(fmt::format("{}mlp.experts.{}.", layer, e), 2048);
      ffn(layer + "mlp.shared_experts.", 2048);
    }
    if (i == 61) {
      t.linear(layer + "eh_proj", h, 2 * h);
      t.linear(layer + "shared_head.head", v, h);
      t.plain(v * h + 3 * h);
    }
  }
  return t.bytes();
}

TEST(Quantization, TotalOfDeepSeekV3) { EXPECT_EQ(deepseek_v3_bytes(parse({{"quantization_config", fp8_block()}})), 688574839360U); }

// V3.2 is V3 and an indexer in each layer, whose weights_proj has no scales: 689,468,986,496 bytes in all.
TEST(Quantization, TotalOfDeepSeekV32) {
  const Quantization q = parse({{"quantization_config", fp8_block()}});
  Total t(q);
  for (int i = 0; i <= 61; ++i) {
    const std::string indexer = fmt::format("model.layers.{}.self_attn.indexer.", i);
    t.linear(indexer + "wq_b", 8192, 1536);
    t.linear(indexer + "wk", 128, 7168);
    t.linear(indexer + "weights_proj", 64, 7168);
    t.plain(2 * 128);
  }
  EXPECT_EQ(deepseek_v3_bytes(q) + t.bytes(), 689468986496U);
}

TEST(Quantization, MainStorageHoldsTheBulk) {
  const Quantization q = parse(Json::parse(R"({"quantization_config": {"quant_algo": "MIXED_PRECISION", "quantized_layers": {
    "model.layers.0.self_attn.q_proj": {"quant_algo": "FP8"}, "model.layers.0.mlp.experts": {"quant_algo": "W4A16_NVFP4", "group_size": 16}}}})"));
  EXPECT_EQ(q.main_storage().name(), "nvfp4_w4a16");
}

TEST(Quantization, TotalOfDeepSeekV31Nvfp4) {
  Json exclude = {"lm_head"};
  for (int i = 0; i < 61; ++i)
    for (const char* name : {"kv_a_proj_with_mqa", "kv_b_proj", "q_a_proj", "q_b_proj"})
      exclude.push_back(fmt::format("model.layers.{}.self_attn.{}", i, name));
  exclude.push_back("model.layers.61*");
  const Json hf = {{"quantization", {{"quant_algo", "NVFP4"}, {"group_size", 16}, {"exclude_modules", exclude}}}};
  EXPECT_EQ(deepseek_v3_bytes(parse(Json::object(), &hf)), 413306995616U);
}

TEST(Quantization, TotalOfGptOss20b) {
  const Quantization q = parse(Json::parse(R"({"quantization_config": {"quant_method": "mxfp4", "modules_to_not_convert":
    ["model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"]}})"));
  constexpr std::uint64_t h = 2880, v = 201088, e = 32;
  Total t(q);
  t.plain(2 * v * h + h);
  for (int i = 0; i < 24; ++i) {
    const std::string layer = fmt::format("model.layers.{}.", i);
    t.linear(layer + "self_attn.q_proj", 4096, h);
    t.linear(layer + "self_attn.k_proj", 512, h);
    t.linear(layer + "self_attn.v_proj", 512, h);
    t.linear(layer + "self_attn.o_proj", h, 4096);
    t.plain(4096 + 512 + 512 + h + 64 + 2 * h);
    t.linear(layer + "mlp.router", e, h);
    t.packed(layer + "mlp.experts.gate_up_proj", e, 2 * h, h);
    t.packed(layer + "mlp.experts.down_proj", e, h, h);
    t.plain(e + e * 3 * h);
  }
  EXPECT_EQ(t.bytes(), 13761264768U);
}

TEST(Quantization, TotalsOfQwen332bFp8) {
  const auto total = [](const Quantization& q) {
    constexpr std::uint64_t h = 5120, f = 25600, v = 151936;
    Total t(q);
    t.plain(2 * v * h + h);
    for (int i = 0; i < 64; ++i) {
      const std::string layer = fmt::format("model.layers.{}.", i);
      t.linear(layer + "self_attn.q_proj", 8192, h);
      t.linear(layer + "self_attn.k_proj", 1024, h);
      t.linear(layer + "self_attn.v_proj", 1024, h);
      t.linear(layer + "self_attn.o_proj", h, 8192);
      t.linear(layer + "mlp.gate_proj", f, h);
      t.linear(layer + "mlp.up_proj", f, h);
      t.linear(layer + "mlp.down_proj", h, f);
      t.plain(2 * 128 + 2 * h);
    }
    return t.bytes();
  };
  EXPECT_EQ(total(parse({{"quantization_config", fp8_block()}})), 34326243328U);
  EXPECT_EQ(total(parse(Json::parse(R"({"quantization_config": {"quant_algo": "FP8", "ignore": ["lm_head"]}})"))), 34318628352U);
}

struct BadCase {
  const char *settings, *where, *message;
};

TEST(Quantization, RefusesBadSettings) {
  constexpr BadCase kCases[]{
      {R"([])", "", "an object"},
      {R"({"bits": 4})", "/quant_method", "one of fp8, "},
      {R"({"quant_method": 3})", "/quant_method", "3 instead of a string"},
      {R"({"quant_method": "fp8", "weight_block_size": [0, 128]})", "/weight_block_size/0", "0 instead of an integer from 1"},
      {R"({"quant_method": "fp8", "weight_block_size": [128, 18446744073709551615]})", "/weight_block_size/1", "instead of an integer"},
      {R"({"quant_method": "fp8", "weight_block_size": [128]})", "/weight_block_size", "two integers"},
      {R"({"quant_method": "fp8", "weight_block_size": 128})", "/weight_block_size", "two integers"},
      {R"({"quant_method": "fp8", "weight_block_size": [1.5, 2]})", "/weight_block_size/0", "1.5 instead of"},
      {R"({"quant_method": "fp8", "weight_block_size": [128, 128], "modules_to_not_convert": "lm_head"})", "/modules_to_not_convert",
       "an array"},
      {R"({"quant_method": "fp8", "weight_block_size": [128, 128], "modules_to_not_convert": ["a", 3]})", "/modules_to_not_convert/1",
       "a module name"},
      {R"({"quant_method": "gptq", "bits": 77})", "/bits", "77 instead of an integer"},
      {R"({"quant_method": "gptq", "bits": 5})", "/bits", "one of 2, 3, 4, 8 bits"},
      {R"({"quant_method": "gptq", "bits": 4, "group_size": 0})", "/group_size", "-1 for one group"},
      {R"({"quant_method": "awq", "bits": 4, "group_size": -5})", "/group_size", "-5 instead of"},
      {R"({"quant_method": "awq", "bits": 4, "group_size": 99999999999})", "/group_size", "99999999999 instead of"},
      {R"({"quant_method": "gptq", "bits": 4, "dynamic": {"-:(": {}}})", "/dynamic/-:(", "unmatched"},
      {R"({"quant_method": "gptq", "bits": 4, "dynamic": {"+:a/b~": {"bits": 99}}})", "/dynamic/+:a~1b~0/bits", "99 instead of"},
      {R"({"quant_method": "bitsandbytes"})", "", "one of load_in_4bit"},
      {R"({"quant_method": "bitsandbytes", "load_in_4bit": 1})", "/load_in_4bit", "true or false"},
      {R"({"quant_method": "bitsandbytes", "load_in_4bit": true, "bnb_4bit_quant_type": "nf3"})", "/bnb_4bit_quant_type", "nf4 or fp4"},
      {R"({"quant_method": "compressed-tensors"})", "/config_groups", "an object of groups"},
      {R"({"quant_method": "compressed-tensors", "config_groups": {"g": 3}})", "/config_groups/g", "an object"},
      {R"({"quant_method": "compressed-tensors", "config_groups": {"g": {"targets": "Linear", "weights": {}}}})",
       "/config_groups/g/targets", "an array"},
      {R"({"quant_method": "compressed-tensors", "format": "marlin-24", "config_groups": {"g": {"weights": {"num_bits": 4}}}})",
       "/config_groups/g/weights", "marlin-24"},
      {R"({"quant_method": "compressed-tensors", "config_groups": {"g": {"weights": {"num_bits": 4, "group_size": 0}}}})",
       "/config_groups/g/weights/group_size", "0 instead of"},
      {R"({"quant_method": "compressed-tensors", "config_groups": {"g": {"weights": {"num_bits": 8, "strategy": "block", "block_structure": "128x0"}}}})",
       "/config_groups/g/weights/block_structure", "two integers"},
      {R"({"quant_method": "compressed-tensors", "config_groups": {"g": {"weights": {"num_bits": 8, "strategy": "spiral"}}}})",
       "/config_groups/g/weights/strategy", "tensor, channel"},
      {R"({"quant_method": "compressed-tensors", "config_groups": {}, "sparsity_config": {"format": "sparse-24-bitmask"}})",
       "/sparsity_config/format", "dense"},
      {R"({"quant_method": "compressed-tensors", "config_groups": {}, "ignore": ["re:a\\b"]})", "/ignore/0", "not supported"},
      {R"({"quant_algo": "FP7"})", "/quant_algo", "one of fp8, "},
      {R"({"quant_algo": "MIXED_PRECISION"})", "/quantized_layers", "names the quantised modules"},
      {R"({"quant_algo": "MIXED_PRECISION", "quantized_layers": {"a.b": 3}})", "/quantized_layers/a.b", "quant_algo"},
      {R"({"quant_algo": "MIXED_PRECISION", "quantized_layers": {"a.b": {"quant_algo": "NVFP4", "group_size": 0}}})",
       "/quantized_layers/a.b/group_size", "0 instead of"},
  };
  for (const BadCase& c : kCases) {
    const auto result = Quantization::parse(Json{{"quantization_config", Json::parse(c.settings)}}, nullptr, "m/config.json", {});
    ASSERT_FALSE(result) << c.settings;
    EXPECT_EQ(result.error().code, ErrorCode::kBadConfig) << c.settings;
    EXPECT_EQ(result.error().where, std::string("m/config.json#/quantization_config") + c.where) << c.settings;
    EXPECT_THAT(result.error().message, HasSubstr(c.message)) << c.settings;
  }
  const Json hf = Json::parse(R"({"quantization": {"quant_algo": "NVFP4", "group_size": "16"}})");
  const auto result = Quantization::parse(Json::object(), &hf, "m/config.json", {});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().where, "m/hf_quant_config.json#/quantization/group_size");
}

TEST(Quantization, HugeListsAreRefusedOrQuick) {
  Json many = Json::array();
  for (int i = 0; i < 300000; ++i) many.push_back("model.layers." + std::to_string(i));
  Json config = {{"quantization_config", fp8_block()}};
  config["quantization_config"]["modules_to_not_convert"] = std::move(many);
  const auto refused = Quantization::parse(config, nullptr, "config.json", {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().where, "config.json#/quantization_config/modules_to_not_convert/200000");

  // MiniMax-M3 lists 22,000 layers one by one.
  std::string layers;
  for (int i = 0; i < 60; ++i)
    for (int e = 0; e < 128; ++e)
      layers += fmt::format(R"({}"model.layers.{}.block_sparse_moe.experts.{}.w1": {{"quant_algo": "NVFP4", "group_size": 16}})",
                            layers.empty() ? "" : ",", i, e);
  const Quantization q =
      parse(Json::parse(R"({"quantization_config": {"quant_algo": "MIXED_PRECISION", "quantized_layers": {)" + layers + "}}}"));
  for (int i = 0; i < 60; ++i)
    for (int e = 0; e < 129; ++e)
      EXPECT_EQ(q.storage_for(fmt::format("model.layers.{}.block_sparse_moe.experts.{}.w1", i, e)).is_plain(), e == 128);
}

} // namespace
} // namespace plimsoll
