// What a plan's ranks allocate: the sums of every category to the byte, for every way of cutting the KV memory, and the KV
// cache group by group as the geometry says.
#include "host/verify.hpp"

#include <gmock/gmock.h>

#include <map>
#include <set>

#include "support/built_context.hpp"

namespace plimsoll::testing {
namespace {

Plan planned(const std::string& name, const PlanRequest& request) {
  const auto model = test::built_context().load(name);
  EXPECT_TRUE(model) << name << ": " << model.error().message;
  auto plan = test::built_context().plan(*model, request);
  EXPECT_TRUE(plan) << name << ": " << plan.error().message;
  return plan ? std::move(*plan) : Plan();
}

// Full attention, windows, chunks, latents with and without a second cache, rings,
// states beside pages and alone, a draft head, images.
constexpr const char* kModels[]{"meta-llama/Llama-3.1-8B",
                                "google/gemma-3-12b-it",
                                "openai/gpt-oss-20b",
                                "meta-llama/Llama-4-Scout-17B-16E-Instruct",
                                "deepseek-ai/DeepSeek-V2-Lite",
                                "deepseek-ai/DeepSeek-V3.2",
                                "deepseek-ai/DeepSeek-V4-Flash",
                                "Qwen/Qwen3-Next-80B-A3B-Instruct",
                                "moonshotai/Kimi-Linear-48B-A3B-Instruct",
                                "state-spaces/mamba-2.8b-hf",
                                "Zyphra/Zamba2-7B-Instruct",
                                "XiaomiMiMo/MiMo-7B-Base",
                                "Qwen/Qwen2.5-VL-7B-Instruct"};
constexpr const char* kEngines[]{"max", "vllm", "sglang", "tensorrt-llm", "llama.cpp"};

std::vector<PlanRequest> requests(const char* engine) {
  std::vector<PlanRequest> out(3);
  for (PlanRequest& request : out) {
    request.engine = engine;
    request.devices = "8xH200";
    request.max_length = 8192;
  }
  out[0].tp = 4;
  out[0].dp = 2;
  out[1].tp = 2;
  out[1].pp = 2;
  out[1].dp = 2;
  out[1].max_batch_size = 16;
  out[2].tp = 2;
  out[2].dp = 4;
  out[2].kv_cache_bytes = (7ULL << 30) + 12'345;
  return out;
}

// Pages and rows of the geometry are all of a group's bytes. Rings of the last tokens have neither; their bytes say all.
void expect_units(const KvGeometry& geometry, std::uint32_t rank, const std::string& name) {
  for (std::size_t i = 0; i < geometry.n_groups(); ++i) {
    const KvGroupGeometry& group = geometry.group(rank, i);
    const KvGroupPool& pool = geometry.pool(rank, i);
    if (geometry.shared_blocks) {
      EXPECT_EQ(pool.bytes, i == 0 ? pool.pages * geometry.block_bytes(rank) : 0) << name << " " << group.label;
    } else if (group.kind != CacheKind::kState || pool.state_rows > 0) {
      EXPECT_EQ(pool.bytes, pool.pages * group.page_bytes + pool.state_rows * group.state_row_bytes) << name << " " << group.label;
    }
  }
}

void expect_categories(const Plan& plan, std::uint32_t rank, const std::string& name) {
  std::map<Category, std::uint64_t> sums;
  for (const PlannedAllocation& part : allocations_of(plan, rank)) {
    EXPECT_GT(part.bytes, 0U) << name;
    sums[part.category] += part.bytes;
  }
  const DevicePlan& device = plan.devices[rank];
  EXPECT_EQ(sums[Category::kKvCache], device.kv_cache_bytes) << name << " rank " << rank;
  EXPECT_EQ(sums[Category::kSignalBuffer], device.signal_buffer_bytes) << name << " rank " << rank;
  EXPECT_EQ(sums[Category::kVisionCache], device.vision_cache_bytes) << name << " rank " << rank;
  for (const Category other : {Category::kWeights, Category::kActivation, Category::kOverhead}) EXPECT_EQ(sums.count(other), 0U) << name;
}

TEST(Allocations, AreTheBytesOfEveryCategory) {
  std::map<std::string, int> fits;
  std::set<CacheKind> kinds;
  for (const char* engine : kEngines)
    for (const char* model : kModels)
      for (const PlanRequest& request : requests(engine)) {
        const std::string name = std::string(engine) + " " + model;
        const Plan plan = planned(model, request);
        if (plan.error) continue;
        ++fits[engine];
        for (std::uint32_t rank = 0; rank < plan.devices.size(); ++rank) {
          expect_categories(plan, rank, name);
          expect_units(plan.kv_geometry, rank, name);
        }
        for (std::size_t i = 0; i < plan.kv_geometry.n_groups(); ++i) kinds.insert(plan.kv_geometry.group(0, i).kind);
      }
  for (const char* engine : kEngines) EXPECT_GE(fits[engine], 30) << engine;
  EXPECT_THAT(kinds,
              ::testing::IsSupersetOf({CacheKind::kFull, CacheKind::kWindow, CacheKind::kChunk, CacheKind::kLatent, CacheKind::kState}));
}

std::vector<std::string> labels(const Plan& plan) {
  std::vector<std::string> out;
  for (const PlannedAllocation& part : allocations_of(plan, 0))
    out.push_back(part.label.empty() ? std::string(category_name(part.category)) : part.label);
  return out;
}

TEST(Allocations, FollowTheWayTheEngineCutsTheCache) {
  PlanRequest request;
  request.devices = "2xH200";
  request.max_length = 8192;
  struct Case {
    const char* engine;
    const char* model;
    std::vector<std::string> labels;
  };
  for (const Case& c :
       {Case{"tensorrt-llm", "google/gemma-3-12b-it", {"attention.window", "attention"}},
        Case{"vllm", "google/gemma-3-12b-it", {"blocks", "vision_cache"}}, Case{"vllm", "meta-llama/Llama-3.1-8B", {"attention"}},
        Case{"sglang", "Qwen/Qwen3-Next-80B-A3B-Instruct", {"attention", "state"}},
        Case{"max", "meta-llama/Llama-3.1-8B", {"attention", "signal_buffer"}}}) {
    request.engine = c.engine;
    EXPECT_EQ(labels(planned(c.model, request)), c.labels) << c.engine << " " << c.model;
  }
}

// Without a geometry the KV cache is one piece.
TEST(Allocations, OfPooledPlansAndOfWhatDoesNotFit) {
  PlanRequest request;
  request.devices = "2x80GiB";
  request.accounting = Accounting::kPooled;
  request.max_length = 8192;
  const Plan pooled = planned("meta-llama/Llama-3.1-8B", request);
  ASSERT_EQ(pooled.kv_geometry.n_groups(), 0U);
  ASSERT_GT(pooled.devices[0].kv_cache_bytes, 0U);
  EXPECT_EQ(allocations_of(pooled, 0).front().bytes, pooled.devices[0].kv_cache_bytes);
  expect_categories(pooled, 1, "pooled");
  request.accounting = Accounting::kPerDevice;
  request.devices = "24GiB";
  request.max_length = 131'072;
  request.max_batch_size = 64;
  const Plan short_of = planned("meta-llama/Llama-3.1-8B", request);
  ASSERT_TRUE(short_of.error);
  expect_categories(short_of, 0, "does not fit");
}

// On this machine's devices, or why there are none.
TEST(VerifyPlan, ReportsAPartForEachCategory) {
  PlanRequest request;
  request.devices = "1GiB";
  request.max_length = 512;
  request.max_batch_size = 1;
  const auto report = verify_plan(planned("HuggingFaceTB/SmolLM2-135M-Instruct", request));
  if (!report) {
    EXPECT_EQ(report.error().code, ErrorCode::kBadRequest);
    EXPECT_EQ(report.error().where, "--devices");
    GTEST_SKIP() << "no GPU: " << report.error().message;
  }
  ASSERT_EQ(report->devices.size(), 1U);
  std::vector<Category> categories;
  for (const VerifiedPart& part : report->devices[0].parts) categories.push_back(part.category);
  EXPECT_THAT(categories, ::testing::ElementsAre(Category::kKvCache, Category::kSignalBuffer, Category::kVisionCache));
  EXPECT_EQ(report->devices[0].parts[0].planned_bytes, report->plan.devices[0].kv_cache_bytes);
}

} // namespace
} // namespace plimsoll::testing
