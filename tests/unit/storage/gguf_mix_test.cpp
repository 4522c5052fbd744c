// Types of tensors in GGUF files: what the rules say of one tensor. Sizes of whole models are in unit/host/what_if_test.cpp.
#include "storage/gguf_mix.hpp"

#include <gtest/gtest.h>
#include <string>

namespace plimsoll {
namespace {

struct MixCase {
  const char *mix, *name;
  std::uint32_t layer;
  std::uint64_t columns;
  const char* type;
};
void PrintTo(const MixCase& c, std::ostream* out) { *out << c.mix << " " << c.name << " in layer " << c.layer; }

// A model of 32 layers whose KV heads serve four query heads each.
MixedModel dense() { return {32, 0, 4, 32, false}; }

std::string_view type_in(const MixCase& c, const MixedModel& model, bool stacked = false) {
  MixedTensor tensor;
  tensor.name = c.name;
  tensor.layer = tensor.value_index = c.layer;
  tensor.columns = c.columns;
  tensor.stacked = stacked;
  return gguf_type(*find_gguf_mix(c.mix), model, tensor).name;
}

TEST(GgufMix, GivesMoreBitsToSomeTensors) {
  constexpr MixCase kCases[]{{"q4_k_m", "blk.attn_q.weight", 0, 4096, "q4_k"},
                             {"q4_k_m", "blk.attn_v.weight", 3, 4096, "q6_k"}, // the first eighth
                             {"q4_k_m", "blk.attn_v.weight", 4, 4096, "q4_k"}, // between, every third
                             {"q4_k_m", "blk.attn_v.weight", 6, 4096, "q6_k"},
                             {"q4_k_m", "blk.ffn_down.weight", 28, 14336, "q6_k"}, // the last eighth
                             {"q4_k_m", "blk.ffn_down_exps.weight", 27, 14336, "q6_k"},
                             {"q4_k_m", "output.weight", 0, 4096, "q6_k"},
                             {"q4_k_m", "token_embd.weight", 0, 4096, "q4_k"},
                             {"q8_0", "output.weight", 0, 4096, "q8_0"},
                             {"q3_k_m", "blk.attn_v.weight", 1, 4096, "q5_k"},
                             {"q3_k_m", "blk.attn_v.weight", 2, 4096, "q4_k"},
                             {"q3_k_m", "blk.ffn_down.weight", 1, 4096, "q5_k"},
                             {"q3_k_m", "blk.ffn_down.weight", 2, 4096, "q4_k"},
                             {"q2_k", "blk.attn_output.weight", 0, 4096, "q3_k"},
                             {"iq2_xxs", "token_embd.weight", 0, 4096, "q2_k"},
                             {"iq2_xxs", "output.weight", 0, 4096, "q5_k"},
                             {"f16", "blk.attn_q.weight", 0, 4096, "float16"},
                             // Routers and small convolutions stay as converters write them; norms have one dimension.
                             {"q4_k_m", "blk.ffn_gate_inp.weight", 0, 4096, "float32"},
                             {"q8_0", "blk.ssm_conv1d.weight", 0, 4, "float32"},
                             // Rows that blocks do not divide: 896 = 3.5 x 256, 100 = 3.1 x 32.
                             {"q4_k_m", "blk.attn_q.weight", 5, 896, "q5_0"},
                             {"q5_k_m", "blk.attn_q.weight", 5, 896, "q5_1"},
                             {"q6_k", "blk.attn_q.weight", 5, 896, "q8_0"},
                             {"q2_k", "blk.attn_q.weight", 5, 896, "q4_0"},
                             {"iq4_xs", "blk.attn_q.weight", 5, 896, "iq4_nl"},
                             {"q4_k_m", "output.weight", 0, 896, "q8_0"},
                             {"q4_k_m", "blk.attn_q.weight", 5, 100, "float16"},
                             // Files of latent attention keep both halves of this one; rows of the keys' half are 128 long.
                             {"q4_k_m", "blk.attn_kv_b.weight", 5, 512, "q5_0"},
                             // Nobody knows what it is: the most bits.
                             {"q4_k_m", "", 5, 4096, "q6_k"}};
  for (const MixCase& c : kCases) EXPECT_EQ(type_in(c, dense()), c.type) << ::testing::PrintToString(c);
}

TEST(GgufMix, LooksAtTheModel) {
  MixedModel eight = dense();
  eight.experts = 8;
  EXPECT_EQ(type_in({"q4_k_m", "blk.attn_v.weight", 5, 4096, ""}, eight), "q8_0");
  EXPECT_EQ(type_in({"q4_k_m", "blk.attn_output.weight", 5, 4096, ""}, eight), "q5_k");
  EXPECT_EQ(type_in({"mxfp4_moe", "blk.ffn_up_exps.weight", 5, 4096, ""}, eight, true), "mxfp4");
  EXPECT_EQ(type_in({"mxfp4_moe", "blk.attn_q.weight", 5, 4096, ""}, eight), "q8_0");
  MixedModel large{80, 0, 8, 80, false};
  EXPECT_EQ(type_in({"q4_k_m", "blk.attn_v.weight", 11, 8192, ""}, large), "q5_k");
  MixedModel tied = dense();
  tied.tied = true;
  EXPECT_EQ(type_in({"q4_k_m", "token_embd.weight", 0, 4096, ""}, tied), "q6_k");
  MixedModel alone = dense();
  alone.heads_per_kv = 1;
  EXPECT_EQ(type_in({"q2_k", "blk.attn_v.weight", 5, 4096, ""}, dense()), "q4_k");
  EXPECT_EQ(type_in({"q2_k", "blk.attn_v.weight", 5, 4096, ""}, alone), "q3_k");
}

// Every type of every mix exists, whatever is asked.
TEST(GgufMix, HasATypeForEverything) {
  for (const std::string_view mix : gguf_mix_names())
    for (const char* name : {"token_embd.weight", "output.weight", "blk.attn_v.weight", "blk.attn_k.weight", "blk.attn_q.weight",
                             "blk.attn_output.weight", "blk.ffn_up.weight", "blk.ffn_down.weight", "blk.else.weight", ""})
      for (const std::uint64_t columns : {1U, 32U, 256U, 4096U, 4100U}) {
        MixedTensor tensor;
        tensor.name = name;
        tensor.columns = columns;
        const Dtype type = gguf_type(*find_gguf_mix(mix), dense(), tensor);
        EXPECT_GT(type.block_bytes, 0U) << mix << " " << name;
        EXPECT_EQ(columns % type.block_elements, 0U) << mix << " " << name << " " << columns;
      }
}

} // namespace
} // namespace plimsoll
