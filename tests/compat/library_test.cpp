// The library as the host of plugins that were built with the frozen headers of 1.0, with the current ones and with a prepared next minor:
// what they declare is planned alike, to the byte, and one that needs the next minor is refused with both numbers.
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "plimsoll/host.hpp"

namespace plimsoll {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

Result<Context> context_with(const std::string& version) {
  ContextOptions options;
  options.plugin_paths = {PLIMSOLL_BUILD_DIR "/lib/plimsoll/compat/" + version};
  options.catalogue_path = PLIMSOLL_SOURCE_DIR "/core/catalogue";
  options.trust = Trust::kOpen;
  return Context::create(options);
}

nlohmann::json plan_with(const std::string& version) {
  const auto context = context_with(version);
  if (!context) return context.error().message;
  const auto model = context->load(PLIMSOLL_SOURCE_DIR "/tests/compat/config.json");
  if (!model) return model.error().message;
  PlanRequest request;
  request.devices = "2x1GiB";
  request.max_length = 2048;
  request.explain = true;
  const auto plan = context->plan(*model, request);
  return plan ? nlohmann::json::parse(plan_to_json(*plan)) : nlohmann::json(plan.error().message);
}

TEST(Compat, APluginOfVersion10IsPlannedAsItAlwaysWas) {
  const nlohmann::json plan = plan_with("1_0");
  ASSERT_TRUE(plan.is_object()) << plan;
  EXPECT_EQ(plan["verdict"], "fits");
  EXPECT_EQ(plan["request"]["max_batch_size"], 32); // the planner's
  std::vector<std::pair<std::string, std::uint64_t>> items;
  for (const nlohmann::json& item : plan["items"])
    if (item["rank"] == 1 && item["category"] != "kv_cache" && item["category"] != "vision_cache")
      items.emplace_back(item["label"], item["bytes"]);
  EXPECT_THAT(items, ElementsAre(Pair("attention.qkv_proj", 6 * (64 + 2 * 32) / 2 * 64 * 2),   // tensor parallel
                                 Pair("attention.norm", 6 * 64 * 4),                           // float32
                                 Pair("ffn.experts", 6 * 4 * 64 * 64 * 2 / 2),                 //
                                 Pair("ffn.stacked", 6 * 4 * 64 * (64 * 3 / 8 + 64 / 16 * 2)), // its own format, whole on each rank
                                 Pair("ffn.concatenated", 6 * 4 * 64 * 64 * 2 / 2),            //
                                 Pair("state.in", 6 * 64 * 64 * 2),                            //
                                 Pair("embedding", 1000 * 64 * 2 / 2),                         //
                                 Pair("vision.patches", 64 * 3 * 2 * 14 * 14 * 2),             // five dimensions
                                 Pair("attention.rows", 8192 * 64 * 2), Pair("ffn.buffer", 4096), Pair("head.mask", 32 * 512),
                                 Pair("signals", 65536)));
  EXPECT_EQ(plan["host_memory"]["bytes"], 500 * 64 * 2);
  std::vector<std::string> kinds;
  for (const nlohmann::json& group : plan["kv_cache"]["groups"]) kinds.push_back(group["label"]);
  EXPECT_THAT(kinds, ElementsAre("full", "window", "chunk", "latent", "state", "cross"));
  EXPECT_EQ(plan["vision_cache"]["modalities"].size(), 3U);
}

TEST(Compat, OtherMinorsArePlannedAlike) {
  const nlohmann::json plan = plan_with("1_0");
  ASSERT_TRUE(plan.is_object()) << plan;
  EXPECT_EQ(plan_with("current"), plan);
  EXPECT_EQ(plan_with("next"), plan);
}

TEST(Compat, APluginThatNeedsTheNextMinorIsRefusedWithBothNumbers) {
  const auto context = context_with("next_needed");
  ASSERT_FALSE(context);
  EXPECT_EQ(context.error().code, ErrorCode::kPluginFailed);
  EXPECT_THAT(context.error().message, AllOf(HasSubstr("needs a host of " COMPAT_NEXT), HasSubstr("this host is " COMPAT_CURRENT)));
}

} // namespace
} // namespace plimsoll
