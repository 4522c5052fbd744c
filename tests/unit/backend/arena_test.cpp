#include "plimsoll/arena.hpp"

#include <algorithm>
#include <cstring>
#include <gtest/gtest.h>
#include <thread>

namespace plimsoll {
namespace {

Item item(Category category, const std::string& label, std::vector<std::uint64_t> bytes, bool counted = true) {
  Item made;
  made.category = category;
  made.label = label;
  made.bytes = std::move(bytes);
  made.counted = counted;
  return made;
}

Plan plan_of(std::vector<Item> items, std::size_t ranks = 2) {
  Plan plan;
  plan.devices.resize(ranks);
  plan.items = std::move(items);
  return plan;
}

Plan usual_plan() {
  return plan_of({item(Category::kWeights, "head", {400, 800}), item(Category::kKvCache, "kv_cache.attention", {4096, 4096}),
                  item(Category::kActivation, "values", {256, 256}), item(Category::kActivation, "values", {64, 0}),
                  item(Category::kActivation, "images", {512, 512}, false)});
}

std::vector<std::uint64_t> shape(std::initializer_list<std::uint64_t> extents) { return extents; }

const Usage& line(const std::vector<Usage>& usage, std::string_view label) {
  return *std::find_if(usage.begin(), usage.end(), [&](const Usage& u) { return u.label == label; });
}

TEST(ArenaTest, KnowsWhatThePlanSetsAsideOnItsRank) {
  const Arena arena = Arena::create(usual_plan(), 1).value();
  EXPECT_EQ(arena.rank(), 1U);
  const std::vector<Usage> usage = arena.usage();
  ASSERT_EQ(usage.size(), 3U); // what is covered by a larger phase is not set aside
  EXPECT_EQ(line(usage, "head").planned_bytes, 800U);
  EXPECT_EQ(line(usage, "values").planned_bytes, 256U);
  EXPECT_EQ(line(usage, "kv_cache.attention").planned_bytes, 4096U);
  EXPECT_EQ(arena.usage_by_category()[static_cast<std::size_t>(Category::kActivation)].planned_bytes, 256U);
}

TEST(ArenaTest, AddsUpItemsOfOneLabel) {
  const Arena arena = Arena::create(usual_plan(), 0).value();
  EXPECT_EQ(line(arena.usage(), "values").planned_bytes, 320U);
}

TEST(ArenaTest, GivesZerosAtCacheLines) {
  Arena arena = Arena::create(plan_of({item(Category::kWeights, "head", {5U << 20, 0})}), 0).value();
  for (const std::uint64_t elements : {1ULL, 77ULL, 1ULL << 20}) {
    const Buffer buffer = arena.allocate(Category::kWeights, "head", ElementType::kFloat32, shape({elements})).value();
    ASSERT_NE(buffer.data(), nullptr);
    EXPECT_EQ(std::bit_cast<std::uintptr_t>(buffer.data()) % 64, 0U);
    const auto* values = static_cast<const float*>(buffer.data());
    EXPECT_TRUE(std::all_of(values, values + elements, [](float value) { return value == 0; }));
    EXPECT_EQ(buffer.elements(), elements);
    EXPECT_EQ(buffer.bytes(), elements * 4);
    EXPECT_EQ(buffer.type(), ElementType::kFloat32);
    ASSERT_EQ(buffer.shape().size(), 1U);
    EXPECT_EQ(buffer.shape()[0], elements);
  }
}

TEST(ArenaTest, CountsLiveAndPeakToTheByte) {
  Arena arena = Arena::create(usual_plan(), 0).value();
  Buffer first = arena.allocate(Category::kActivation, "values", ElementType::kFloat32, shape({2, 25})).value();
  Buffer second = arena.allocate(Category::kActivation, "values", ElementType::kUint8, shape({7})).value();
  EXPECT_EQ(line(arena.usage(), "values").live_bytes, 207U);
  second = Buffer();
  EXPECT_EQ(line(arena.usage(), "values").live_bytes, 200U);
  EXPECT_EQ(line(arena.usage(), "values").peak_bytes, 207U);
  Buffer moved = std::move(first);
  first = Buffer();
  EXPECT_EQ(line(arena.usage(), "values").live_bytes, 200U);
  moved = arena.allocate(Category::kActivation, "values", ElementType::kBfloat16, shape({5})).value();
  EXPECT_EQ(line(arena.usage(), "values").live_bytes, 10U);
  EXPECT_EQ(line(arena.usage(), "values").peak_bytes, 210U);
}

TEST(ArenaTest, RefusesWhatIsBeyondThePlan) {
  struct Case {
    Category category;
    std::string label;
    std::uint64_t bytes;
    std::string says;
  };
  const Case cases[] = {
      {Category::kWeights, "head", 401, "weights 'head': 401 B more than the 0 B that are taken exceed the 400 B that the plan sets aside"},
      {Category::kActivation, "head", 1, "activation 'head': 1 B more than the 0 B"},
      {Category::kActivation, "images", 1, "exceed the 0 B"},
      {Category::kKvCache, "", 1, "exceed the 0 B"},
      {Category::kKvCache, "kv_cache.attention", UINT64_MAX, "exceed the 4096 B"}};
  Arena arena = Arena::create(usual_plan(), 0).value();
  for (const Case& c : cases) {
    const Result<Buffer> refused = arena.allocate(c.category, c.label, ElementType::kUint8, shape({c.bytes}));
    ASSERT_FALSE(refused) << c.label;
    EXPECT_EQ(refused.error().code, ErrorCode::kOverPlan);
    EXPECT_NE(refused.error().message.find(c.says), std::string::npos) << refused.error().message;
  }
  for (const Usage& usage : arena.usage()) EXPECT_EQ(usage.peak_bytes, 0U) << usage.label;
}

TEST(ArenaTest, WhatIsGivenBackCanBeTakenAgain) {
  Arena arena = Arena::create(usual_plan(), 0).value();
  Buffer all = arena.allocate(Category::kWeights, "head", ElementType::kFloat32, shape({100})).value();
  EXPECT_FALSE(arena.allocate(Category::kWeights, "head", ElementType::kUint8, shape({1})));
  all = Buffer();
  EXPECT_TRUE(arena.allocate(Category::kWeights, "head", ElementType::kFloat32, shape({10, 10})));
}

TEST(ArenaTest, ObservesWhereItDoesNotEnforce) {
  Arena arena = Arena::create(usual_plan(), 0, host_memory(), ArenaMode::kObserve).value();
  const Buffer more = arena.allocate(Category::kWeights, "head", ElementType::kUint8, shape({401})).value();
  const Buffer other = arena.allocate(Category::kWorkspace, "tables", ElementType::kUint8, shape({9})).value();
  const std::vector<Usage> usage = arena.usage();
  EXPECT_TRUE(line(usage, "head").over_plan());
  EXPECT_TRUE(line(usage, "tables").over_plan());
  EXPECT_FALSE(line(usage, "values").over_plan());
  EXPECT_TRUE(arena.usage_by_category()[static_cast<std::size_t>(Category::kWorkspace)].over_plan());
}

TEST(ArenaTest, AShapeWithoutElementsTakesNothing) {
  Arena arena = Arena::create(usual_plan(), 0).value();
  const Buffer none = arena.allocate(Category::kSignalBuffer, "none", ElementType::kFloat32, shape({4, 0})).value();
  EXPECT_EQ(none.data(), nullptr);
  EXPECT_EQ(none.bytes(), 0U);
  EXPECT_EQ(arena.usage().size(), 3U);
}

TEST(ArenaTest, AShapeThatOverflowsIsAnError) {
  Arena arena = Arena::create(usual_plan(), 0, host_memory(), ArenaMode::kObserve).value();
  EXPECT_FALSE(arena.allocate(Category::kWeights, "head", ElementType::kFloat32, shape({UINT64_MAX / 2, 4})));
}

TEST(ArenaTest, SaysWhenTheMachineHasNoMore) {
  Arena arena = Arena::create(usual_plan(), 0, host_memory(), ArenaMode::kObserve).value();
  for (const bool guarded : {false, true}) {
    const Result<Buffer> refused = arena.allocate(Category::kWeights, "head", ElementType::kUint8, shape({UINT64_MAX / 4}), guarded);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kOutOfMemory);
  }
  EXPECT_EQ(line(arena.usage(), "head").live_bytes, 0U);
  EXPECT_EQ(line(arena.usage(), "head").peak_bytes, 0U);
}

TEST(ArenaTest, RefusesRanksAndPlansThatAreNone) {
  EXPECT_FALSE(Arena::create(usual_plan(), 2));
  Plan plan = usual_plan();
  plan.verdict = Verdict::kDoesNotFit;
  EXPECT_FALSE(Arena::create(plan, 0));
}

TEST(ArenaTest, CountsWhatALibraryTakes) {
  Arena arena = Arena::create(plan_of({item(Category::kOverhead, "blas", {1000, 1000})}), 0).value();
  EXPECT_TRUE(arena.count(Category::kOverhead, "blas", 600));
  EXPECT_EQ(line(arena.usage(), "blas").peak_bytes, 600U);
  const Result<void> more = arena.count(Category::kOverhead, "blas", 401);
  ASSERT_FALSE(more);
  EXPECT_EQ(more.error().code, ErrorCode::kOverPlan);
  EXPECT_EQ(line(arena.usage(), "blas").peak_bytes, 1001U); // it is taken, whatever was planned
}

TEST(ArenaTest, BuffersMayOutliveIt) {
  Buffer buffer;
  {
    Arena arena = Arena::create(usual_plan(), 0).value();
    buffer = arena.allocate(Category::kWeights, "head", ElementType::kUint8, shape({400})).value();
  }
  std::memset(buffer.data(), 1, buffer.bytes());
  EXPECT_EQ(static_cast<const std::uint8_t*>(buffer.data())[399], 1);
}

TEST(ArenaTest, ManyThreadsTakeNoMoreThanThePlan) {
  Arena arena = Arena::create(plan_of({item(Category::kKvCache, "pages", {100 * 64, 0})}), 0).value();
  std::vector<std::thread> threads;
  for (int n = 0; n < 4; ++n)
    threads.emplace_back([&] {
      std::vector<Buffer> mine;
      for (int i = 0; i < 200; ++i) {
        if (Result<Buffer> buffer = arena.allocate(Category::kKvCache, "pages", ElementType::kUint8, shape({64})))
          mine.push_back(std::move(*buffer));
        if (mine.size() > 40) mine.clear();
      }
    });
  for (std::thread& thread : threads) thread.join();
  const std::vector<Usage> usage = arena.usage();
  EXPECT_EQ(line(usage, "pages").live_bytes, 0U);
  EXPECT_LE(line(usage, "pages").peak_bytes, 6400U);
  EXPECT_GE(line(usage, "pages").peak_bytes, 41U * 64);
}

TEST(HostMemoryTest, AGuardedPieceEndsWhereItsGuardBegins) {
  for (const std::uint64_t bytes : {64ULL, 4096ULL, 10'048ULL, 3ULL << 20}) {
    void* memory = host_memory()->take(bytes, true).value();
    EXPECT_EQ(std::bit_cast<std::uintptr_t>(memory) % 64, 0U);
    EXPECT_EQ((std::bit_cast<std::uintptr_t>(memory) + bytes) % 4096, 0U);
    std::memset(memory, 0xFF, bytes); // all of it can be written
    host_memory()->give_back(memory, bytes, true);
  }
}

using HostMemoryDeathTest = testing::Test;
TEST(HostMemoryDeathTest, WritingBeyondAGuardedPieceFailsAtOnce) {
  void* memory = host_memory()->take(128, true).value();
  volatile auto* bytes = static_cast<std::uint8_t*>(memory);
  EXPECT_DEATH(bytes[128] = 1, "");
  host_memory()->give_back(memory, 128, true);
}

} // namespace
} // namespace plimsoll
