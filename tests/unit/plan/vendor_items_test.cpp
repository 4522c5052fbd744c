// What a vendor's planner may say of bytes beyond weights and caches, and what a plan makes of it: of each request, of a workspace, on one
// rank, in host memory, of a batch, by stages, of sound.
#include "support/sparse_checkpoint.hpp"
#include "unit/plan/planned.hpp"

namespace plimsoll::testing {
namespace {

constexpr std::uint64_t kMiB = 1ULL << 20;

Plan plan_of(const std::string& fault, const PlanRequest& request, const std::string& more = "") {
  const auto model = zoo().load_config(R"({"architectures": ["planner"], "fault": ")" + fault + "\"" + more + "}", "config.json");
  EXPECT_TRUE(model) << model.error().message;
  if (!model) return {};
  const auto plan = zoo().plan(*model, request);
  EXPECT_TRUE(plan) << plan.error().where << ": " << plan.error().message;
  return plan ? *plan : Plan{};
}

std::uint64_t bytes_of(const Plan& plan, std::string_view label, std::size_t rank = 0) {
  for (const Item& item : plan.items)
    if (item.label == label) return item.bytes.at(rank);
  return 0;
}

TEST(PerRequest, BytesAreTimesTheBatchThatIsAskedFor) {
  for (const std::uint64_t batch : {1U, 7U, 64U}) {
    PlanRequest request = on("1GiB");
    request.max_batch_size = batch;
    const Plan plan = plan_of("per_request", request);
    EXPECT_EQ(plan.limits.max_batch_size, batch);
    EXPECT_EQ(bytes_of(plan, "zoo.per_request"), 1000 * batch);
  }
}

TEST(PerRequest, BytesAreTimesTheBatchThatTheHostDecides) {
  for (const char* engine : {"max", "vllm", "sglang", "tensorrt-llm"}) {
    PlanRequest request = on("4GiB");
    request.engine = engine;
    const Plan plan = plan_of("per_request", request);
    ASSERT_FALSE(plan.error) << engine << plan.error->message;
    EXPECT_GT(plan.limits.max_batch_size, 1U) << engine;
    EXPECT_EQ(bytes_of(plan, "zoo.per_request"), 1000 * plan.limits.max_batch_size) << engine;
  }
}

// A MiB for each request: the batch is the largest whose MiBs leave it the room that it is chosen by.
TEST(Batch, IsWhatTheItemsAreAskedWith) {
  std::uint64_t before = 0;
  for (const char* device : {"160MiB", "256MiB", "400MiB", "4GiB"}) {
    PlanRequest request = on(device);
    request.max_length = 4096;
    const Plan plan = plan_of("batch", request);
    ASSERT_FALSE(plan.error) << device << plan.error->message;
    const std::uint64_t batch = plan.limits.max_batch_size;
    EXPECT_EQ(bytes_of(plan, "zoo.batch"), batch * kMiB) << device;
    EXPECT_GT(batch, before) << device; // more memory, more requests
    before = batch;
    // The next larger one would not do: its MiBs and half a MiB of cache for each exceed the budget.
    if (batch < 512) {
      const std::uint64_t room = plan.devices[0].budget_bytes - plan.devices[0].weights_bytes;
      EXPECT_GT((batch + 1) * (kMiB + kMiB / 2) + 128 * 128, room) << device;
    }
    request.max_batch_size = batch;
    const Plan again = plan_of("batch", request);
    EXPECT_FALSE(again.error) << device;
    EXPECT_EQ(bytes_of(again, "zoo.batch"), batch * kMiB) << device;
  }
  EXPECT_EQ(before, 512U); // what the engine allows
}

TEST(Batch, ThatDoesNotFitIsSaidAsAlways) {
  PlanRequest request = on("64MiB");
  request.max_batch_size = 100;
  const Plan plan = plan_of("batch", request);
  ASSERT_TRUE(plan.error);
  EXPECT_EQ(bytes_of(plan, "zoo.batch"), 100 * kMiB);
}

TEST(Batch, OfThePooledAccountingIsPaidForToo) {
  PlanRequest request = on("256MiB");
  request.accounting = Accounting::kPooled;
  request.max_length = 4096;
  const Plan plan = plan_of("batch", request);
  ASSERT_FALSE(plan.error) << plan.error->message;
  EXPECT_EQ(bytes_of(plan, "zoo.batch"), plan.limits.max_batch_size * kMiB);
}

TEST(Stages, AreInTheRequest) {
  PlanRequest request = on("2x1GiB");
  request.dp = 2;
  EXPECT_EQ(bytes_of(plan_of("stages", request), "zoo.stages"), 1000U);
  request.dp = 1;
  request.tp = 1;
  request.pp = 2;
  EXPECT_EQ(bytes_of(plan_of("stages", request), "zoo.stages"), 2000U); // layer 1 is on the second stage
}

TEST(Workspace, IsAPartOfItsOwn) {
  const Plan plan = plan_of("workspace", on("1GiB"));
  EXPECT_EQ(plan.devices[0].workspace_bytes, 1000U);
  EXPECT_EQ(plan.devices[0].activation_bytes, 0U);
  const DevicePlan& d = plan.devices[0];
  EXPECT_EQ(static_cast<std::int64_t>(parts_of(d)) + d.unused_bytes, static_cast<std::int64_t>(d.budget_bytes));
}

TEST(HostMemory, IsHeldAgainstNoDevice) {
  PlanRequest request = on("2x1GiB");
  request.dp = 2;
  const Plan plan = plan_of("host_item", request);
  EXPECT_EQ(plan.host_memory_bytes, 2000U); // of the processes of both ranks
  EXPECT_EQ(plan.devices[0].activation_bytes, 0U);
  EXPECT_TRUE(warns(plan, WarningCode::kHostMemoryNeeded));
  const Plan weights = plan_of("weight_host", on("1GiB"));
  EXPECT_EQ(weights.devices[0].weights_bytes, 0U);
  EXPECT_EQ(weights.host_memory_bytes, 2U * 64 * 32 * 2);
  EXPECT_NE(plan_to_json(weights).find("\"host_memory\""), std::string::npos);
  EXPECT_EQ(plan_to_json(plan_of("", on("1GiB"))).find("\"host_memory\""), std::string::npos);
}

TEST(OneRank, HoldsAllOfAClass) {
  PlanRequest request = on("4x1GiB");
  request.tp = 2;
  request.dp = 2;
  const Plan plan = plan_of("place_one", request);
  for (std::size_t rank = 0; rank < 4; ++rank)
    EXPECT_EQ(plan.devices.at(rank).weights_bytes, rank % 2 == 1 ? 2U * 64 * 32 * 2 : 0U) << rank;
  EXPECT_EQ(plan_of("place_one", on("1GiB")).devices[0].weights_bytes, 2U * 64 * 32 * 2); // rank 1 of one is the first
}

// 10 rows of 32 bfloat16 values: one block of 128 rows, 8,192 B, or the tokens of a pass.
TEST(Entries, OfSoundHaveACacheOfTheirOwn) {
  const Plan plan = plan_of("entry_audio", on("1GiB"));
  ASSERT_EQ(plan.entries.size(), 1U);
  EXPECT_EQ(plan.entries[0].modality, Modality::kAudio);
  EXPECT_EQ(plan.entries[0].entry_bytes, 640U);
  EXPECT_EQ(plan.entries[0].entries, plan.devices[0].vision_cache_bytes / 8192);
  EXPECT_GT(plan.entries[0].entries, 0U);
  EXPECT_EQ(plan.vision_entry_bytes, 640U);
  EXPECT_EQ(bytes_of(plan, "audio_cache"), plan.devices[0].vision_cache_bytes);
  EXPECT_TRUE(warns(plan, WarningCode::kEntryRuleIsABound)); // documented for images alone
  PlanRequest request = on("1GiB");
  request.engine = "vllm";
  request.max_batch_input_tokens = 1000;
  const Plan vllm = plan_of("entry_audio", request);
  EXPECT_EQ(vllm.devices[0].vision_cache_bytes, 64000U); // a row for each token of a pass
  EXPECT_EQ(vllm.entries.at(0).entries, 100U);
}

TEST(Records, ReachTheGeometry) {
  const Plan plan = plan_of("record", on("1GiB"));
  ASSERT_FALSE(plan.error) << plan.error->message;
  EXPECT_EQ(plan.kv_cache.bytes_per_token_per_device, 2U * (24 + 8)); // two layers of 24 bytes and two float32
  ASSERT_EQ(plan.kv_geometry.n_groups(), 1U);
  const KvGroupGeometry& group = plan.kv_geometry.group(0, 0);
  ASSERT_EQ(group.record.size(), 2U);
  EXPECT_EQ(group.record[0].dtype, "uint8");
  EXPECT_EQ(group.record[1].elements, 2U);
  EXPECT_EQ(group.k_dtype, "");
  EXPECT_EQ(group.page_bytes, group.page_tokens * 64);
}

// What planners may look at while they are created: the headers, and nothing where there is no checkpoint.
TEST(StoredTensors, AreSeenByNameOfTheView) {
  const test::TemporaryDirectory folder;
  const std::string asks = R"({"architectures": ["planner"], "fault": "tensor", "tensor": ")";
  test::write_safetensors(folder / "model.safetensors", {{"model.1.weight", "F16", {64, 32}}, {"model.0.weight", "BF16", {64, 32}}});
  const auto said = [&](const std::string& config) {
    test::write_text(folder / "config.json", config);
    const auto model = zoo().load(folder.path());
    return model ? "made" : model.error().message.substr(0, model.error().message.find(" (planner"));
  };
  EXPECT_EQ(said(asks + "model.0.weight\"}"), "bfloat16 64x32 4096 of 2");
  EXPECT_EQ(said(asks + "model.1.weight\"}"), "float16 64x32 4096 of 2");
  EXPECT_EQ(said(asks + "model.2.weight\"}"), "absent of 2");
  // A part calls its tensors by names of its own: the zoo's planner renames "model." to "model.part.".
  EXPECT_EQ(said(R"({"architectures": ["planner"], "part": )" + asks + "model.0.weight\"}}"), "absent of 2");
  const auto bare = zoo().load_config(asks + "model.0.weight\"}", "config.json");
  ASSERT_FALSE(bare);
  EXPECT_EQ(bare.error().message.substr(0, 11), "absent of 0");
  test::write_text(folder / "model.safetensors", "not a header");
  EXPECT_EQ(said(asks + "model.0.weight\"}"), "absent of 0"); // and whoever reads the file says why
  test::write_text(folder / "config.json", R"({"architectures": ["planner"]})");
  EXPECT_EQ(zoo().load(folder.path()).error().code, ErrorCode::kBadCheckpoint);
}

} // namespace
} // namespace plimsoll::testing
