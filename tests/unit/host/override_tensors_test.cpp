// --override-tensor: tensors of a model that stay in host memory because their name in a GGUF file is found.
#include "host/override_tensors.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plimsoll/host.hpp"
#include "support/built_context.hpp"

namespace plimsoll {
namespace {

using ::testing::HasSubstr;

PlanRequest with(std::vector<std::string> overrides) {
  PlanRequest request;
  request.engine = "llama.cpp";
  request.devices = "1x80GiB";
  request.max_length = 4096;
  request.max_batch_size = 1;
  request.host_bytes = 128ULL << 30;
  request.tensor_overrides = std::move(overrides);
  return request;
}

Result<Plan> plan(const std::string& name, const PlanRequest& request) {
  return test::built_context().plan(test::built_context().load(name).value(), request);
}

std::uint64_t host_weights(const Plan& plan) {
  std::uint64_t sum = 0;
  for (const Item& item : plan.items)
    if (item.category == Category::kWeights && item.memory == MemoryKind::kHost)
      for (const std::uint64_t bytes : item.bytes) sum += bytes;
  return sum;
}

// What --n-cpu-moe leaves on the host, said as expressions.
TEST(OverrideTensors, MoveWhatTheOptionsMove) {
  struct Row {
    const char* model;
    const char* expression;
    std::uint32_t layers;
  };
  for (const Row& row :
       {Row{"Qwen/Qwen3-30B-A3B", "exps=CPU", 48}, Row{"Qwen/Qwen3-30B-A3B", "blk\\.[0-9]\\.ffn_(up|down|gate)_exps=CPU", 10},
        Row{"openai/gpt-oss-120b", "ffn_.*_exps=CPU", 36}, Row{"deepseek-ai/DeepSeek-V2-Lite", "\\.ffn_.*_exps\\.=CPU", 27}}) {
    PlanRequest by_count = with({});
    by_count.cpu_moe_layers = row.layers;
    const Result<Plan> expected = plan(row.model, by_count), found = plan(row.model, with({row.expression}));
    ASSERT_TRUE(expected && found) << row.model << " " << row.expression;
    EXPECT_EQ(found->devices.front().weights_bytes, expected->devices.front().weights_bytes) << row.model << " " << row.expression;
    EXPECT_EQ(host_weights(*found), host_weights(*expected)) << row.model << " " << row.expression;
  }
}

// Qwen3-8B: 4,096 x 4,096 x 2 B of every tenth layer and 10 to 19; of two expressions the first that finds a tensor counts.
TEST(OverrideTensors, FindNamesOfEveryKind) {
  const Plan none = plan("Qwen/Qwen3-8B", with({})).value();
  const Plan some = plan("Qwen/Qwen3-8B", with({"blk\\.1[0-9]\\.attn_q\\.weight=CPU", "attn_q\\.weight$=CPU"})).value();
  const std::uint64_t one = 4096ULL * 4096 * 2;
  EXPECT_EQ(host_weights(some) - host_weights(none), 36 * one);
  EXPECT_EQ(none.devices.front().weights_bytes - some.devices.front().weights_bytes, 36 * one);
  const Plan ten = plan("Qwen/Qwen3-8B", with({"blk\\.1[0-9]\\.attn_q\\.weight=CPU"})).value();
  EXPECT_EQ(host_weights(ten) - host_weights(none), 10 * one);
  const Plan output = plan("Qwen/Qwen3-8B", with({"^output\\.weight=CPU"})).value();
  EXPECT_EQ(host_weights(output) - host_weights(none), 151936ULL * 4096 * 2);
}

TEST(OverrideTensors, AreRefusedWhereTheyMeanNothing) {
  EXPECT_THAT(plan("Qwen/Qwen3-8B", with({"(=CPU"})).error().message, HasSubstr("is no expression"));
  EXPECT_THAT(plan("Qwen/Qwen3-8B", with({"nothing_of_that_name=CPU"})).error().message, HasSubstr("finds no tensor"));
  EXPECT_THAT(plan("Qwen/Qwen3-8B", with({std::string(600, 'a') + "=CPU"})).error().message, HasSubstr("at most 512"));
  PlanRequest other = with({"exps=CPU"});
  other.engine = "vllm";
  other.host_bytes.reset();
  EXPECT_EQ(plan("Qwen/Qwen3-30B-A3B", other).error().where, "--override-tensor");
}

} // namespace
} // namespace plimsoll
