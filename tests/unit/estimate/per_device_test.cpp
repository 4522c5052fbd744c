// The per-device plan: exact figures, rules row by row, and what it promises when asked again.
#include <gtest/gtest.h>
#include <random>

#include "base/exact_fraction.hpp"
#include "unit/estimate/estimator_cases.hpp"

namespace plimsoll {
namespace {

using cases::Json;
using cases::kGib;

Json llama(std::initializer_list<std::int64_t> free_gib) {
  Json request = Json::parse(R"({"devices": [], "sizes": {"weights_bytes": 16060522240},
    "kv_cache": {"caches": [{"layers": 32, "kv_heads": 8, "head_dim": 128}]}, "max_length": 131072})");
  for (const std::int64_t gib : free_gib) request["devices"].push_back({{"free_bytes", gib * kGib}});
  return request;
}

TEST(ExactFraction, IsADecimalNotADouble) {
  EXPECT_EQ(narrow(share_of(85899345923, exact_fraction(0.9))), 77309411330);
  EXPECT_EQ(narrow(share_of(10, exact_fraction(0.7))), 7); // 10 x 0.7 in binary is just below 7
  EXPECT_EQ(narrow(share_of(INT64_MAX, exact_fraction(1))), INT64_MAX);
}

TEST(EstimatePerDevice, IsTheDefaultAndCountsToTheByte) {
  const Json got = cases::answer(llama({80}));
  EXPECT_TRUE(got["fits"].get<bool>());
  const std::int64_t room = 77309411328 - 16060522240, pages = room / 16777216;
  EXPECT_EQ(got["pages_per_replica"], pages);
  EXPECT_EQ(got["kv_cache_bytes"], pages * 16777216);
  EXPECT_EQ(got["max_supported_sequence_length"], (pages - 1) * 128);
  EXPECT_EQ(got["max_batch_size"], (pages - 1) / 32); // requests of 4,096 tokens
  EXPECT_EQ(got["max_batch_at_max_length"], 3);
  EXPECT_EQ(got["devices"][0]["unused_bytes"], room % 16777216);
}

TEST(EstimatePerDevice, PartsAndRestAreTheBudget) {
  Json request = llama({80, 24, 80, 48});
  request["sizes"]["activation_bytes"] = 12345677;
  request["vision_cache"] = {{"row_elements", 5376}, {"entry_bytes", 12582912}};
  const Json got = cases::answer(request);
  ASSERT_TRUE(got["fits"].get<bool>()) << got.dump();
  std::int64_t footprint = 0;
  for (const Json& device : got["devices"]) {
    const std::int64_t parts = device["static_bytes"].get<std::int64_t>() + device["vision_cache_bytes"].get<std::int64_t>() +
                               device["kv_cache_bytes"].get<std::int64_t>();
    EXPECT_EQ(device["budget_bytes"].get<std::int64_t>(), parts + device["unused_bytes"].get<std::int64_t>());
    footprint += parts;
  }
  EXPECT_EQ(got["footprint_bytes"], footprint);
  EXPECT_EQ(got["devices"][0]["static_bytes"], (16060522240 + 3) / 4 + (12345677 + 3) / 4);
}

TEST(EstimatePerDevice, SizesMayDifferByDevice) {
  Json request = llama({80, 80});
  request["sizes"]["weights_bytes"] = {10 * kGib, 60 * kGib};
  const Json got = cases::answer(request);
  EXPECT_EQ(got["devices"][0]["static_bytes"], 10 * kGib);
  EXPECT_EQ(got["devices"][1]["static_bytes"], 60 * kGib);
  EXPECT_EQ(got["pages_per_replica"], (72 - 60) * kGib / 8388608);
  request["sizes"]["weights_bytes"] = {1, 2, 3};
  EXPECT_EQ(cases::answer(request)["error"]["where"], "/sizes/weights_bytes");
}

struct PerDeviceCase {
  const char* name;
  const char* patch;
  const char* key;
  const char* value;
};
void PrintTo(const PerDeviceCase& row, std::ostream* out) { *out << row.name; }
class PerDeviceRow : public testing::TestWithParam<PerDeviceCase> {};
TEST_P(PerDeviceRow, Holds) {
  Json request = llama({80});
  request.merge_patch(Json::parse(GetParam().patch));
  const Json got = cases::answer(request);
  const Json& value = std::string_view(GetParam().key) == "code" ? got["error"]["code"] : got[GetParam().key];
  EXPECT_EQ(value, Json::parse(GetParam().value)) << got.dump();
}
constexpr PerDeviceCase kPerDeviceCases[] = {
    {"UtilizationAboveOne", R"({"device_memory_utilization": 1.5})", "code", R"("bad_request")"},
    {"UtilizationZero", R"({"device_memory_utilization": 0})", "code", R"("bad_request")"},
    {"UtilizationOne", R"({"device_memory_utilization": 1})", "fits", "true"},
    {"NoBatchIsNoBatch", R"({"max_batch_size": 0})", "code", R"("bad_request")"},
    {"LengthZero", R"({"max_length": 0})", "code", R"("bad_request")"},
    {"BatchCapped", R"({"max_batch_size": 9000})", "warnings", R"(["batch_capped", "batch_exceeds_pages"])"},
    {"DefaultBatchIsCappedQuietly", R"({"max_batch_input_tokens": 7})", "warnings", "[]"},
    {"DefaultBatchAtMostTheInputTokens", R"({"max_batch_input_tokens": 7})", "max_batch_size", "7"},
    {"DefaultBatchAtMost512", R"({"max_length": 128})", "max_batch_size", "512"},
    {"HostServesOne", R"({"devices": [{"free_bytes": 85899345920, "host": true}]})", "max_batch_size", "1"},
    {"SmallDemandTakesOnlyThat", R"({"max_length": 2048, "max_batch_size": 8})", "kv_cache_bytes", "2164260864"},
    {"GivenLengthTooLong", R"({"max_length": 1000000, "max_length_given": true})", "code", R"("out_of_memory")"},
    {"DefaultLengthIsClamped", R"({"max_length": 1000000})", "max_length", "467072"},
    {"DefaultLengthIsClampedAloud", R"({"max_length": 1000000})", "warnings", R"(["capacity_clamped"])"},
    {"DraftBoundsTheLength", R"({"draft": {"max_length": 1000}})", "max_length", "1000"},
    {"TooLarge", R"({"sizes": {"weights_bytes": 85899345921}})", "code", R"("model_too_large")"},
    {"NoRoom", R"({"sizes": {"weights_bytes": 77309411328}})", "code", R"("no_room_for_kv")"},
    {"NotOnePage", R"({"sizes": {"weights_bytes": 77309411300}})", "code", R"("no_page_fits")"},
    {"OnePageIsNotEnoughForTheNullPageToo", R"({"sizes": {"weights_bytes": 77275856897}})", "code", R"("no_page_fits")"},
    {"TwoPagesAre", R"({"sizes": {"weights_bytes": 77275856896}})", "max_length", "128"},
    {"AllocationCap", R"({"devices": [{"free_bytes": 85899345920, "max_allocation_bytes": 33554432}]})", "max_length", "128"},
    // An image of Qwen2.5-VL-7B is 128 blocks of 128 rows x 3,584 bfloat16, whatever the share.
    {"AShareOfNothingHoldsOneImage", R"({"vision_cache": {"utilization": 0.00001, "row_elements": 3584, "entry_bytes": 117440512}})",
     "vision_cache", R"({"bytes": 117440512, "blocks": 128})"},
    {"OneImageIsRaisedAloud", R"({"vision_cache": {"utilization": 0.00001, "row_elements": 3584, "entry_bytes": 117440512}})", "warnings",
     R"(["vision_cache_raised"])"},
    {"TotalStandsInForFree", R"({"devices": [{"free_bytes": 0, "total_bytes": 85899345920}]})", "fits", "true"},
};
INSTANTIATE_TEST_SUITE_P(EstimatePerDevice, PerDeviceRow, testing::ValuesIn(kPerDeviceCases),
                         [](const auto& info) { return info.param.name; });

TEST(EstimatePerDevice, AShortfallIsANegativeRest) {
  Json request = llama({80, 24});
  request["max_length"] = 1000000;
  request["max_length_given"] = true;
  const Json got = cases::answer(request);
  EXPECT_EQ(got["error"]["code"], "out_of_memory");
  EXPECT_EQ(got["error"]["where"], "/devices/1");
  EXPECT_LT(got["devices"][1]["unused_bytes"].get<std::int64_t>(), 0);
  request["sizes"]["weights_bytes"] = {kGib, 30 * kGib};
  const Json large = cases::answer(request);
  EXPECT_EQ(large["error"]["code"], "model_too_large");
  EXPECT_LT(large["devices"][1]["unused_bytes"].get<std::int64_t>(), 0);
}

TEST(EstimatePerDeviceProperties, WhatIsPromisedIsAcceptedWhenAskedFor) {
  std::mt19937_64 random(7);
  int fitting = 0;
  for (int round = 0; round < 300; ++round) {
    Json request = llama({});
    for (std::uint64_t i = random() % 2 + 1; i > 0; --i)
      request["devices"].push_back({{"free_bytes", 10 * kGib + static_cast<std::int64_t>(random() % (90UL << 30))}});
    request["sizes"]["weights_bytes"] = random() % (20UL << 30);
    request["max_length"] = random() % 2000000 + 1;
    if (random() % 2) request["max_batch_size"] = random() % 600 + 1;
    if (random() % 2)
      request["kv_cache"]["caches"].push_back(Json::parse(R"({"kind": "state", "regions": [{"layers": 4, "row_shape": [1024, 16]}]})"));
    if (random() % 2)
      request["kv_cache"]["caches"].push_back(Json::parse(R"({"layers": 8, "kv_heads": 4, "head_dim": 64, "window_tokens": 512})"));
    const Json got = cases::answer(request);
    if (!got["fits"].get<bool>()) continue;
    ++fitting;
    Json again = request;
    again["max_length"] = got["max_length"];
    again["max_batch_size"] = got["max_batch_size"];
    again["max_length_given"] = true;
    const Json second = cases::answer(again);
    EXPECT_TRUE(second["fits"].get<bool>()) << again.dump() << second.dump();
    EXPECT_EQ(second["kv_cache_bytes"], got["kv_cache_bytes"]) << again.dump();
    again["max_length"] = got["max_supported_sequence_length"];
    EXPECT_TRUE(cases::answer(again)["fits"].get<bool>()) << again.dump();
    again["max_length"] = got["max_supported_sequence_length"].get<std::int64_t>() + 1;
    EXPECT_EQ(cases::answer(again)["error"]["code"], "out_of_memory") << again.dump();
  }
  EXPECT_GT(fitting, 100);
}

TEST(EstimatePerDeviceProperties, MoreMemoryNeverPromisesLess) {
  std::mt19937_64 random(8);
  int fitting = 0;
  for (int round = 0; round < 300; ++round) {
    Json request = llama({20, 20});
    const auto free = static_cast<std::int64_t>(random() % (60UL << 30) + (10UL << 30));
    request["devices"][0]["free_bytes"] = free;
    request["max_batch_size"] = random() % 64 + 1;
    const Json less = cases::answer(request);
    request["devices"][0]["free_bytes"] = free + static_cast<std::int64_t>(random() % (1UL << 30));
    const Json more = cases::answer(request);
    if (!less["fits"].get<bool>()) continue;
    ++fitting;
    EXPECT_TRUE(more["fits"].get<bool>());
    EXPECT_LE(less["max_length"].get<std::int64_t>(), more["max_length"].get<std::int64_t>());
    EXPECT_LE(less["pages_per_replica"].get<std::int64_t>(), more["pages_per_replica"].get<std::int64_t>());
  }
  EXPECT_GT(fitting, 100);
}

} // namespace
} // namespace plimsoll
