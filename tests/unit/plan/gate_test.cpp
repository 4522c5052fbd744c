// The gates: what stands on a device against its budget and its free bytes, by hand and for the commands that once "fitted".
#include "plan/gate.hpp"

#include <gmock/gmock.h>

#include "plan/reasons.hpp"
#include "unit/plan/hand_made.hpp"
#include "unit/plan/planned.hpp"

namespace plimsoll {
namespace {

using ::testing::HasSubstr;
using testing::on;
using testing::parts_of;
using testing::planned;

// Two cards of 80 GiB with 79 free.
class Gate : public ::testing::Test {
protected:
  Gate() { made_.more_devices(2); }

  const Settled& settled() {
    if (!settled_) settled_ = made_.must_settle();
    return *settled_;
  }
  void put(Category category, std::uint64_t first, std::uint64_t second) {
    Item item;
    item.label = "item";
    item.bytes = {first, second};
    ASSERT_TRUE(ledger_.add(category, std::move(item)));
  }
  std::vector<std::uint64_t> check(std::vector<Wide> kv_rooms = {kWideMax, kWideMax}) {
    return check_devices(settled(), ledger_, kv_rooms, findings_);
  }

  HandMadeInput made_;
  std::optional<Settled> settled_;
  Ledger ledger_{2};
  Findings findings_;
};

constexpr std::uint64_t kBudget = 79 * kGiB / 10 * 9 + 79 * kGiB % 10 * 9 / 10; // 0.9 of 79 GiB, rounded down

TEST_F(Gate, OpensUpToTheBudget) {
  put(Category::kWeights, kBudget - 5, 10);
  put(Category::kKvCache, 5, 5);
  EXPECT_EQ(settled().budget_bytes, std::vector<std::uint64_t>(2, kBudget));
  EXPECT_EQ(check(), settled().budget_bytes);
  EXPECT_FALSE(findings_.error);
  check_static(settled(), ledger_, findings_);
  EXPECT_FALSE(findings_.error);
}

TEST_F(Gate, ShutsForOneByteMore) {
  put(Category::kWeights, 10, kBudget - 5);
  put(Category::kKvCache, 5, 6);
  EXPECT_EQ(check(), settled().budget_bytes);
  ASSERT_TRUE(findings_.error);
  EXPECT_EQ(findings_.error->code, ErrorCode::kOutOfMemory);
  EXPECT_EQ(findings_.error->where, "device 1 (card)");
  EXPECT_THAT(findings_.error->message, HasSubstr("(weights 71.10 GiB, KV cache 0.01 KiB), its device has 71.10 GiB: "));
  EXPECT_EQ(findings_.binding, "weights on rank 1 (card)");
}

TEST_F(Gate, ShutsAboveWhatIsFree) {
  made_.profile = "budget: {of: total, covers: kv, in_use: subtracted, utilization: 1}\n"; // of which a fraction is not refused
  made_.devices[0].free_bytes = 60 * kGiB;
  made_.devices[0].reserved_bytes = 20 * kGiB; // nothing is in use by others, and the card never has more free
  put(Category::kActivation, 61 * kGiB, 61 * kGiB);
  const std::vector<std::uint64_t> budgets = check();
  EXPECT_EQ(budgets.at(0), 60 * kGiB); // what it may use is what is free
  EXPECT_GT(budgets.at(1), 61 * kGiB);
  ASSERT_TRUE(findings_.error);
  EXPECT_EQ(findings_.error->where, "device 0 (card)");
  EXPECT_THAT(findings_.error->message, HasSubstr("60.00 GiB free: 1.00 GiB short"));
  EXPECT_EQ(findings_.binding, "activation on rank 0 (card)");
}

TEST_F(Gate, KeepsWhatWasFoundFirst) {
  findings_.does_not_fit(ErrorCode::kNoPageFits, "no page", "device 1", "KV pages on rank 1");
  put(Category::kWeights, 100 * kGiB, 0);
  check();
  EXPECT_EQ(findings_.error->code, ErrorCode::kNoPageFits);
  EXPECT_EQ(findings_.binding, "KV pages on rank 1");
}

TEST_F(Gate, NamesTheDeviceThatIsShortOfMost) {
  made_.devices[1] = HandMadeInput::device("small", 24 * kGiB, 23 * kGiB);
  put(Category::kWeights, 80 * kGiB, 40 * kGiB);
  check_static(settled(), ledger_, findings_);
  ASSERT_TRUE(findings_.error);
  EXPECT_EQ(findings_.error->code, ErrorCode::kModelTooLarge);
  EXPECT_EQ(findings_.error->where, "device 1 (small)");
  EXPECT_THAT(findings_.error->message,
              HasSubstr("of a budget of 20.70 GiB: 19.30 GiB short; even the whole device has only 23.00 GiB free"));
  EXPECT_EQ(findings_.binding, "weights on rank 1 (small)");
}

TEST_F(Gate, SaysThatNoRoomIsLeftForACache) {
  made_.model.declared.kv.emplace_back();
  put(Category::kWeights, kBudget - kGiB, 0);
  put(Category::kOverhead, 2 * kGiB, 0);
  check_static(settled(), ledger_, findings_);
  ASSERT_TRUE(findings_.error);
  EXPECT_EQ(findings_.error->code, ErrorCode::kNoRoomForKv);
  EXPECT_THAT(findings_.error->message, HasSubstr("1.00 GiB short before any KV cache"));
}

// An engine whose budget is a fraction of all memory does not start where less than that is free.
TEST_F(Gate, AFractionOfTheTotalMustBeFree) {
  made_.profile = "budget: {of: total, utilization: 0.5}\n";
  put(Category::kWeights, kGiB, kGiB);
  for (const auto& [free, opens] : {std::pair{40 * kGiB, true}, {40 * kGiB - 1, false}}) {
    made_.devices[1].free_bytes = free;
    settled_ = made_.must_settle();
    findings_ = {};
    findings_.binding = "KV pages on rank 0";
    EXPECT_EQ(starts(settled()), opens);
    const std::vector<std::uint64_t> budgets = check();
    EXPECT_EQ(findings_.error.has_value(), !opens);
    EXPECT_EQ(budgets.at(1), opens ? 40 * kGiB : kGiB - 1); // what is missing shows as a shortfall
    if (opens) continue;
    EXPECT_THAT(findings_.error->message, HasSubstr("own starts only where 0.5 of a device's memory is free"));
    EXPECT_THAT(findings_.error->message, HasSubstr("40.00 GiB of 80.00 GiB; rank 1 has 40.00 GiB free"));
    EXPECT_EQ(findings_.error->where, "device 1 (card)");
    EXPECT_EQ(findings_.binding, "free memory on rank 1 (card)"); // not what the cache found
  }
}

TEST_F(Gate, OtherRulesStartAnywhere) {
  for (const char* profile : {"budget: {of: free, utilization: 0.9}\n", "budget: {of: total, in_use: subtracted, utilization: 0.9}\n",
                              "budget: {of: total, covers: kv, utilization: 0.9}\n"}) {
    made_.profile = profile;
    made_.devices[1].free_bytes = kGiB;
    settled_ = made_.must_settle();
    EXPECT_TRUE(starts(settled())) << profile;
  }
}

// All of them, not only the first: for whoever moves something elsewhere.
TEST_F(Gate, EveryBrokenLimitIsNamedWithItsBytes) {
  made_.profile = "budget: {of: total, utilization: 0.5}\n"; // which must be free to start
  made_.devices[0].free_bytes = 30 * kGiB;
  put(Category::kWeights, 41 * kGiB, kGiB);
  put(Category::kKvCache, 3 * kGiB, 3 * kGiB);
  settled_ = made_.must_settle();
  const auto broken = broken_limits(settled(), 1, ledger_, {static_cast<Wide>(2 * kGiB), static_cast<Wide>(3 * kGiB)});
  std::vector<std::tuple<std::string, std::uint64_t, std::uint64_t>> first;
  for (const BrokenLimit& limit : broken.at(0)) first.emplace_back(limit.limit, limit.needed_bytes / kGiB, limit.limit_bytes / kGiB);
  EXPECT_THAT(first, ::testing::ElementsAre(std::tuple("free_to_start", 40, 30), std::tuple("budget", 41, settled().budget_bytes[0] / kGiB),
                                            std::tuple("kv_cache", 3, 2), std::tuple("free_memory", 44, 30)));
  EXPECT_THAT(broken.at(0)[3].message, HasSubstr("all parts need 44.00 GiB of 30.00 GiB free: 14.00 GiB short"));
  EXPECT_TRUE(broken.at(1).empty());
}

struct Command {
  const char* model;
  const char* devices;
  const char* engine;
  void (*change)(PlanRequest&);
  const char* message;
};

void nothing(PlanRequest&) {}
void all_of_it(PlanRequest& r) { r.device_memory_utilization = 1; }

// Once all of these "fitted", with less than nothing left.
TEST(GatedPlans, WhatExceedsADeviceDoesNotFit) {
  for (const Command& c : {Command{"meta-llama/Llama-3.2-11B-Vision-Instruct", "1xH100", "sglang", nothing, "KV cache 442.06 GiB"},
                           {"meta-llama/Llama-3.2-90B-Vision-Instruct", "8xH200", "sglang", nothing, "KV cache 347.34 GiB"},
                           {"meta-llama/Llama-3.1-8B", "1xH100", "sglang", all_of_it, "78.58 GiB free: 1.50 GiB short"},
                           {"OpenGVLab/InternVL3-38B", "1xH100", "tensorrt-llm", nothing, "78.58 GiB free"},
                           {"meituan-longcat/LongCat-Flash-Chat", "8xH200", "tensorrt-llm", nothing, "139.21 GiB free"},
                           {"meta-llama/Llama-3.1-8B", "1xH100", "vllm", all_of_it, "starts only where 1 of"},
                           {"meta-llama/Llama-3.1-8B", "gpu=80GiB:60GiB", "vllm", nothing, "13.60 GiB short"},
                           {"Qwen/Qwen2.5-0.5B-Instruct", "gpu=24GiB:12GiB", "vllm", nothing, "10.08 GiB short"},
                           {"meta-llama/Llama-3.1-8B", "gpu=24GiB:12GiB", "tensorrt-llm", nothing, "12.00 GiB free"}}) {
    PlanRequest request = on(c.devices);
    request.engine = c.engine;
    c.change(request);
    const Plan plan = planned(c.model, request);
    const std::string title = std::string(c.model) + " on " + c.devices + " under " + c.engine;
    EXPECT_EQ(plan.verdict, Verdict::kDoesNotFit) << title;
    ASSERT_TRUE(plan.error) << title;
    EXPECT_THAT(plan.error->message, HasSubstr(c.message)) << title;
    EXPECT_THAT(plan.error->where, HasSubstr("device ")) << title;
    EXPECT_THAT(plan.limits.binding, HasSubstr("on rank ")) << title;
    std::int64_t least = INT64_MAX;
    for (const DevicePlan& d : plan.devices) {
      least = std::min(least, d.unused_bytes);
      EXPECT_EQ(static_cast<std::int64_t>(parts_of(d)) + d.unused_bytes, static_cast<std::int64_t>(d.budget_bytes)) << title;
    }
    // Where the engine would not even start, what stands on the device may fit; else less than nothing is left.
    if (parts_of(plan.devices.at(0)) > plan.devices.at(0).free_bytes) {
      EXPECT_LT(least, 0) << title;
    }
  }
}

// A share of half the cache for images: the tower's rows were added on top. Now they are within.
TEST(GatedPlans, TheVisionCacheIsWithinTheBudget) {
  PlanRequest request = on("8xH200");
  request.max_length = 32'768;
  request.max_batch_input_tokens = 8192;
  request.vision_cache_utilization = 0.5;
  const Plan plan = planned("HuggingFaceM4/Idefics3-8B-Llama3", request);
  EXPECT_NE(plan.verdict, Verdict::kDoesNotFit);
  for (const DevicePlan& d : plan.devices) {
    EXPECT_GT(d.vision_cache_bytes, 0U);
    EXPECT_GE(d.unused_bytes, 0);
    EXPECT_LE(parts_of(d), d.free_bytes);
  }
}

// What others hold is subtracted, and the fraction is of the rest: 0.9 x (60 GiB - weights and the like).
TEST(GatedPlans, MemoryInUseIsSubtracted) {
  PlanRequest request = on("gpu=80GiB:60GiB");
  request.engine = "tensorrt-llm";
  const Plan plan = planned("meta-llama/Llama-3.1-8B", request);
  EXPECT_FALSE(plan.error);
  const DevicePlan& d = plan.devices.at(0);
  EXPECT_EQ(d.budget_bytes, 60 * kGiB);
  const std::uint64_t rest = 60 * kGiB - (parts_of(d) - d.kv_cache_bytes), page = 32ULL * 131'072;
  EXPECT_EQ(plan.kv_cache.page_tokens, 32U);
  EXPECT_EQ(d.kv_cache_bytes, rest * 9 / 10 / page * page);
}

} // namespace
} // namespace plimsoll
