#include "checkpoint/gguf_config.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/source_gguf.hpp"
#include "support/sparse_checkpoint.hpp"

namespace plimsoll {
namespace {

using test::GgufWriter;

Result<nlohmann::ordered_json> config_of(const GgufWriter& writer) {
  const std::string start = writer.start();
  const auto header = parse_gguf(std::as_bytes(std::span(start)), writer.file_bytes(), "f.gguf");
  if (!header) return tl::unexpected(header.error());
  PLIMSOLL_ASSIGN(const std::string name, gguf_architecture_name(header->metadata, "f.gguf"));
  PLIMSOLL_ASSIGN(const GgufArchitecture meaning, test::source_meaning(name, header->metadata));
  return gguf_config(header->metadata, tensor_facts(*header), meaning, "f.gguf");
}

// `keys` of the config, as JSON text.
void expect_keys(const nlohmann::ordered_json& config, const std::string& keys) {
  const auto expected = nlohmann::ordered_json::parse(keys);
  for (const auto& [key, value] : expected.items()) {
    ASSERT_TRUE(config.contains(key)) << key << " in " << config.dump();
    EXPECT_EQ(config[key], value) << key;
  }
}

GgufWriter basics(const std::string& architecture) {
  GgufWriter writer;
  writer.text("general.architecture", architecture).u32(architecture + ".block_count", 4).u32(architecture + ".embedding_length", 64);
  writer.u32(architecture + ".context_length", 8192)
      .u32(architecture + ".feed_forward_length", 256)
      .u32(architecture + ".attention.head_count", 8);
  return writer;
}

TEST(GgufConfig, ADenseModel) {
  auto writer = basics("llama");
  writer.u32("llama.attention.head_count_kv", 2)
      .f32("llama.rope.freq_base", 500000.0F)
      .f32("llama.attention.layer_norm_rms_epsilon", 1e-5F);
  writer.u32("llama.vocab_size", 999).tensor("token_embd.weight", 1, {64, 1000}, 128000);
  const auto config = config_of(writer);
  ASSERT_TRUE(config) << config.error().message;
  expect_keys(
      *config,
      R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64, "num_hidden_layers": 4, "intermediate_size": 256,
    "num_attention_heads": 8, "num_key_value_heads": 2, "vocab_size": 1000, "max_position_embeddings": 8192, "rms_norm_eps": 1e-05, "rope_theta": 500000,
    "tie_word_embeddings": true, "quantization_config": {"quant_method": "gguf"}})");
}

// What a state's size would be guessed without is asked for by its key.
TEST(GgufConfig, WhatAnArchitectureNeedsIsNamedWhereItIsMissing) {
  const auto mamba = [](std::string_view left_out, std::uint32_t instead) {
    auto writer = basics("mamba");
    for (const char* key : {"ssm.conv_kernel", "ssm.inner_size", "ssm.state_size", "ssm.time_step_rank"})
      if (key != left_out) writer.u32(std::string("mamba.") + key, 8);
      else if (instead != UINT32_MAX) writer.u32(std::string("mamba.") + key, instead);
    return config_of(writer);
  };
  ASSERT_TRUE(mamba("", 0));
  for (const char* key : {"ssm.conv_kernel", "ssm.inner_size", "ssm.state_size", "ssm.time_step_rank"})
    for (const std::uint32_t instead : {UINT32_MAX, 0U}) {
      const auto config = mamba(key, instead);
      ASSERT_FALSE(config) << key;
      EXPECT_EQ(config.error().code, ErrorCode::kBadConfig);
      EXPECT_EQ(config.error().where, std::string("f.gguf: 'mamba.") + key + "'");
      EXPECT_THAT(config.error().message, ::testing::HasSubstr(instead == 0 ? "found '0'" : "found nothing"));
    }
  auto writer = basics("lfm2"); // a list without any
  writer.u32s("lfm2.attention.head_count_kv", {0, 0, 0, 0}).u32("lfm2.shortconv.l_cache", 3);
  const auto config = config_of(writer);
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().where, "f.gguf: 'lfm2.attention.head_count_kv'");
}

