// Buffers beside weights and caches of an engine that reserves the largest graph, against what starts printed: never less than a thousandth
// below, and no more above than a rule allows that is known as a bound only.
#include <gtest/gtest.h>

#include <algorithm>

#include "unit/plan/planned.hpp"

namespace plimsoll {
namespace {

using testing::on;
using testing::planned;

constexpr double kMebibyte = 1048576;

struct Buffer {
  const char *what, *model, *engine;
  std::uint64_t length, ubatch;
  bool flash_attention;
  double printed_mib, most; // times what was printed
  std::map<std::string, std::string> also = {};
  std::optional<std::uint32_t> cpu_moe = {};
};

std::uint64_t host_item(const Plan& plan, const std::string& label) {
  for (const Item& item : plan.items)
    if (item.label == label && item.memory == MemoryKind::kHost) return item.bytes.at(0);
  return 0;
}

Plan planned_buffer(const Buffer& c) {
  PlanRequest request = on("1000GiB");
  request.engine = c.engine;
  request.max_length = c.length;
  request.max_batch_input_tokens = c.ubatch;
  request.engine_overrides = c.also;
  request.engine_overrides["flash_attention"] = c.flash_attention ? "true" : "false";
  request.cpu_moe_layers = c.cpu_moe;
  return planned(c.model, request);
}

const std::vector<Buffer>& buffers() {
  static const std::map<std::string, std::string> latent{{"mla_cache", "latent"}}, heads{{"mla_cache", "heads"}};
  static const std::vector<Buffer> all{
      // Logits of every row.
      {"235B at 512", "Qwen/Qwen3-235B-A22B", "llama.cpp@b4000", 32768, 512, true, 312.75, 1},
      {"235B at 4096", "Qwen/Qwen3-235B-A22B", "llama.cpp@b4000", 40960, 4096, true, 2502, 1},
      {"30B-A3B", "Qwen/Qwen3-30B-A3B", "llama.cpp@b4000", 32768, 512, true, 304.75, 1},
      {"8B, a short context", "meta-llama/Llama-3.1-8B", "llama.cpp@b3475", 1024, 512, false, 266.5, 1},
      {"gemma 2", "google/gemma-2-2b-it", "llama.cpp@b8000", 8192, 512, true, 509, 1.001},
      // Rows of the sequences alone: the mask and a layer's rows are left.
      {"27B with its head", "Qwen/Qwen3.6-27B", "llama.cpp@b10107", 262144, 512, true, 488, 1.05},
      {"35B-A3B", "Qwen/Qwen3.5-35B-A3B", "llama.cpp@b9525", 150016, 4096, true, 376 + 1172, 1.6}, // without its mask in 32 bits
      // All scores of a pass.
      {"32B", "Qwen/Qwen3-32B", "llama.cpp@b3751", 40960, 512, false, 5252.01, 1.01},
      {"gemma 3, windows at full length", "google/gemma-3-27b-it", "llama.cpp@b3751", 131072, 512, false, 8743.51, 1.01},
      {"GLM-Z1", "THUDM/GLM-Z1-Rumination-32B-0414", "llama.cpp@b4000", 8192, 512, false, 832, 1.02},
      // Latents expanded to heads.
      {"R1 at 32k", "deepseek-ai/DeepSeek-R1", "llama.cpp@b4000", 32768, 512, true, 3425, 1.02, latent},
      {"R1 at 64k", "deepseek-ai/DeepSeek-R1", "llama.cpp@b4000", 65536, 512, true, 6081, 1.02, latent},
      {"R1 at 160k", "deepseek-ai/DeepSeek-R1", "llama.cpp@b4000", 163840, 512, true, 13649, 1.04, latent},
      {"R1 at 2k", "deepseek-ai/DeepSeek-R1", "llama.cpp@b3597", 2048, 512, true, 450.01, 2.2, latent},
      {"V3 at 1024 rows", "deepseek-ai/DeepSeek-V3-0324", "llama.cpp@b4000", 32768, 1024, true, 3650, 1.2, latent},
      {"R1, whole scores", "deepseek-ai/DeepSeek-R1", "llama.cpp@b4000", 65536, 512, false, 19857, 1.14, latent},
      {"K2, heads", "moonshotai/Kimi-K2-Instruct", "llama.cpp@b4000", 512, 512, false, 334, 1.05, heads},
      // Experts in host memory: two of their matrices at a time, 384 MiB each.
      {"30B-A3B, experts on the host", "Qwen/Qwen3-30B-A3B", "llama.cpp@b6895", 4096, 512, true, 898, 1.02, {}, 34},
  };
  return all;
}

TEST(ComputeBuffers, AreThoseThatWerePrinted) {
  for (const Buffer& c : buffers()) {
    const double bytes = static_cast<double>(planned_buffer(c).devices.at(0).activation_bytes);
    EXPECT_GE(bytes, 0.999 * c.printed_mib * kMebibyte) << c.what << ": " << bytes / kMebibyte;
    EXPECT_LE(bytes, c.most * c.printed_mib * kMebibyte + 1) << c.what << ": " << bytes / kMebibyte;
  }
}

// The mask and the rows, and what the host computes of experts; the logits of a step.
TEST(ComputeBuffers, OfTheHost) {
  for (const Buffer& c :
       {Buffer{"R1 at 160k", "deepseek-ai/DeepSeek-R1", "llama.cpp@b4000", 163840, 512, true, 334.01, 1.05},
        {"35B-A3B", "Qwen/Qwen3.5-35B-A3B", "llama.cpp@b9272", 150016, 4096, true, 2408, 1},
        {"30B-A3B", "Qwen/Qwen3-30B-A3B", "llama.cpp@b4000", 32768, 512, true, 68.01, 1.06},
        {"235B, experts on the host", "Qwen/Qwen3-235B-A22B", "llama.cpp@b4000", 32768, 512, true, 128.01, 1.13, {}, 94},
        {"R1, experts on the host", "deepseek-ai/DeepSeek-R1", "llama.cpp@b4000", 65536, 512, true, 240.01, 1.12, {}, 61}}) {
    const Plan plan = planned_buffer(c);
    const double bytes = static_cast<double>(host_item(plan, "host_inputs"));
    EXPECT_GE(bytes, 0.999 * c.printed_mib * kMebibyte) << c.what << ": " << bytes / kMebibyte;
    EXPECT_LE(bytes, c.most * c.printed_mib * kMebibyte + 1) << c.what << ": " << bytes / kMebibyte;
  }
  PlanRequest request = on("1000GiB");
  request.engine = "llama.cpp@b8000";
  request.max_batch_size = 4;
  EXPECT_EQ(host_item(planned("google/gemma-2-2b-it", request), "output_buffer"), 4ULL * 256000 * 4); // 3.91 MiB were printed
}

// Command-R over two cards at 4,096 tokens without flash attention: 672.01 MiB were printed, 512 of scores and four copies of 40.
TEST(ComputeBuffers, PipelinesKeepFourCopiesOfTheInputs) {
  PlanRequest request = on("2x1000GiB");
  request.engine = "llama.cpp@b2400";
  request.max_length = 4096;
  request.engine_overrides["flash_attention"] = "false";
  const Plan two = planned("CohereLabs/c4ai-command-r-v01", request);
  request.devices = "1000GiB";
  const Plan one = planned("CohereLabs/c4ai-command-r-v01", request);
  const std::uint64_t copies = 3ULL * 512 * (4 * 4096 + 8 * 8192);
  for (const DevicePlan& device : two.devices) EXPECT_EQ(device.activation_bytes, one.devices.at(0).activation_bytes + copies);
  EXPECT_GE(static_cast<double>(two.devices.at(0).activation_bytes), 672 * kMebibyte);
  EXPECT_LE(static_cast<double>(two.devices.at(0).activation_bytes), 672 * kMebibyte * 1.1);
  // Not where something stays on the host, nor where one device has it all.
  request.devices = "2x1000GiB";
  request.gpu_layers = 30;
  for (const Item& item : planned("CohereLabs/c4ai-command-r-v01", request).items) EXPECT_NE(item.label, "pipeline_copies");
  request.gpu_layers.reset();
  request.split_mode = SplitMode::kNone;
  EXPECT_EQ(planned("CohereLabs/c4ai-command-r-v01", request).devices.at(0).activation_bytes, one.devices.at(0).activation_bytes);
}

// The output layer on the host is copied when it is due: for Llama-3.1-8B in 16 bits all of it beside the logits of 512 rows.
TEST(ComputeBuffers, HoldTheOutputLayerThatTheHostHas) {
  PlanRequest request = on("1000GiB");
  request.engine = "llama.cpp@b8000";
  request.max_length = 4096;
  request.gpu_layers = 0;
  EXPECT_EQ(planned("meta-llama/Llama-3.1-8B", request).devices.at(0).activation_bytes, 4ULL * 512 * (128256 + 2 * 4096) + 1'050'673'152);
}

TEST(ComputeBuffers, OfLatentsAreSaidToBeABound) {
  PlanRequest request = on("8x1000GiB");
  request.engine = "llama.cpp";
  EXPECT_TRUE(testing::warns(planned("deepseek-ai/DeepSeek-R1", request), WarningCode::kBufferRuleIsABound));
  request.engine_overrides["mla_cache"] = "heads";
  request.max_length = 512;
  EXPECT_FALSE(testing::warns(planned("deepseek-ai/DeepSeek-R1", request), WarningCode::kBufferRuleIsABound));
  EXPECT_FALSE(testing::warns(planned("Qwen/Qwen3-30B-A3B", request), WarningCode::kBufferRuleIsABound));
}

// A length that is left to the plan is the longest with the buffers of that length, not of the model's own.
TEST(ComputeBuffers, OfALengthThatIsLeftToThePlan) {
  for (const char* devices : {"24GiB", "20GiB", "2x12GiB"}) {
    PlanRequest request = on(devices);
    request.engine = "llama.cpp";
    request.engine_overrides["flash_attention"] = "false";
    const Plan found = planned("meta-llama/Llama-3.1-8B", request);
    ASSERT_FALSE(found.error) << found.error->message;
    EXPECT_LT(found.limits.max_length, 131072U);
    EXPECT_TRUE(testing::warns(found, WarningCode::kCapacityClamped));
    request.max_length = found.limits.max_length;
    EXPECT_FALSE(planned("meta-llama/Llama-3.1-8B", request).error) << devices;
    request.max_length = found.limits.max_length + 256;
    EXPECT_TRUE(planned("meta-llama/Llama-3.1-8B", request).error) << devices;
    request.max_length_auto = true;
    request.max_length.reset();
    EXPECT_EQ(planned("meta-llama/Llama-3.1-8B", request).limits.max_length, found.limits.max_length) << devices;
  }
}

} // namespace
} // namespace plimsoll
