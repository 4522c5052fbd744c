// Known flaws of the documented estimator, one test each: what the pooled plan says, and what the per-device plan says.
#include <gtest/gtest.h>

#include "unit/estimate/estimator_cases.hpp"

namespace plimsoll {
namespace {

using cases::Json;
using cases::kGib;

struct Both {
  Json pooled, per_device;
};

Both ask(Json request) {
  request["accounting"] = "pooled";
  Both both{cases::answer(request), {}};
  request["accounting"] = "per_device";
  both.per_device = cases::answer(request);
  return both;
}

Json example(std::size_t index) { return cases::load("pooled_plans")[index]["request"]; }

Json llama() { return example(0); }

bool says(const Json& answer, const char* text) { return answer["error"]["message"].get<std::string>().find(text) != std::string::npos; }

TEST(EstimateFlaws, PoolingPromisesWhatTheSmallerDeviceCannotHold) {
  const Both both = ask(example(8)); // 80 GiB and 24 GiB
  EXPECT_TRUE(both.pooled["fits"].get<bool>());
  EXPECT_GT(both.pooled["footprint_bytes"].get<std::int64_t>() / 2, 24 * kGib);
  EXPECT_TRUE(both.per_device["fits"].get<bool>());
  for (const Json& device : both.per_device["devices"]) EXPECT_GE(device["unused_bytes"].get<std::int64_t>(), 0);
  EXPECT_LT(both.per_device["max_supported_sequence_length"], both.pooled["max_supported_sequence_length"]);
}

TEST(EstimateFlaws, UtilizationIsUncheckedAndSwitchesOnUselessAdvice) {
  const Both both = ask(example(4)); // 1.5 of 64 MiB, 4,096 tokens by the user
  EXPECT_EQ(both.pooled["error"]["code"], "out_of_memory");
  EXPECT_TRUE(says(both.pooled, "reduce max_length to 4095"));
  EXPECT_EQ(both.per_device["error"]["code"], "bad_request");
  EXPECT_EQ(both.per_device["error"]["where"], "/device_memory_utilization");
}

TEST(EstimateFlaws, ModelsWithoutCacheFailForLackOfKvRoom) {
  Json request = llama();
  request.erase("kv_cache");
  request["sizes"]["weights_bytes"] = 77309411328; // the whole budget
  const Both both = ask(request);
  EXPECT_EQ(both.pooled["error"]["code"], "no_room_for_kv");
  EXPECT_TRUE(both.per_device["fits"].get<bool>());
  EXPECT_EQ(both.per_device["kv_cache_bytes"], 0);
}

TEST(EstimateFlaws, NoRoomHidesTheLedger) {
  const Both both = ask(example(5)); // 24 GiB, 22 GiB of weights
  EXPECT_EQ(both.pooled["error"]["code"], "no_room_for_kv");
  EXPECT_EQ(both.per_device["error"]["code"], "no_room_for_kv");
  for (const char* part : {"device 0", "21.60 GiB", "0.9", "24.00 GiB", "22.00 GiB", "short by 429,496,731 bytes"})
    EXPECT_TRUE(says(both.per_device, part)) << part << both.per_device["error"];
}

TEST(EstimateFlaws, ADefaultBatchOf512IgnoresTheMemory) {
  const Both both = ask(llama());
  EXPECT_EQ(both.pooled["max_batch_size"], 512);
  EXPECT_EQ(both.per_device["max_batch_size"], 114); // requests of 4,096 tokens that fit together
}

TEST(EstimateFlaws, TheSearchNeverTestsItsUpperEnd) {
  Json request = example(3); // truncated at a utilisation of 1.5
  const Both both = ask(request);
  EXPECT_EQ(both.pooled["warnings"][0], "max_length_truncated");
  request["device_memory_utilization"] = 1.0;
  request["sizes"]["activation_bytes"] = 0;
  request["max_length"] = 6 * 128; // exactly what fits
  request["devices"][0]["free_bytes"] = 10485760 + 7 * 2097152;
  request["devices"][0].erase("max_allocation_bytes");
  const Json exact = ask(request).per_device;
  EXPECT_EQ(exact["max_length"], 6 * 128) << exact;
  EXPECT_EQ(exact["devices"][0]["unused_bytes"], 0);
}

TEST(EstimateFlaws, StatesOfTheBatchAreForgottenInTheCapacityOfOne) {
  Json request = Json::parse(R"({"devices": [{"free_bytes": 10737418240}], "device_memory_utilization": 1.0, "sizes": {"weights_bytes": 0},
    "kv_cache": {"caches": [{"layers": 8, "kv_heads": 4, "head_dim": 128},
                            {"kind": "state", "regions": [{"layers": 8, "row_shape": [1048576], "dtype": "float32"}]}]},
    "max_length": 10000000, "max_batch_size": 100})");
  const Both both = ask(request);
  const std::int64_t page = 2LL * 8 * 128 * 4 * 128 * 2, state = 2LL * 8 * 1048576 * 4;
  // Pooled: the pages that 100 requests leave, plus the states of 99 of them priced as pages.
  const std::int64_t blocks = (10 * kGib - 100 * state) / page;
  EXPECT_EQ(both.pooled["max_supported_sequence_length"], (blocks * page + 99 * state) / page * 128);
  EXPECT_EQ(both.per_device["max_supported_sequence_length"], (blocks - 1) * 128);
}

TEST(EstimateFlaws, TheNullPageIsReservedInTheDemandOnly) {
  const Both both = ask(llama());
  const std::int64_t pages = 61248889088 / 16777216;
  EXPECT_EQ(both.pooled["max_supported_sequence_length"], pages * 128); // no page left for the null page
  EXPECT_EQ(both.per_device["max_supported_sequence_length"], (pages - 1) * 128);
  EXPECT_EQ(both.per_device["pages_per_replica"], pages);
}

TEST(EstimateFlaws, WindowsArePricedAsFullAttention) {
  const Both both = ask(example(12)); // 50 layers with a window of 1,024 and 10 full ones
  EXPECT_EQ(both.pooled["max_length"], 20224);
  EXPECT_EQ(both.per_device["max_length"], 131072);
  EXPECT_GT(both.per_device["max_supported_sequence_length"].get<std::int64_t>(), 131072);
}

TEST(EstimateFlaws, StatesOfADefaultBatchLeaveNoPage) {
  Json request = Json::parse(R"({"devices": [{"free_bytes": 85899345920}], "sizes": {"weights_bytes": 60129542144},
    "kv_cache": {"page_tokens": 256, "caches": [{"layers": 16, "kv_heads": 4, "head_dim": 256}, {"kind": "state", "regions": [
      {"label": "conv", "layers": 48, "row_shape": [10240, 3], "dtype": "bfloat16"},
      {"label": "ssm", "layers": 48, "row_shape": [48, 128, 128], "dtype": "bfloat16"}]}]}, "max_length": 262144})");
  const Both both = ask(request);
  EXPECT_EQ(both.pooled["error"]["code"], "no_page_fits");
  EXPECT_TRUE(both.per_device["fits"].get<bool>());
  EXPECT_GT(both.per_device["max_batch_size"], 1);
}

