// KVCacheMixin of the documented module: get_kv_params, get_num_layers, estimate_kv_cache_size, load_kv_manager.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <ostream>
#include <string_view>

#include "support/built_context.hpp"
#include "unit/runtime/fake_model.hpp"

namespace plimsoll::kv_cache_model_test {
namespace {

using namespace plimsoll::testing;
using ::testing::HasSubstr;
using ::testing::SizeIs;

struct FamilyCase {
  const char *name, *devices, *engine;
  std::uint64_t layers;
  friend void PrintTo(const FamilyCase& c, std::ostream* out) {
    *out << std::string_view(c.name).substr(std::string_view(c.name).rfind('/') + 1);
  }
};
// Dense, a latent, windows beside full attention, recurrent layers that keep no tokens, several devices.
constexpr FamilyCase kFamilies[]{
    {PLIMSOLL_TEST_DATA "/tiny/kjv", "256MiB", "reference", 4},
    {PLIMSOLL_TEST_DATA "/tiny/mla", "600MiB", "max", 3},
    {"google/gemma-3-1b-it", "1xH100", "max", 26},
    {"openai/gpt-oss-20b", "1xH100", "vllm", 24},
    {"Qwen/Qwen3-Next-80B-A3B-Instruct", "4xH200", "max", 12},
    {"meta-llama/Llama-3.1-8B", "2xH100", "max", 32},
};

class KvCacheMixin : public ::testing::TestWithParam<FamilyCase> {
protected:
  static PlanRequest request_of(const FamilyCase& c) {
    PlanRequest request;
    request.devices = c.devices;
    request.engine = c.engine;
    request.max_length = 256;
    request.max_batch_size = 4;
    return request;
  }
  static const Context& context() { return test::built_context(); }
};

TEST_P(KvCacheMixin, TheEstimateIsThePlanIsWhatThePoolsTake) {
  const FamilyCase& c = GetParam();
  const auto model = context().load(c.name);
  ASSERT_TRUE(model) << model.error().message;
  constexpr std::uint64_t kAvailable = 128ULL << 20;
  PlanRequest request = request_of(c);
  const auto estimate = KvCacheModel::estimate_kv_cache_size(context(), *model, request, kAvailable);
  ASSERT_TRUE(estimate) << estimate.error().message;

  request.kv_cache_bytes = kAvailable;
  const Plan plan = context().plan(*model, request).value();
  ASSERT_FALSE(plan.error) << plan.error->message;
  std::vector<Arena> arenas;
  for (std::uint32_t rank = 0; rank < plan.devices.size(); ++rank)
    arenas.push_back(Arena::create(plan, rank, host_memory(), ArenaMode::kObserve).value()); // tables are the reference's alone
  FakeModel host(PipelineModelOptions{plan, arenas});
  const auto cache = host.load_kv_manager(plan, arenas, {});
  ASSERT_TRUE(cache) << cache.error().message;
  ASSERT_THAT(*estimate, SizeIs(plan.devices.size()));
  for (std::uint32_t rank = 0; rank < plan.devices.size(); ++rank) {
    EXPECT_EQ((*estimate)[rank], plan.devices[rank].kv_cache_bytes);
    EXPECT_EQ(cache->bytes(rank), (*estimate)[rank]);
    EXPECT_LE(cache->bytes(rank), kAvailable);
    EXPECT_GT(cache->bytes(rank), 0U);
    const Usage taken = arenas[rank].usage_by_category()[static_cast<std::size_t>(Category::kKvCache)];
    EXPECT_EQ(taken.live_bytes, taken.planned_bytes);
  }
}

TEST_P(KvCacheMixin, GetNumLayersCountsThoseThatCache) {
  const auto model = context().load(GetParam().name);
  ASSERT_TRUE(model);
  EXPECT_EQ(KvCacheModel::get_num_layers(context(), *model).value(), GetParam().layers);
}

TEST_P(KvCacheMixin, GetKvParamsAreThePlans) {
  const auto model = context().load(GetParam().name);
  ASSERT_TRUE(model);
  const PlanRequest request = request_of(GetParam());
  const Plan plan = context().plan(*model, request).value();
  const auto params = KvCacheModel::get_kv_params(context(), *model, request);
  ASSERT_TRUE(params);
  EXPECT_EQ(params->dtype, plan.kv_cache.dtype);
  EXPECT_EQ(params->page_tokens, plan.kv_cache.page_tokens);
  EXPECT_EQ(params->bytes_per_token_per_device, plan.kv_cache.bytes_per_token_per_device);
  EXPECT_EQ(params->groups.size(), plan.kv_geometry.n_groups());
  EXPECT_GT(params->page_tokens, 0U);
}

INSTANTIATE_TEST_SUITE_P(Families, KvCacheMixin, ::testing::ValuesIn(kFamilies), [](const auto& info) {
  std::string name = info.param.name;
  name = name.substr(name.rfind('/') + 1);
  std::erase_if(name, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0; });
  return name;
});

TEST(KvCacheMixin, TooLittleMemoryIsThePlansError) {
  const auto model = test::built_context().load(PLIMSOLL_TEST_DATA "/tiny/kjv");
  ASSERT_TRUE(model);
  PlanRequest request;
  request.devices = "64MiB";
  const auto none = KvCacheModel::estimate_kv_cache_size(test::built_context(), *model, request, 1000);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::kNoPageFits);
}

