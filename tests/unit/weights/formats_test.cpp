// A Llama in every quantisation format: the tensors that its exporter writes, as its documentation lays them out, are exactly
// those that the library expects. And GGUF files, which choose a type for each tensor.
#include <gmock/gmock.h>

#include "unit/weights/formats.hpp"

namespace plimsoll::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(Formats, AreStoredAsTheirExportersWriteThem) {
  for (const FormatCase& c : format_cases()) {
    SCOPED_TRACE(c.name);
    Json config = llama_config();
    config["torch_dtype"] = c.base;
    config["quantization_config"] = c.quantization;
    const Tensors tensors = llama(c.linear, std::string(c.base) == "float16" ? "F16" : "BF16");
    const WeightsReport report = report_of(config, tensors);
    EXPECT_EQ(report.parameters * 2, bytes_of(llama())) << "parameters count values, however they are packed";
    EXPECT_THAT(report.rank_bytes, ElementsAre(bytes_of(tensors)));
    if (c.exact) {
      expect_clean(report, tensors);
      continue;
    }
    EXPECT_THAT(names_of(report.unclaimed), IsEmpty());
    EXPECT_THAT(report.missing, IsEmpty());
    EXPECT_THAT(names_of(report.mismatched), IsEmpty());
    EXPECT_NEAR(static_cast<double>(report.declared_bytes), static_cast<double>(bytes_of(tensors)), 14 * 64);
  }
}

TEST(Formats, LeaveOutTheLayersThatTheConfigurationExcludes) {
  Json config = llama_config();
  config["quantization_config"] = {{"quant_method", "fp8"},
                                   {"weight_block_size", {128, 128}},
                                   {"activation_scheme", "dynamic"},
                                   {"modules_to_not_convert", {"model.layers.1.mlp.down_proj", "lm_head"}}};
  const Tensors tensors = llama([](const std::string& n, std::uint64_t o, std::uint64_t i) {
    if (n == "model.layers.1.mlp.down_proj") return plain(n, o, i);
    return Tensors{{n + ".weight", "F8_E4M3", {o, i}}, {n + ".weight_scale_inv", "F32", {o / 128, i / 128}}};
  });
  expect_clean(report_of(config, tensors), tensors);
}

// gpt-oss: experts in one tensor, their blocks of 32 values with a scale each; 2 layers of width 64, 4 experts of 96.
TEST(Formats, BlocksOfStackedExperts) {
  Json config = moe_config();
  config.update(
      {{"architectures", {"GptOssForCausalLM"}},
       {"model_type", "gpt_oss"},
       {"intermediate_size", 96},
       {"num_local_experts", 4},
       {"sliding_window", 128},
       {"layer_types", {"sliding_attention", "full_attention"}},
       {"quantization_config",
        {{"quant_method", "mxfp4"}, {"modules_to_not_convert", {"model.layers.*.self_attn", "model.layers.*.mlp.router", "lm_head"}}}}});
  for (const char* key : {"num_experts", "moe_intermediate_size", "decoder_sparse_step", "mlp_only_layers"}) config.erase(key);
  Tensors tensors{
      {"model.embed_tokens.weight", "BF16", {128, 64}}, {"model.norm.weight", "BF16", {64}}, {"lm_head.weight", "BF16", {128, 64}}};
  for (const char* layer : {"model.layers.0.", "model.layers.1."}) {
    const std::string at = layer, experts = at + "mlp.experts.";
    for (const auto& [name, rows] : {std::pair<const char*, std::uint64_t>{"q", 64}, {"k", 32}, {"v", 32}, {"o", 64}}) {
      append(tensors, plain(at + "self_attn." + name + "_proj", rows, 64));
      append(tensors, {{at + "self_attn." + name + "_proj.bias", "BF16", {rows}}});
    }
    append(tensors, {{at + "self_attn.sinks", "BF16", {4}},
                     {at + "input_layernorm.weight", "BF16", {64}},
                     {at + "post_attention_layernorm.weight", "BF16", {64}},
                     {at + "mlp.router.weight", "BF16", {4, 64}},
                     {at + "mlp.router.bias", "BF16", {4}},
                     {experts + "gate_up_proj_blocks", "U8", {4, 192, 2, 16}},
                     {experts + "gate_up_proj_scales", "U8", {4, 192, 2}},
                     {experts + "gate_up_proj_bias", "BF16", {4, 192}},
                     {experts + "down_proj_blocks", "U8", {4, 64, 3, 16}},
                     {experts + "down_proj_scales", "U8", {4, 64, 3}},
                     {experts + "down_proj_bias", "BF16", {4, 64}}});
  }
  expect_clean(report_of(config, tensors), tensors);
}