TEST(GgufConfig, AnOutputTensorMeansAnUntiedHead) {
  auto writer = basics("qwen3");
  writer.u32("qwen3.attention.key_length", 128).u32("qwen3.attention.value_length", 128).tensor("output.weight", 1, {64, 10}, 1280);
  const auto config = config_of(writer);
  ASSERT_TRUE(config);
  expect_keys(*config, R"({"model_type": "qwen3", "tie_word_embeddings": false, "head_dim": 128, "num_key_value_heads": 8})");
}

TEST(GgufConfig, ExpertsUnderEachFamilysNames) {
  auto mixtral = basics("llama");
  mixtral.u32("llama.expert_count", 8).u32("llama.expert_used_count", 2);
  expect_keys(*config_of(mixtral),
              R"({"model_type": "mixtral", "num_local_experts": 8, "num_experts_per_tok": 2, "intermediate_size": 256})");
  auto qwen = basics("qwen3moe");
  qwen.u32("qwen3moe.expert_count", 128).u32("qwen3moe.expert_used_count", 8).u32("qwen3moe.expert_feed_forward_length", 96);
  expect_keys(*config_of(qwen),
              R"({"model_type": "qwen3_moe", "num_experts": 128, "moe_intermediate_size": 96, "intermediate_size": 256})");
  auto oss = basics("gpt-oss");
  oss.u32("gpt-oss.expert_count", 32).u32("gpt-oss.expert_feed_forward_length", 96).u32("gpt-oss.attention.sliding_window", 128);
  expect_keys(*config_of(oss), R"({"model_type": "gpt_oss", "num_local_experts": 32, "intermediate_size": 96, "sliding_window": 128,
    "layer_types": ["sliding_attention", "full_attention", "sliding_attention", "full_attention"]})");
  auto deepseek = basics("deepseek");
  deepseek.u32("deepseek.expert_count", 16).u32("deepseek.leading_dense_block_count", 1).u32("deepseek.expert_shared_count", 1);
  expect_keys(*config_of(deepseek), R"({"n_routed_experts": 16, "n_shared_experts": 1, "first_k_dense_replace": 1})");
  auto glm = basics("glm4moe");
  glm.u32("glm4moe.expert_count", 16).u32("glm4moe.nextn_predict_layers", 1);
  expect_keys(*config_of(glm), R"({"architectures": ["GgufModel"], "model_type": "glm4moe", "num_hidden_layers": 3,
    "num_nextn_predict_layers": 1, "num_experts": 16, "caches_drafts": true, "loads_drafts": false})");
}

// Both generations of DeepSeek files mean the same model.
TEST(GgufConfig, LatentAttentionOldAndNew) {
  const char* expected =
      R"({"model_type": "deepseek_v3", "architectures": ["DeepseekV3ForCausalLM"], "kv_lora_rank": 512, "q_lora_rank": 1536, "qk_nope_head_dim": 128,
    "qk_rope_head_dim": 64, "v_head_dim": 128, "num_attention_heads": 8, "num_key_value_heads": 8, "scoring_func": "sigmoid"})";
  for (const bool absorbed : {false, true}) {
    auto writer = basics("deepseek2");
    const std::string a = "deepseek2.";
    writer.u32(a + "attention.kv_lora_rank", 512)
        .u32(a + "attention.q_lora_rank", 1536)
        .u32(a + "rope.dimension_count", 64)
        .u32(a + "expert_gating_func", 2);
    writer.u32(a + "expert_count", 16).u32(a + "attention.head_count_kv", absorbed ? 1 : 8);
    writer.u32(a + "attention.key_length", absorbed ? 576 : 192).u32(a + "attention.value_length", absorbed ? 512 : 128);
    if (absorbed) writer.u32(a + "attention.key_length_mla", 192).u32(a + "attention.value_length_mla", 128);
    const auto config = config_of(writer);
    ASSERT_TRUE(config) << config.error().message;
    expect_keys(*config, expected);
    EXPECT_FALSE(config->contains("head_dim"));
  }
}

