// Settings of exporters beside the usual ones, as files that people publish have them: the format that each makes of a layer, and its
// bytes. Sources: configurations of public repositories, their tensor headers, and the exporters' own code.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "storage/quantization.hpp"
#include "unit/storage/bf16.hpp"

namespace plimsoll {
namespace {

using ::testing::HasSubstr;
using SettingsJson = nlohmann::ordered_json;
using testing::kBf16;

// The settings stand under "quantization_config" where `text` is no whole configuration.
Result<Quantization> read_settings_text(const std::string& text) {
  SettingsJson config = SettingsJson::parse(text);
  if (!config.contains("quantization_config") && !config.contains("quantization") && !config.contains("aqlm"))
    config = SettingsJson{{"quantization_config", std::move(config)}};
  QuantizationHints hints;
  hints.names.never_quantized = {"gate"};
  return Quantization::parse(config, nullptr, "config.json", hints);
}

// What settings make of a module, and the bytes of [4096, 4096] in it.
struct SettingsCase {
  const char *settings, *module, *format;
  std::uint64_t bytes;
};
void PrintTo(const SettingsCase& c, std::ostream* out) { *out << c.settings << " for " << c.module; }

constexpr std::uint64_t kElements = 4096 * 4096, kPlain = kElements * 2;

TEST(OtherExporters, MakeFormatsOfLayers) {
  constexpr const char* kUp = "model.layers.3.mlp.up_proj";
  constexpr const char* kExpert = "model.layers.3.mlp.experts.7.up_proj";
  const SettingsCase kCases[]{
      // MLX, both spellings: 4 bits and 2 x 16 for every 64, of the embedding and the head too; some layers have others.
      {R"({"quantization": {"group_size": 64, "bits": 4}})", kUp, "mlx_affine_int4_g64", kElements / 2 + kElements / 64 * 4},
      {R"({"quantization": {"group_size": 64, "bits": 4}, "quantization_config": {"group_size": 64, "bits": 4}})", "lm_head",
       "mlx_affine_int4_g64", kElements / 2 + kElements / 64 * 4},
      {R"({"quantization": {"group_size": 64, "bits": 3}})", kUp, "mlx_affine_int3_g64", kElements * 3 / 8 + kElements / 64 * 4},
      {R"({"quantization": {"group_size": 64, "bits": 4, "model.layers.3.mlp.up_proj": {"group_size": 32, "bits": 8}}})", kUp,
       "mlx_affine_int8_g32", kElements + kElements / 32 * 4},
      {R"({"quantization": {"group_size": 64, "bits": 4, "model.layers.3.mlp.up_proj": false}})", kUp, "plain", kPlain},
      {R"({"quantization": {"group_size": 32, "bits": 4, "mode": "mxfp4"}})", kUp, "mlx_mxfp4_int4_g32", kElements / 2 + kElements / 32},
      // Quark. MXFP4 as AMD's checkpoints have it; fp8 with and without stored input scales; of stages the last is stored.
      {R"({"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "fp4", "qscheme": "per_group", "group_size": 32,
           "scale_format": "e8m0"}, "input_tensors": {"dtype": "fp4", "is_dynamic": true}}, "exclude": ["lm_head"]})",
       kUp, "mxfp4_linear", kElements / 2 + kElements / 32},
      {R"({"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "fp4", "qscheme": "per_group", "group_size": 32}},
           "exclude": ["lm_head", "*up_proj"]})",
       kUp, "plain", kPlain},
      {R"({"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "fp8_e4m3", "qscheme": "per_tensor"}}})", kUp, "fp8_tensor",
       kElements + 4},
      {R"({"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "fp8_e4m3", "qscheme": "per_tensor"},
           "input_tensors": {"dtype": "fp8_e4m3", "is_dynamic": false}}})",
       kUp, "fp8_tensor_static", kElements + 8},
      {R"({"quant_method": "quark", "global_quant_config": {"weight": [{"dtype": "fp8_e4m3", "qscheme": "per_tensor"},
           {"dtype": "int4", "qscheme": "per_channel", "ch_axis": 0}]}})",
       kUp, "quark_int4_channel", kElements / 2 + 4096 * 8},
      {R"({"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "fp8_e4m3", "qscheme": "per_tensor"}},
           "layer_quant_config": {"*up_proj": {"weight": {"dtype": "int8", "qscheme": "per_channel"}}}})",
       kUp, "quark_int8_channel", kElements + 4096 * 8},
      // TorchAO: a word, or a Python object.
      {R"({"quant_method": "torchao", "quant_type": "int4_weight_only", "quant_type_kwargs": {"group_size": 32},
           "modules_to_not_convert": ["conv"]})",
       kUp, "torchao_int4_g32", kElements / 2 + kElements / 32 * 4},
      {R"({"quant_method": "torchao", "quant_type": {"default": {"_type": "Int4WeightOnlyConfig", "_data": {"group_size": 128}}}})", kUp,
       "torchao_int4_g128", kElements / 2 + kElements / 128 * 4},
      {R"({"quant_method": "torchao", "quant_type": {"default": {"_type": "Int8WeightOnlyConfig", "_version": 2,
           "_data": {"granularity": {"_type": "PerRow", "_data": {"dim": -1}}, "group_size": null}}}})",
       kUp, "torchao_int8_channel", kElements + 4096 * 4},
      {R"({"quant_method": "torchao", "quant_type": {"default": {"_type": "Float8DynamicActivationFloat8WeightConfig", "_data": {}}}})",
       kUp, "torchao_fp8_channel", kElements + 4096 * 4},
      {R"({"quant_method": "torchao", "quant_type": {"default": {"_type": "ModuleFqnToConfig", "_data": {"module_fqn_to_config":
           {"_default": {"_type": "Int4WeightOnlyConfig", "_data": {"group_size": 128}}, "model.layers.3.mlp.up_proj": null}}}}})",
       kUp, "plain", kPlain},
      // HQQ: `nbits` or `bits`, at any of three depths.
      {R"({"quant_method": "hqq", "nbits": 4, "group_size": 64})", kUp, "hqq_int4_g64", kElements / 2 + kElements / 64 * 4},
      {R"({"quant_method": "hqq", "quant_config": {"weight_quant_params": {"nbits": 4, "group_size": 64}}})", kUp, "hqq_int4_g64",
       kElements / 2 + kElements / 64 * 4},
      {R"({"quant_method": "hqq", "bits": 8, "group_size": 128})", kUp, "hqq_int8_g128", kElements + kElements / 128 * 4},
      {R"({"quant_method": "hqq", "quant_config": {"mlp.up_proj": {"weight_quant_params": {"nbits": 2, "group_size": 64}}}})", kUp,
       "hqq_int2_g64", kElements / 4 + kElements / 64 * 4},
      // AQLM 1x16: a code of 16 bits for eight weights, a codebook of 65,536 x 8 float16, a scale a row; old files have no method.
      {R"({"in_group_size": 8, "nbits_per_codebook": 16, "num_codebooks": 1, "out_group_size": 1, "quant_method": "aqlm",
           "linear_weights_not_to_quantize": ["model.embed_tokens.weight", "lm_head.weight"]})",
       kUp, "aqlm_1x16_1x8", kElements / 8 * 2 + 65536 * 8 * 2 + 4096 * 2},
      {R"({"aqlm": {"in_group_size": 8, "nbits_per_codebook": 8, "num_codebooks": 2, "out_group_size": 1}})", kUp, "aqlm_2x8_1x8",
       kElements / 8 * 2 + 2 * 256 * 8 * 2 + 4096 * 2},
      // ExLlamaV3: bits of a weight, two vectors of signs; some exports convert routed experts alone.
      {R"({"quant_method": "exl3", "version": "0.0.4", "bits": 4.0, "head_bits": 6})", kUp, "exl3_400", kElements / 2 + 4096 * 4 + 4},
      {R"({"quant_method": "exl3", "bits": 3.5, "head_bits": 6})", "lm_head", "exl3_600", kElements * 6 / 8 + 4096 * 4 + 4},
      {R"({"quant_method": "exl3", "bits": 4, "codebook": "mcg", "scope": "glm53_routed_experts_only"})", kExpert, "exl3_400",
       kElements / 2 + 4096 * 4 + 4},
      {R"({"quant_method": "exl3", "bits": 4, "codebook": "mcg", "scope": "glm53_routed_experts_only"})", kUp, "plain", kPlain},
      // BitNet: four weights a byte; where they are packed when they are used, the file has them whole.
      {R"({"quant_method": "bitnet", "linear_class": "autobitlinear", "quantization_mode": "offline"})", kUp, "bitnet", kElements / 4 + 2},
      {R"({"quant_method": "bitnet", "linear_class": "bitlinear", "quantization_mode": "online"})", kUp, "plain", kPlain},
      // Others with a scale for each row or group.
      {R"({"quant_method": "quanto", "weights": "int8", "modules_to_not_convert": null})", kUp, "quanto_int8_channel",
       kElements + 4096 * 2},
      {R"({"quant_method": "quanto", "weights": "int4"})", kUp, "quanto_int4_g128", kElements / 2 + kElements / 128 * 4},
      {R"({"quant_method": "eetq", "weights": "int8"})", kUp, "eetq_int8_channel", kElements + 4096 * 2},
      {R"({"quant_method": "experts_int8"})", kExpert, "experts_int8_channel", kElements + 4096 * 4},
      {R"({"quant_method": "experts_int8"})", kUp, "plain", kPlain},
      {R"({"quant_method": "moe_wna16", "linear_quant_method": "awq", "bits": 4, "group_size": 128})", kExpert, "awq_int4_g128",
       kElements / 2 + kElements / 128 / 2 + kElements / 128 * 2},
      // Mistral's own fp8, without blocks: one scale of the weight and one of the input.
      {R"({"quant_method": "fp8", "activation_scheme": "static", "dequantize": false, "weight_block_size": null,
           "modules_to_not_convert": ["model.vision_tower", "lm_head"]})",
       kUp, "fp8_tensor_static", kElements + 8}};
  for (const SettingsCase& c : kCases) {
    const Result<Quantization> read = read_settings_text(c.settings);
    ASSERT_TRUE(read) << ::testing::PrintToString(c) << ": " << read.error().message << " at " << read.error().where;
    const Storage& storage = read->storage_for(c.module, std::string_view(c.module) == "lm_head");
    EXPECT_EQ(storage.name(), c.format) << ::testing::PrintToString(c);
    EXPECT_EQ(storage.bytes(LinearShape::matrix(4096, 4096, kBf16)).value(), c.bytes) << ::testing::PrintToString(c);
    EXPECT_TRUE(read->storage_for("model.layers.3.input_layernorm").is_plain()) << ::testing::PrintToString(c);
  }
}

