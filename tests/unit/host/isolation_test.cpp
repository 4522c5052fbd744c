// Whoever runs the planners, a plan is the same to the byte: every family through a worker against the same here, with every formula, and
// as our own engine executes it, which takes the description of the forward pass through the worker too.
#include <filesystem>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <set>

#include "document/plan_json.hpp"
#include "support/built_context.hpp"

namespace plimsoll {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr std::size_t kEvery = 24;
#else
constexpr std::size_t kEvery = 3;
#endif

std::string planned(const Context& context, const std::string& path, const PlanRequest& request) {
  const Result<Model> model = context.load(path);
  if (!model) return model.error().message + model.error().where;
  const Result<Plan> plan = context.plan(*model, request);
  return plan ? plan_document(*plan).dump() : plan.error().message + plan.error().where;
}

TEST(Isolation, ChangesNoPlan) {
  ContextOptions options;
  options.isolation = Isolation::kAll;
  options.plugin_timeout = std::chrono::minutes(1);
  const Result<Context> isolated = Context::create(options);
  ASSERT_TRUE(isolated) << isolated.error().message;
  std::vector<std::string> configs;
  for (const auto& entry : std::filesystem::directory_iterator(PLIMSOLL_SOURCE_DIR "/core/catalogue/models"))
    configs.push_back(entry.path().string());
  std::sort(configs.begin(), configs.end());
  std::set<std::string> families;
  PlanRequest request;
  request.devices = "8xH200";
  request.explain = true;
  request.advise = false; // a command to come here again tells how its context was made
  for (std::size_t i = 0; i < configs.size(); i += kEvery) {
    const std::string here = planned(test::built_context(), configs[i], request);
    EXPECT_EQ(planned(*isolated, configs[i], request), here) << configs[i];
    if (const Result<Model> model = test::built_context().load(configs[i])) families.insert(model->info().family);
    request.engine = request.engine == "max" ? "reference" : "max";
  }
  EXPECT_GE(families.size(), kEvery == 3 ? 7U : 1U);
}

// The context says at once what it cannot take.
TEST(Isolation, WantsATime) {
  ContextOptions options;
  options.plugin_timeout = std::chrono::milliseconds(0);
  const Result<Context> context = Context::create(options);
  ASSERT_FALSE(context);
  EXPECT_EQ(context.error().code, ErrorCode::kBadRequest);
  EXPECT_EQ(context.error().where, "plugin_timeout");
}

} // namespace
} // namespace plimsoll
