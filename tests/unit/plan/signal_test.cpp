// Signal buffers as the library's family says them, and buffers between nodes: from the words of a plugin to the figures of a plan.
#include "unit/plan/planned.hpp"

namespace plimsoll::testing {
namespace {

constexpr std::uint64_t kGib = 1ULL << 30;

std::uint64_t signal_bytes(const std::string& architecture, const std::string& devices, const std::string& engine) {
  const auto model =
      zoo().load_config(R"({"architectures": [")" + architecture + R"("], "num_hidden_layers": 2, "max_position_embeddings": 64,
    "hidden_size": 64})",
                        "config.json");
  if (!model) return ADD_FAILURE() << model.error().message, 0;
  PlanRequest request = on(devices);
  request.engine = engine;
  const auto plan = zoo().plan(*model, request);
  if (!plan) return ADD_FAILURE() << plan.error().where << ": " << plan.error().message, 0;
  for (const DevicePlan& device : plan->devices) EXPECT_EQ(device.signal_buffer_bytes, plan->devices[0].signal_buffer_bytes);
  return plan->devices[0].signal_buffer_bytes;
}

// Always, at three sites of 1 GiB each: on one rank too, wherever the engine has signal buffers.
TEST(SignalBuffers, AreWhatTheFamilySays) {
  EXPECT_EQ(signal_bytes("signals", "2xH100", "max"), 3 * kGib);
  EXPECT_EQ(signal_bytes("signals", "1xH100", "max"), 3 * kGib);
  EXPECT_EQ(signal_bytes("signals", "2xH100", "vllm"), 0U);
}

TEST(SignalBuffers, OfNoNumberAreOneOfTheEnginesOwnSize) {
  EXPECT_EQ(signal_bytes("no_sites", "1xH100", "max"), 0U);
  EXPECT_EQ(signal_bytes("no_sites", "2xH100", "max"), 294387728U);
  EXPECT_EQ(signal_bytes("bare", "2xH100", "max"), 294387728U);
}

// 16 ranks, tau = 8192 / (16 / 2) = 1024 rows of 7168 x 2 B for each of min(256 experts, 16 ranks x 8) on two nodes.
TEST(Nodes, BuffersBetweenThemAreTheDocumentedOnes) {
  PlanRequest request = on("16xH200");
  request.dp = 2;
  request.ep = 16;
  const Plan one = planned("deepseek-ai/DeepSeek-V3", request);
  request.nodes = 2;
  const Plan two = planned("deepseek-ai/DeepSeek-V3", request);
  const std::uint64_t rows = one.request.max_batch_input_tokens / 8;
  for (std::size_t rank = 0; rank < 16; ++rank)
    EXPECT_EQ(two.devices[rank].activation_bytes - one.devices[rank].activation_bytes, rows * 7168 * 2 * 128);
  EXPECT_EQ(one.request.nodes, 1U);
  EXPECT_EQ(two.request.nodes, 2U);
  request.ep = 8; // a group of eight is one node's
  const Plan inside = planned("deepseek-ai/DeepSeek-V3", request);
  request.nodes = 1;
  EXPECT_EQ(inside.devices[3].activation_bytes, planned("deepseek-ai/DeepSeek-V3", request).devices[3].activation_bytes);
}

// A list that says its nodes plans as the option does, and one that says none as before.
TEST(Nodes, OfTheDeviceListAreThoseOfTheOption) {
  const auto document = [](const std::string& devices, std::optional<std::uint32_t> nodes) {
    PlanRequest request = on(devices);
    request.dp = 2;
    request.ep = 16;
    request.nodes = nodes;
    return plan_to_json(planned("deepseek-ai/DeepSeek-V3", request));
  };
  EXPECT_EQ(document("2x8xH200", {}), document("16xH200", 2));
  EXPECT_EQ(document("2x8xH200", 2), document("16xH200", 2));
  EXPECT_EQ(document("1x16xH200", {}), document("16xH200", {}));
  EXPECT_NE(document("2x8xH200", {}), document("16xH200", {}));
}

TEST(Nodes, OfTheOptionMustBeThoseOfTheDeviceList) {
  PlanRequest request = on("2x8xH200");
  request.nodes = 4;
  const auto plan = test::built_context().plan(loaded("deepseek-ai/DeepSeek-V3"), request);
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().where, "--nodes");
  EXPECT_EQ(plan.error().message, "is 4, but the devices stand on 2 nodes; leave it out, or give the same number");
}

TEST(Nodes, MustDivideTheRanks) {
  PlanRequest request = on("8xH200");
  request.nodes = 3;
  const auto plan = test::built_context().plan(loaded("deepseek-ai/DeepSeek-V3"), request);
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().where, "--nodes");
  EXPECT_EQ(plan.error().code, ErrorCode::kBadRequest);
}

} // namespace
} // namespace plimsoll::testing