TEST(EstimateFlaws, TheVisionReserveShrinksWithTheDevicesAndMayHoldNoImage) {
  Json request = example(13);
  const Both both = ask(request);
  // 5 % of the pool, divided by two devices; per device it is 5 % of each.
  EXPECT_LT(both.pooled["vision_cache"]["bytes"].get<std::int64_t>() * 19 / 10,
            both.per_device["vision_cache"]["bytes"].get<std::int64_t>());
  // An image larger than the share: the documented reserve says nothing, ours holds it on every device.
  request["vision_cache"]["entry_bytes"] = 8 * kGib;
  const Both large = ask(request);
  EXPECT_EQ(large.pooled["warnings"], Json::array());
  EXPECT_EQ(large.pooled["vision_cache"]["bytes"], both.pooled["vision_cache"]["bytes"]);
  EXPECT_EQ(large.per_device["warnings"], Json::parse(R"(["vision_cache_raised"])"));
  EXPECT_GE(large.per_device["devices"][0]["vision_cache_bytes"].get<std::int64_t>(), 8 * kGib);
  // And one larger than the device.
  request["vision_cache"]["entry_bytes"] = 100 * kGib;
  EXPECT_EQ(ask(request).per_device["error"]["code"], "no_room_for_kv");
}

TEST(EstimateFlaws, ATruncatedPlanStillCommitsTheUntruncatedBytes) {
  const Both both = ask(example(3));
  const std::int64_t parts = both.pooled["static_bytes"].get<std::int64_t>() + both.pooled["kv_cache_bytes"].get<std::int64_t>();
  EXPECT_TRUE(both.pooled["fits"].get<bool>());
  EXPECT_GT(parts, both.pooled["free_bytes"].get<std::int64_t>()); // 96 MiB of 64 MiB
  Json request = example(3);
  request["device_memory_utilization"] = 1.0;
  const Json per_device = ask(request).per_device;
  EXPECT_LE(per_device["footprint_bytes"], per_device["free_bytes"]);
}

} // namespace
} // namespace plimsoll
