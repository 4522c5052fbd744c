// Real models op by op: how many of each kind, so that a description that changes is seen.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "recorder.hpp"

namespace plimsoll::testing {
namespace {

struct Row {
  const char* model;
  const char* ops; // kinds in alphabetical order
};
// A dense layer is 7 linear layers, 2 norms, 2 rotations, an attention, a gate and a sum; norms on queries and keys are 2 more, norms
// behind attention and FFN 2 norms and a sum more. Embedding and head are an op, a norm, a linear layer and the rows that want logits.
constexpr Row kRows[] = {
    {"meta-llama__Llama-3.1-8B", "add 32, attend 32, embed 1, gate 32, last_rows 1, linear 225, norm 65, rope 64"},
    {"Qwen__Qwen3-0.6B", "add 28, attend 28, embed 1, gate 28, last_rows 1, linear 197, norm 113, rope 56"},
    {"microsoft__Phi-3-mini-4k-instruct", "add 32, attend 32, embed 1, gate 32, last_rows 1, linear 225, norm 65, rope 64"},
    {"google__gemma-2-9b", "add 84, attend 42, embed 1, gate 43, last_rows 1, linear 295, norm 169, rope 84"}, // a cap on logits
    {"google__gemma-3-1b-it", "add 52, attend 26, embed 1, gate 26, last_rows 1, linear 183, norm 157, rope 52"},
    {"mistralai__Mixtral-8x7B-v0.1", "add 32, attend 32, embed 1, experts 32, last_rows 1, linear 129, norm 65, rope 64, route 32"},
    {"Qwen__Qwen3-30B-A3B", "add 48, attend 48, embed 1, experts 48, last_rows 1, linear 193, norm 193, rope 96, route 48"},
    // Shared experts, let in by a gate of one column.
    {"Qwen__Qwen2-57B-A14B",
     "add 28, attend 28, embed 1, experts 28, gate 28, last_rows 1, linear 225, norm 57, rope 56, route 28, scale_rows 28"},
    // 36 layers turn and norm, 12 do not; a shared expert everywhere. Of the other every second layer is dense, and none norms.
    {"meta-llama__Llama-4-Scout-17B-16E-Instruct",
     "add 48, attend 48, embed 1, experts 48, gate 48, last_rows 1, linear 337, norm 169, rope 72, route 48"},
    {"meta-llama__Llama-4-Maverick-17B-128E-Instruct",
     "add 48, attend 48, embed 1, experts 24, gate 48, last_rows 1, linear 337, norm 97, rope 72, route 24"},
    {"openai__gpt-oss-20b", "add 24, attend 24, embed 1, experts 24, last_rows 1, linear 97, norm 49, rope 48, route 24"},
    {"zai-org__GLM-4.6", "add 92, attend 92, embed 1, experts 89, gate 92, last_rows 1, linear 645, norm 369, rope 184, route 89"},
    // 61 layers, 3 of them dense; 4 linear layers of the attention, 3 of an FFN or of the shared expert.
    {"deepseek-ai__DeepSeek-V3",
     "add 61, attend_latent 61, embed 1, experts 58, gate 61, last_rows 1, linear 428, norm 245, rope 122, route 58"},
    // Queries are not compressed: a linear layer and a norm less.
    {"deepseek-ai__DeepSeek-V2-Lite",
     "add 27, attend_latent 27, embed 1, experts 26, gate 27, last_rows 1, linear 163, norm 82, rope 54, route 26"},
    // 40 layers, 4 of them attention; this configuration does not say that it has no positions. A layer of Mamba is 6 linear layers, 3
    // convolutions, a scan, a gate and a norm.
    {"ibm-granite__granite-4.0-h-micro",
     "add 80, attend 4, conv 108, embed 1, gate 76, last_rows 1, linear 353, norm 117, rope 8, ssm_scan 36"},
    {"ibm-granite__granite-3.3-8b-instruct", "add 40, attend 40, embed 1, gate 40, last_rows 1, linear 281, norm 81, rope 80"},
    // The language model alone.
    {"Qwen__Qwen2.5-VL-3B-Instruct", "add 36, attend 36, embed 1, gate 36, last_rows 1, linear 253, norm 73, rope 72"},
    {"google__gemma-3-12b-it", "add 96, attend 48, embed 1, gate 48, last_rows 1, linear 337, norm 289, rope 96"},
    // 64 layers of Mamba-1, each 5 linear layers, a convolution, three ranges of columns, a scan and a gate.
    {"state-spaces__mamba-2.8b-hf", "add 64, columns 192, conv 64, embed 1, gate 64, last_rows 1, linear 321, norm 65, ssm_scan 64"},
    // A block is one thing: 24 of Mamba-2, 24 FFNs without gates, 4 attentions.
    {"nvidia__Nemotron-H-8B-Base-8K", "add 52, attend 4, conv 72, embed 1, gate 48, last_rows 1, linear 209, norm 77, ssm_scan 24"},
    // Its experts are between two linear layers of every sparse block.
    {"nvidia__NVIDIA-Nemotron-3-Super-120B-A12B-FP8",
     "add 88, attend 8, conv 120, embed 1, experts 40, gate 80, last_rows 1, linear 433, norm 129, route 40, ssm_scan 40"},
    // Each of 24 layers is attention and Mamba-2, side by side.
    {"tiiuae__Falcon-H1-1.5B-Instruct",
     "add 72, attend 24, conv 72, embed 1, gate 48, last_rows 1, linear 313, norm 49, rope 48, ssm_scan 24"},
    // 10 short convolutions, whose two gates have no activation, and 6 attentions.
    {"LiquidAI__LFM2-1.2B", "add 32, attend 6, conv 10, embed 1, gate 36, last_rows 1, linear 113, norm 45, rope 12"},
    // 20 delta rules that decay by the channel, 7 latent attentions without positions.
    {"moonshotai__Kimi-Linear-48B-A3B-Instruct",
     "add 54, attend_latent 7, conv 60, delta_rule 20, embed 1, experts 26, gate 47, last_rows 1, linear 283, norm 82, route 26"},
    {"ai21labs__AI21-Jamba-1.5-Mini",
     "add 64, attend 4, columns 84, conv 28, embed 1, experts 16, gate 44, last_rows 1, linear 205, norm 149, route 16, ssm_scan 28"},
};

TEST(Counts, OfRealModels) {
  for (const Row& row : kRows) {
    const Pass pass = record(catalogue_config(row.model));
    EXPECT_EQ(pass.status, PLIMSOLL_OK) << row.model << ": " << pass.where << " " << pass.message;
    std::string counts;
    for (const auto& [kind, n] : pass.counts()) counts += fmt::format("{}{} {}", counts.empty() ? "" : ", ", kind, n);
    EXPECT_EQ(counts, row.ops) << row.model;
  }
}

// The catalogue holds many of the models that are described; fewer would be a row that was lost.
TEST(Counts, OfDescribedModels) {
  std::size_t described = 0;
  for (const std::string& name : catalogue_models()) described += record(catalogue_config(name)).status == PLIMSOLL_OK ? 1U : 0U;
  EXPECT_GE(described, 330U);
}

} // namespace
} // namespace plimsoll::testing
