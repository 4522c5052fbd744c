// A context that sixteen threads share goes on as it was while the plugins below it are replaced, removed and brought back, and while other
// contexts are made of what lies there at that moment: those plan the same or say what they found.
#include <atomic>
#include <filesystem>
#include <gmock/gmock.h>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "plimsoll/host.hpp"
#include "support/sparse_checkpoint.hpp"

namespace plimsoll {
namespace {

namespace fs = std::filesystem;
using ::testing::AnyOf;

constexpr std::size_t kAskers = 16;
constexpr std::size_t kQuestions = 6; // of each asker, of each kind
constexpr std::size_t kReplacements = 8;
constexpr const char* kPlugin = "com.example.compat";

Result<Context> context_over(const fs::path& plugins) {
  ContextOptions options;
  options.plugin_paths = {plugins.string(), PLIMSOLL_BUILD_DIR "/lib/plimsoll/plugins"};
  options.catalogue_path = PLIMSOLL_SOURCE_DIR "/core/catalogue";
  options.trust = Trust::kOpen;
  options.isolation = Isolation::kOff; // in this process, where threads can meet
  return Context::create(std::move(options));
}

Result<std::string> planned(const Context& context, const std::string& model) {
  PLIMSOLL_ASSIGN(const Model loaded, context.load(model));
  PlanRequest request;
  request.devices = "2x80GiB";
  PLIMSOLL_ASSIGN(const Plan plan, context.plan(loaded, request));
  return plan_to_json(plan);
}
Result<std::string> weighed(const Context& context, const std::string& model) {
  PLIMSOLL_ASSIGN(const Model loaded, context.load(model));
  PlanRequest request;
  request.devices = "2x80GiB";
  PLIMSOLL_ASSIGN(const WeightsReport report, context.weights(loaded, request));
  return weights_to_json(report);
}

// One of each question to a context: a plan and weights of the plugin's own model and of a built-in family's, and the lists.
std::vector<std::string> answers(const Context& context) {
  std::vector<std::string> out;
  for (const char* model : {PLIMSOLL_SOURCE_DIR "/tests/compat/config.json", "Qwen/Qwen3-0.6B"})
    for (const auto ask : {planned, weighed}) {
      const auto answer = ask(context, model);
      out.push_back(answer ? *answer : "failed: " + answer.error().message);
    }
  const auto models = context.models("Qwen/Qwen3-0*");
  out.push_back(models ? models_to_json(*models) : "failed: " + models.error().message);
  out.push_back(plugins_to_json(context.plugins()));
  return out;
}

TEST(Threads, SixteenShareAContextWhilePluginsAreRetired) {
  const test::TemporaryDirectory folder;
  const fs::path source = fs::path(PLIMSOLL_BUILD_DIR "/lib/plimsoll/compat/current") / kPlugin;
  const fs::path plugins = folder / "plugins", plugin = plugins / kPlugin,
                 library = plugin / ("libplimsoll_" + std::string(kPlugin) + ".so");
  fs::create_directories(plugins);
  fs::copy(source, plugin);

  const auto serial = context_over(plugins);
  ASSERT_TRUE(serial) << serial.error().message;
  static_cast<void>(answers(*serial)); // opens the libraries, which the list of plugins then says
  const std::vector<std::string> expected = answers(*serial);
  for (const std::string& answer : expected) ASSERT_FALSE(answer.starts_with("failed")) << answer;
  const auto shared = context_over(plugins);
  ASSERT_TRUE(shared) << shared.error().message;
  static_cast<void>(answers(*shared));

  std::vector<std::thread> askers;
  for (std::size_t number = 0; number < kAskers; ++number)
    askers.emplace_back([&] {
      for (std::size_t i = 0; i < kQuestions; ++i) EXPECT_EQ(answers(*shared), expected);
    });

  // New files by renaming, as packages do it; a folder that goes and comes; and what a new context makes of each.
  std::size_t as_before = 0;
  for (std::size_t i = 0; i < kReplacements; ++i) {
    fs::copy(source / library.filename(), folder / "new.so");
    fs::rename(folder / "new.so", library);
    std::thread mover([&] {
      fs::rename(plugin, folder / "away");
      fs::rename(folder / "away", plugin);
    });
    const auto context = context_over(plugins);
    const auto plan = context ? planned(*context, PLIMSOLL_SOURCE_DIR "/tests/compat/config.json") : tl::unexpected(context.error());
    mover.join();
    if (plan) {
      EXPECT_EQ(*plan, expected.front());
    } else {
      EXPECT_THAT(plan.error().code, AnyOf(ErrorCode::kBadRequest, ErrorCode::kPluginFailed, ErrorCode::kUnsupportedArchitecture))
          << plan.error().message;
    }
    const auto settled = context_over(plugins);
    ASSERT_TRUE(settled) << settled.error().message;
    const auto same = planned(*settled, PLIMSOLL_SOURCE_DIR "/tests/compat/config.json");
    if (same && *same == expected.front()) ++as_before;
  }
  EXPECT_EQ(as_before, kReplacements); // each new file is opened anew

  fs::remove_all(plugin);
  const auto without = context_over(plugins);
  EXPECT_FALSE(without); // nothing lies there
  for (std::thread& asker : askers) asker.join();
  EXPECT_EQ(answers(*shared), expected); // what was opened stays
}

} // namespace
} // namespace plimsoll