// ---- KvCache --------------------------------------------------------------------------------------------------------------

TEST(KvCache, StepsTablesLieInPlannedMemoryAndAreThoseOfTheManager) {
  const Plan plan = fake_plan({.batch = 3, .max_length = 50});
  std::vector<Arena> arenas{Arena::create(plan, 0).value()};
  auto cache = KvCache::create(plan, arenas, {.manager = {.key_seed = 1}, .most_sequences = {}, .most_context_tokens = {}});
  ASSERT_TRUE(cache) << cache.error().message;
  EXPECT_EQ(cache->blocks(0, 0).description(), "uint8 [65, 16]");
  EXPECT_TRUE(cache->blocks(0, 1).empty());
  EXPECT_TRUE(cache->blocks(1, 0).empty());
  EXPECT_EQ(cache->bytes(1), 0U);
  TextContextOptions options;
  options.id = 5;
  options.prompt = {1, 2, 3, 4, 5};
  options.max_length = 50;
  TextContext context = TextContext::create(options).value();
  ASSERT_TRUE(cache->manager().claim(5));
  ASSERT_TRUE(cache->manager().alloc(context));
  const std::array<const TextContext*, 1> batch{&context};
  const auto inputs = cache->runtime_inputs(batch);
  ASSERT_TRUE(inputs);
  ASSERT_THAT(inputs->devices, SizeIs(1));
  const KvDeviceInputs& device = inputs->devices[0];
  EXPECT_EQ(device.groups[0].blocks, cache->blocks(0, 0));
  EXPECT_EQ(device.groups[0].lookup_table.description(), "uint32 [1, 24]");
  const auto manager = cache->manager().runtime_inputs(batch);
  ASSERT_TRUE(manager);
  EXPECT_THAT(device.groups[0].lookup_table.values<std::uint32_t>().value(), ::testing::ElementsAreArray(manager->groups[0].table));
  EXPECT_THAT(device.cache_lengths.values<std::uint32_t>().value(), ::testing::ElementsAre(0));
  EXPECT_THAT(device.max_lengths.values<std::uint32_t>().value(), ::testing::ElementsAre(5, 0));
  EXPECT_EQ(arenas[0].usage_by_category()[static_cast<std::size_t>(Category::kActivation)].live_bytes, 3U * 4 + 2 * 4 + 3 * 32 * 4);
}

TEST(KvCache, ALargerBatchThanPlannedIsOverPlan) {
  const Plan plan = fake_plan({});
  std::vector<Arena> arenas{Arena::create(plan, 0).value()};
  auto cache = KvCache::create(plan, arenas, {.manager = {}, .most_sequences = 1, .most_context_tokens = {}});
  ASSERT_TRUE(cache);
  std::vector<TextContext> contexts;
  for (RequestId id = 0; id < 2; ++id) {
    TextContextOptions options;
    options.id = id;
    options.prompt = {1};
    options.max_length = 50;
    contexts.push_back(TextContext::create(options).value());
    ASSERT_TRUE(cache->manager().claim(id));
    ASSERT_TRUE(cache->manager().alloc(contexts.back()));
  }
  const std::array<const TextContext*, 2> batch{&contexts[0], &contexts[1]};
  const auto inputs = cache->runtime_inputs(batch);
  ASSERT_FALSE(inputs);
  EXPECT_EQ(inputs.error().code, ErrorCode::kOverPlan);
}

TEST(KvCache, NeedsAnArenaOfEveryRankInOrder) {
  Plan plan = fake_plan({});
  EXPECT_THAT(KvCache::create(plan, {}).error().message, HasSubstr("0 arenas for 1 ranks"));
  plan.error = Error{ErrorCode::kNoRoomForKv, "too small", ""};
  std::vector<Arena> arenas{Arena::create(fake_plan({}), 0).value()};
  EXPECT_EQ(KvCache::create(plan, arenas).error().message, "too small");
}

TEST(KvCache, APlanWithoutThePagesIsOverPlan) {
  Plan plan = fake_plan({});
  plan.items[0].bytes[0] -= 1;
  std::vector<Arena> arenas{Arena::create(plan, 0).value()};
  const auto cache = KvCache::create(plan, arenas);
  ASSERT_FALSE(cache);
  EXPECT_EQ(cache.error().code, ErrorCode::kOverPlan);
  for (const Usage& usage : arenas[0].usage()) EXPECT_EQ(usage.live_bytes, 0U) << usage.label;
}

} // namespace
} // namespace plimsoll::kv_cache_model_test