TEST(GgufConfig, HybridsListTheirLayers) {
  auto next = basics("qwen3next");
  next.u32("qwen3next.ssm.conv_kernel", 4)
      .u32("qwen3next.ssm.state_size", 128)
      .u32("qwen3next.ssm.group_count", 16)
      .u32("qwen3next.ssm.time_step_rank", 32);
  next.u32("qwen3next.ssm.inner_size", 4096);
  next.tensor("blk.0.ssm_ba.weight", 1, {64, 64}, 8192);
  expect_keys(*config_of(next), R"({"layer_types": ["linear_attention", "linear_attention", "linear_attention", "full_attention"],
    "linear_conv_kernel_dim": 4, "linear_value_head_dim": 128, "linear_key_head_dim": 128, "linear_num_key_heads": 16,
    "linear_num_value_heads": 32, "linear_projections_fused": false, "linear_gates_fused": true})");
  next.u32("qwen3next.nextn_predict_layers", 1); // planned by what is stored
  expect_keys(*config_of(next),
              R"({"architectures": ["GgufModel"], "layer_types": ["recurrent", "recurrent", "recurrent"], "state": "mamba",
    "ssm": {"conv_kernel": 4, "inner_size": 4096, "state_size": 128, "group_count": 16}})");
  GgufWriter nemotron;
  nemotron.text("general.architecture", "nemotron_h").u32("nemotron_h.block_count", 4).u32("nemotron_h.embedding_length", 64);
  nemotron.u32s("nemotron_h.attention.head_count_kv", {0, 0, 8, 0}).u32s("nemotron_h.feed_forward_length", {0, 128, 0, 0});
  for (const char* key : {"conv_kernel", "inner_size", "state_size", "time_step_rank", "group_count"})
    nemotron.u32(std::string("nemotron_h.ssm.") + key, 4);
  expect_keys(*config_of(nemotron), R"({"layers_block_type": ["mamba", "mlp", "attention", "mamba"], "num_key_value_heads": 8,
    "num_key_value_heads_per_layer": [0, 0, 8, 0]})");
  auto granite = basics("granitehybrid");
  granite.u32s("granitehybrid.attention.head_count_kv", {0, 4, 0, 0});
  expect_keys(*config_of(granite), R"({"layer_types": ["recurrent", "full_attention", "recurrent", "recurrent"]})");
}

// A window is one where the loader acts on it: an array of flags means nothing to Gemma 3, whose period is built in, a key nothing to
// Phi-3 or Llama, and the loader of Gemma 2 needs none.
TEST(GgufConfig, WindowsAreThoseOfTheLoader) {
  const std::string flags = test::little_endian(9, 4) + test::little_endian(7, 4) + test::little_endian(4, 8) + std::string("\1\1\0\1", 4);
  struct Case {
    const char* architecture;
    int window; // -1: no key
    bool listed;
    const char* expected;
  };
  const Case cases[] = {
      {"gemma3", 1024, true, R"({"sliding_window": 1024, "layer_types": ["sliding_attention", "sliding_attention", "sliding_attention",
        "sliding_attention"]})"},
      {"gemma3", 0, false, R"({"sliding_window": 0})"},
      {"gemma2", -1, false, R"({"sliding_window": 4096, "layer_types": ["sliding_attention", "full_attention", "sliding_attention",
        "full_attention"]})"},
      {"mimo2", 128, true, R"({"sliding_window": 128, "layer_types": ["sliding_attention", "sliding_attention", "full_attention",
        "sliding_attention"]})"},
      {"cohere2", 512, true, R"({"sliding_window": 512, "layer_types": ["sliding_attention", "sliding_attention", "sliding_attention",
        "full_attention"]})"},
      {"laguna", 512, false, R"({"sliding_window": 512, "layer_types": ["full_attention", "sliding_attention", "sliding_attention",
        "sliding_attention"]})"},
      {"llama4", -1, false, R"({"sliding_window": 8192, "layer_types": ["chunked_attention", "chunked_attention", "chunked_attention",
        "full_attention"]})"},
      {"llama4", 0, false, R"({"sliding_window": 0})"},
      {"smallthinker", 100, false, R"({"sliding_window": 4096})"},
      {"phi3", 2047, false, R"({"sliding_window": 0})"},
      {"llama", 4096, true, R"({"sliding_window": 0})"},
      {"starcoder2", 4096, false, R"({"sliding_window": 0})"},
      {"exaone4", 4096, false, R"({"sliding_window": null})"},
  };
  for (const Case& c : cases) {
    auto writer = basics(c.architecture);
    const std::string prefix = c.architecture;
    if (c.window >= 0) writer.u32(prefix + ".attention.sliding_window", static_cast<std::uint32_t>(c.window));
    if (c.listed) writer.raw(prefix + ".attention.sliding_window_pattern", flags);
    SCOPED_TRACE(c.architecture);
    expect_keys(*config_of(writer), c.expected);
  }
}

