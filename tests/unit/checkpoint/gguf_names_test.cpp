#include "checkpoint/gguf_names.hpp"

#include <gtest/gtest.h>

#include "support/source_gguf.hpp"

namespace plimsoll {
namespace {

struct NameCase {
  const char *stored, *model_type, *name;
};

// The names of the architecture that becomes this model_type.
GgufNames names_of(std::string_view model_type) {
  const test::SourceGguf& words = test::source_gguf();
  for (const GgufWords& family : words.families)
    for (const auto& [name, meanings] : family.architectures)
      for (const GgufArchitecture& meaning : meanings)
        if (meaning.model_type == model_type) return GgufNames(gguf_architecture(name, &meaning, words.common).names);
  ADD_FAILURE() << "no architecture becomes " << model_type;
  return {};
}

TEST(GgufNames, TranslatesPerFamily) {
  const NameCase cases[] = {
      {"token_embd.weight", "llama", "model.embed_tokens.weight"},
      {"output.weight", "llama", "lm_head.weight"},
      {"output_norm.weight", "llama", "model.norm.weight"},
      {"rope_freqs.weight", "llama", "rope_freqs.weight"},
      {"blk.31.attn_q.weight", "llama", "model.layers.31.self_attn.q_proj.weight"},
      {"blk.0.attn_q.bias", "qwen2", "model.layers.0.self_attn.q_proj.bias"},
      {"blk.0.ffn_norm.weight", "llama", "model.layers.0.post_attention_layernorm.weight"},
      {"blk.0.ffn_norm.weight", "gemma3_text", "model.layers.0.pre_feedforward_layernorm.weight"},
      {"blk.0.post_ffw_norm.weight", "gemma2", "model.layers.0.post_feedforward_layernorm.weight"},
      {"blk.5.ffn_gate_exps.weight", "qwen3_moe", "model.layers.5.mlp.experts.gate_proj.weight"},
      {"blk.5.ffn_gate_exps.weight", "mixtral", "model.layers.5.block_sparse_moe.experts.w1.weight"},
      {"blk.5.ffn_gate.3.weight", "mixtral", "model.layers.5.block_sparse_moe.experts.3.w1.weight"},
      {"blk.5.ffn_gate_inp.weight", "gpt_oss", "model.layers.5.mlp.router.weight"},
      {"blk.5.attn_sinks.weight", "gpt_oss", "model.layers.5.self_attn.sinks"},
      {"blk.5.exp_probs_b.bias", "deepseek_v3", "model.layers.5.mlp.gate.e_score_correction_bias"},
      {"blk.5.ffn_up_shexp.weight", "deepseek_v3", "model.layers.5.mlp.shared_experts.up_proj.weight"},
      {"blk.5.attn_kv_a_mqa.weight", "deepseek_v3", "model.layers.5.self_attn.kv_a_proj_with_mqa.weight"},
      {"blk.5.attn_kv_b.weight", "deepseek_v3", "model.layers.5.self_attn.kv_b_proj.weight"},
      {"blk.5.attn_k_b.weight", "deepseek_v3", "model.layers.5.self_attn.k_b_proj.weight"},
      {"blk.5.ffn_up_shexp.weight", "qwen2_moe", "model.layers.5.mlp.shared_expert.up_proj.weight"},
      // Files that are planned by what they store keep their names.
      {"blk.5.ssm_a", "mamba", "blk.5.ssm_a"},
      {"blk.92.attn_q.weight", "glm4moe", "blk.92.attn_q.weight"},
      {"output.weight", "glm4moe", "output.weight"},
      // What nobody knows stays as it is.
      {"blk.5.something_new.weight", "llama", "blk.5.something_new.weight"},
      {"blk.x.attn_q.weight", "llama", "blk.x.attn_q.weight"},
      {"blk.5", "llama", "blk.5"},
      {"blk.", "llama", "blk."},
      {"", "llama", ""},
  };
  std::string name;
  for (const NameCase& c : cases) {
    names_of(c.model_type).translate(c.stored, name);
    EXPECT_EQ(name, c.name) << c.stored << " of " << c.model_type;
  }
}

TEST(GgufNames, LaterSetsWinAndNumbersStandWhereTheNameHasThem) {
  const GgufNames names({{{"blk", "old.{}"}, {"blk.a", "one"}, {"blk.b.{}.c", "b.{}.of"}, {"x", "y$"}},
                         {{"blk", "stack.{}.body"}, {"blk.a", "two"}, {"blk.e.bias", "e_bias"}}});
  const std::pair<const char*, const char*> cases[] = {{"blk.7.a.weight", "stack.7.body.two.weight"},
                                                       {"blk.7.b.12.c.bias", "stack.7.body.b.12.of.bias"},
                                                       {"blk.7.b.x.c", "blk.7.b.x.c"},
                                                       {"blk.7.b.12.d", "blk.7.b.12.d"},
                                                       {"x.weight", "y"},
                                                       {"blk.7.e.bias", "stack.7.body.e_bias"},
                                                       {"blk.7.e.weight", "blk.7.e.weight"},
                                                       {"blk.7.{}", "blk.7.{}"},
                                                       {"blk", "blk"},
                                                       {"blk.7", "blk.7"}};
  std::string name;
  for (const auto& [stored, expected] : cases) {
    names.translate(stored, name);
    EXPECT_EQ(name, expected) << stored;
  }
}

} // namespace
} // namespace plimsoll