// The published file of Qwen3-14B in 4 bits: 14,767,882,240 weights of matrices, the embedding and the head among them, at 4.5 bits, and
// 424,960 of norms at 16.
TEST(OtherExporters, MlxConvertsTheEmbedding) {
  const Quantization read = read_settings_text(R"({"quantization": {"group_size": 64, "bits": 4}})").value();
  EXPECT_TRUE(read.ends_too());
  EXPECT_EQ(read.method(), "mlx");
  const std::uint64_t elements = 14767882240;
  EXPECT_EQ(elements / 2 + elements / 64 * 4 + 424960 * 2, 8307783680U);
  // Another program's key of that name is not MLX's.
  EXPECT_FALSE(read_settings_text(R"({"quantization": {"enabled": true}})").value().quantized());
}

TEST(OtherExporters, SayWhatIsWrong) {
  struct Row {
    const char *settings, *where, *message;
  };
  for (const Row& row :
       {Row{R"({"quant_method": "quark"})", "/global_quant_config", "weight and input_tensors"},
        Row{R"({"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "int3"}}})", "/weight/dtype", "fp4, int8"},
        Row{R"({"quant_method": "quark", "global_quant_config": {"weight": {"dtype": "int8", "qscheme": "odd"}}})", "/qscheme",
            "per_channel"},
        Row{R"({"quant_method": "quark", "global_quant_config": {"weight": 3}})", "/weight", "an object"},
        Row{R"({"quant_method": "torchao"})", "/quant_type", "int4_weight_only"},
        Row{R"({"quant_method": "torchao", "quant_type": "int5_only"})", "/quant_type", "int8_weight_only"},
        Row{R"({"quant_method": "torchao", "quant_type": {"default": 7}})", "/default", "_type"},
        Row{R"({"quant_method": "hqq", "nbits": 5})", "/nbits", "one of 1, 2, 3, 4, 8 bits"},
        Row{R"({"quant_method": "hqq", "quant_config": 5})", "/quant_config", "an object"},
        Row{R"({"quant_method": "aqlm", "in_group_size": 0})", "/in_group_size", "1"},
        Row{R"({"quant_method": "aqlm", "nbits_per_codebook": 40})", "/nbits_per_codebook", "16"},
        Row{R"({"quant_method": "aqlm", "linear_weights_not_to_quantize": "lm_head"})", "/linear_weights_not_to_quantize", "an array"},
        Row{R"({"quant_method": "exl3", "bits": 0})", "/bits", "1 to 16"},
        Row{R"({"quant_method": "exl3", "bits": "4"})", "/bits", "1 to 16"},
        Row{R"({"quant_method": "bitnet", "quantization_mode": "never"})", "/quantization_mode", "offline or online"},
        Row{R"({"quant_method": "quanto", "weights": "int3"})", "/weights", "float8, int8"},
        Row{R"({"quant_method": "moe_wna16", "linear_quant_method": "odd"})", "/linear_quant_method", "gptq or awq"},
        Row{R"({"quantization": {"group_size": 64, "bits": 7}})", "/quantization/bits", "bits"},
        Row{R"({"quantization": {"group_size": 64, "bits": 4, "mode": "odd"}})", "/mode", "affine"}}) {
    const Result<Quantization> read = read_settings_text(row.settings);
    ASSERT_FALSE(read) << row.settings;
    EXPECT_THAT(read.error().where, HasSubstr(row.where)) << row.settings;
    EXPECT_THAT(read.error().message, HasSubstr(row.message)) << row.settings;
  }
}

// Nobody reads it: nothing is known, and whoever has the tensors themselves can still say what they take.
TEST(OtherExporters, LeaveUnknownMethodsToTheCheckpoint) {
  const Quantization read = read_settings_text(R"({"quant_method": "quux", "bits": 4})").value();
  ASSERT_TRUE(read.unknown());
  EXPECT_EQ(read.method(), "quux");
  EXPECT_FALSE(read.quantized());
  EXPECT_EQ(read.unknown()->code, ErrorCode::kBadConfig);
  EXPECT_THAT(read.unknown()->message, HasSubstr("\"quux\" instead of one of fp8, "));
}

} // namespace
} // namespace plimsoll