// Type numbers of the format and bytes of a tensor: F32, 4-bit and 6-bit blocks of 256 values.
constexpr std::uint32_t kF32 = 0, kQ4K = 12, kQ6K = 14;

std::uint64_t gguf_bytes(std::uint32_t type, std::uint64_t elements) {
  return type == kF32 ? elements * 4 : elements / 256 * (type == kQ4K ? 144 : 210);
}

TEST(Gguf, MixedTypesCountAsStoredAndRotaryTablesAreNoStrangers) {
  test::TemporaryDirectory directory;
  test::GgufWriter file;
  file.text("general.architecture", "llama").u32("llama.block_count", 2).u32("llama.embedding_length", 256);
  file.u32("llama.attention.head_count", 4).u32("llama.attention.head_count_kv", 2).u32("llama.feed_forward_length", 512);
  file.u32("llama.context_length", 4096).u32("llama.vocab_size", 100);
  std::uint64_t stored = 0;
  const auto tensor = [&](const std::string& name, std::uint32_t type, const std::vector<std::uint64_t>& dims) {
    std::uint64_t elements = 1;
    for (const std::uint64_t dim : dims) elements *= dim;
    file.tensor(name, type, dims, gguf_bytes(type, elements));
    stored += gguf_bytes(type, elements);
  };
  tensor("token_embd.weight", kQ4K, {256, 100});
  tensor("output.weight", kQ6K, {256, 100});
  tensor("output_norm.weight", kF32, {256});
  tensor("rope_freqs.weight", kF32, {32});
  for (const char* layer : {"blk.0.", "blk.1."}) {
    const std::string at = layer;
    tensor(at + "attn_q.weight", kQ4K, {256, 256});
    tensor(at + "attn_k.weight", kQ4K, {256, 128});
    tensor(at + "attn_v.weight", at == "blk.0." ? kQ6K : kQ4K, {256, 128});
    tensor(at + "attn_output.weight", kQ4K, {256, 256});
    tensor(at + "ffn_gate.weight", kQ4K, {256, 512});
    tensor(at + "ffn_up.weight", kQ4K, {256, 512});
    tensor(at + "ffn_down.weight", at == "blk.0." ? kQ6K : kQ4K, {512, 256});
    tensor(at + "attn_norm.weight", kF32, {256});
    tensor(at + "ffn_norm.weight", kF32, {256});
  }
  const std::string path = directory / "small.gguf";
  file.write(path);
  const WeightsReport report = report_of(path);
  EXPECT_EQ(report.source, WeightsSource::kGguf);
  EXPECT_EQ(report.stored_bytes, stored);
  EXPECT_EQ(report.parameters * 2, bytes_of(llama()));
  EXPECT_THAT(report.rank_bytes, ElementsAre(stored));
  for (const WeightClassInfo& c : report.classes)
    if (c.label == "mlp.down_proj") {
      EXPECT_EQ(c.stored_bytes, gguf_bytes(kQ6K, 512 * 256) + gguf_bytes(kQ4K, 512 * 256));
    }
  EXPECT_THAT(names_of(report.unclaimed), IsEmpty());
  EXPECT_THAT(report.missing, IsEmpty());
  EXPECT_THAT(names_of(report.mismatched), IsEmpty());
  EXPECT_THAT(report.notes, ElementsAre(HasSubstr("rotary")));
  PlanRequest cast;
  cast.dtype = "float16";
  EXPECT_LE(report_of(path, cast).rank_bytes.at(0), stored); // block types stay, the few norms may shrink
}

} // namespace
} // namespace plimsoll::testing
