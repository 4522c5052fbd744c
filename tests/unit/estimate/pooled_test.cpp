// The pooled plan against the documented examples, rule by rule, and MemoryEstimator's documented names.
#include <gtest/gtest.h>

#include "plimsoll/estimator.hpp"
#include "unit/estimate/estimator_cases.hpp"

namespace plimsoll {
namespace {

using cases::Json;
using cases::kGib;

TEST(EstimatePooled, AnswersTheDocumentedExamples) {
  for (const Json& c : cases::load("pooled_plans")) {
    SCOPED_TRACE(c["name"].get<std::string>());
    const Json got = cases::answer(c["request"]);
    for (const auto& [key, expected] : c["expect"].items()) {
      if (key == "error") EXPECT_EQ(got["error"]["code"], expected);
      else EXPECT_EQ(got[key], expected) << key;
    }
  }
}

std::vector<EstimateDevice> devices(std::initializer_list<std::int64_t> free_bytes) {
  std::vector<EstimateDevice> list;
  for (const std::int64_t bytes : free_bytes) {
    list.emplace_back();
    list.back().free_bytes = bytes;
  }
  return list;
}

TEST(MemoryEstimator, FreeMemoryFallsBackToTheTotalOnlyWhenAllIsZero) {
  auto list = devices({0, 0});
  list[0].total_bytes = 5;
  list[1].total_bytes = 7;
  EXPECT_EQ(MemoryEstimator::free_memory(list), 12);
  list[0].free_bytes = 1;
  EXPECT_EQ(MemoryEstimator::free_memory(list), 1);
  EXPECT_EQ(MemoryEstimator::free_memory(devices({INT64_MAX, 1})).error().code, ErrorCode::kBadRequest);
}

TEST(MemoryEstimator, StaticMemoryIsTheSum) {
  EXPECT_EQ(MemoryEstimator::static_memory_size(1, 2), 3);
  EXPECT_EQ(MemoryEstimator::static_memory_size(1, 2, 3), 6);
  EXPECT_FALSE(MemoryEstimator::static_memory_size(INT64_MAX, 1).has_value());
}

TEST(MemoryEstimator, AvailableMemoryIsADoubleProductTruncatedTowardZero) {
  EXPECT_EQ(MemoryEstimator::available_kv_cache_memory(16 * kGib, 0, 0.9, devices({80 * kGib})), 60129542144);
  EXPECT_EQ(MemoryEstimator::available_kv_cache_memory(950, 0, 0.9, devices({1001})), -49);
  EXPECT_EQ(MemoryEstimator::available_kv_cache_memory(3, 0, 0.7, devices({85899345923})), 60129542143);
}

TEST(MemoryEstimator, SupportedLengthTakesTheWholeBudgetUnlessToldOtherwise) {
  const Json example = cases::load("pooled_plans")[1];
  const EstimateRequest request = cases::request(example["request"]);
  EXPECT_EQ(MemoryEstimator::max_supported_sequence_length(request).value(), 61248889088 / 16777216 * 128);
  EXPECT_EQ(MemoryEstimator::max_supported_sequence_length(request, 2164260864).value(), 16512);
  EXPECT_EQ(MemoryEstimator::max_supported_sequence_length(request, -5).error().code, ErrorCode::kNoPageFits);
  EstimateRequest plain = request;
  plain.caches.clear();
  EXPECT_EQ(MemoryEstimator::max_supported_sequence_length(plain).value(), std::nullopt);
}

Json base() {
  return Json::parse(R"({"accounting": "pooled", "devices": [{"free_bytes": 85899345920}], "sizes": {"weights_bytes": 16060522240},
    "kv_cache": {"caches": [{"layers": 32, "kv_heads": 8, "head_dim": 128}]}, "max_length": 131072})");
}

struct PooledCase {
  const char* name;
  const char* patch;
  const char* key;
  const char* value;
};
void PrintTo(const PooledCase& row, std::ostream* out) { *out << row.name; }

class PooledRow : public testing::TestWithParam<PooledCase> {};
TEST_P(PooledRow, Holds) {
  Json request = base();
  request.merge_patch(Json::parse(GetParam().patch));
  const Json got = cases::answer(request);
  const Json& value = std::string_view(GetParam().key) == "code" ? got["error"]["code"] : got[GetParam().key];
  EXPECT_EQ(value, Json::parse(GetParam().value)) << got.dump();
}

constexpr PooledCase kPooledCases[] = {
    {"NoLength", R"({"max_length": null})", "code", R"("bad_request")"},
    {"EqualityIsNotTooLarge", R"({"sizes": {"weights_bytes": 85899345920}})", "code", R"("no_room_for_kv")"},
    {"OneMoreIsTooLarge", R"({"sizes": {"weights_bytes": 85899345921}})", "code", R"("model_too_large")"},
    {"ZeroUtilization", R"({"device_memory_utilization": 0})", "code", R"("no_room_for_kv")"},
    {"NegativeUtilization", R"({"device_memory_utilization": -1.5})", "code", R"("no_room_for_kv")"},
    {"HugeUtilization", R"({"device_memory_utilization": 1e300})", "code", R"("bad_request")"},
    {"UtilizationAboveOneIsCappedByTheTotal", R"({"device_memory_utilization": 3})", "kv_budget_bytes", "85899345920"},
    {"LoneHostServesOne", R"({"devices": [{"free_bytes": 85899345920, "host": true}]})", "max_batch_size", "1"},
    {"NoCacheServesOne", R"({"kv_cache": null})", "max_batch_size", "1"},
    {"NoCacheCommitsNothing", R"({"kv_cache": null})", "kv_cache_bytes", "0"},
    {"BatchCapped", R"({"max_batch_input_tokens": 100})", "warnings", R"(["batch_capped"])"},
    {"BatchCappedValue", R"({"max_batch_input_tokens": 100})", "max_batch_size", "100"},
    {"DraftBoundsLength", R"({"draft": {"max_length": 4096}})", "max_length", "4096"},
    {"SlackWithoutMethod", R"({"max_batch_size": 1, "max_length": 128, "draft": {"num_draft_tokens": 3}})", "pages_per_replica", "3"},
    {"NearLimit", R"({"device_memory_utilization": 0.96})", "warnings", R"(["near_limit"])"},
    {"VisionOff", R"({"vision_cache": {"utilization": 0, "row_elements": 8, "entry_bytes": 9}})", "vision_cache",
     R"({"bytes": 0, "blocks": 0})"},
    {"NoTower", R"({"vision_cache": {"row_elements": 8}})", "vision_cache", R"({"bytes": 0, "blocks": 0})"},
    {"VisionTooSmall", R"({"vision_cache": {"utilization": 1e-9, "row_elements": 5376, "entry_bytes": 1}})", "code", R"("bad_request")"},
    {"VisionOutOfRange", R"({"vision_cache": {"utilization": 1.1, "row_elements": 5376, "entry_bytes": 1}})", "code", R"("bad_request")"},
    {"WindowPricedAsFull", R"({"kv_cache": {"caches": [{"layers": 32, "kv_heads": 8, "head_dim": 128, "window_tokens": 1024}]}})",
     "max_supported_sequence_length", "467200"},
};
INSTANTIATE_TEST_SUITE_P(EstimatePooled, PooledRow, testing::ValuesIn(kPooledCases), [](const auto& info) { return info.param.name; });

TEST(EstimatePooled, ErrorsKeepTheFiguresKnownSoFar) {
  Json request = base();
  request["sizes"]["weights_bytes"] = 81604378624;
  const Json got = cases::answer(request);
  EXPECT_FALSE(got["fits"].get<bool>());
  EXPECT_EQ(got["free_bytes"], 85899345920);
  EXPECT_EQ(got["static_bytes"], 81604378624);
  EXPECT_EQ(got["kv_budget_bytes"], -4294967296);
  EXPECT_TRUE(got["max_batch_size"].is_null());
  EXPECT_TRUE(got["footprint_bytes"].is_null());
}

TEST(EstimatePooled, AdviceNamesALengthThatIsOffByOne) {
  const Json got = cases::answer(cases::load("pooled_plans")[4]["request"]);
  EXPECT_EQ(got["error"]["code"], "out_of_memory");
  EXPECT_NE(got["error"]["message"].get<std::string>().find("reduce max_length to 4095 (supports a batch of 1)"), std::string::npos);
}

} // namespace
} // namespace plimsoll