// What a head is wide where the file does not say: the loader's default, not the class's.
TEST(GgufConfig, HeadsAreAsWideAsTheLoaderTakesThem) {
  expect_keys(*config_of(basics("gemma")), R"({"head_dim": 8})"); // 64 over 8; the class says 256
  GgufWriter listed;
  listed.text("general.architecture", "deci").u32("deci.block_count", 4).u32("deci.embedding_length", 64);
  listed.u32s("deci.attention.head_count", {0, 4, 8, 8});
  expect_keys(*config_of(listed), R"({"head_dim": 16})");
  auto apart = basics("plamo3");
  apart.u32("plamo3.attention.key_length", 16).u32("plamo3.attention.value_length", 32);
  expect_keys(*config_of(apart), R"({"head_dim": 16, "v_head_dim": 32})");
}

// Biases are there where they are stored.
TEST(GgufConfig, BiasesAreThoseThatAreStored) {
  EXPECT_FALSE(config_of(basics("llama"))->contains("attention_bias"));
  const auto biased = config_of(basics("llama").tensor("blk.0.attn_q.bias", 0, {64}, 256).tensor("blk.0.ffn_norm.bias", 0, {64}, 256));
  expect_keys(*biased, R"({"attention_bias": true})");
  EXPECT_FALSE(biased->contains("mlp_bias"));
}

TEST(GgufConfig, RopeScaling) {
  auto writer = basics("llama");
  writer.text("llama.rope.scaling.type", "yarn")
      .f32("llama.rope.scaling.factor", 4.0F)
      .u32("llama.rope.scaling.original_context_length", 2048);
  expect_keys(*config_of(writer), R"({"rope_scaling": {"rope_type": "yarn", "factor": 4, "original_max_position_embeddings": 2048}})");
}

TEST(GgufConfig, SaysWhatIsMissing) {
  const auto nothing = config_of(GgufWriter());
  ASSERT_FALSE(nothing);
  EXPECT_EQ(nothing.error().code, ErrorCode::kBadConfig);
  EXPECT_THAT(nothing.error().message, testing::HasSubstr("general.architecture"));
  const auto half = config_of(GgufWriter().text("general.architecture", "clip"));
  ASSERT_FALSE(half);
  EXPECT_THAT(half.error().message, testing::HasSubstr("clip.block_count"));
}

// An architecture that is not in the table keeps its name, so that the refusal can name it.
TEST(GgufConfig, UnknownArchitecturesPassThrough) {
  const auto config = config_of(basics("brandnew"));
  ASSERT_TRUE(config);
  expect_keys(*config, R"({"architectures": ["brandnew"], "model_type": "brandnew", "hidden_size": 64})");
}

// Values of the wrong kind are as good as absent.
TEST(GgufConfig, WrongKindsAreNoSizes) {
  GgufWriter writer;
  writer.text("general.architecture", "llama").text("llama.block_count", "4").i32("llama.embedding_length", -64);
  EXPECT_FALSE(config_of(writer));
}

} // namespace
} // namespace plimsoll
