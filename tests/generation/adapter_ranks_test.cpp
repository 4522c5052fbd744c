// Adapters on several ranks: cut as the layers are that they change. All ranks together say what one rank says, each takes the slots that
// its plan counts, and whoever has no adapter is not changed.
#include <filesystem>
#include <gmock/gmock.h>

#include "generation/tiny_models.hpp"
#include "plimsoll/verify_run.hpp"
#include "support/sparse_checkpoint.hpp"
#include "support/tiny_adapter.hpp"

namespace plimsoll::testing {
namespace {

struct AdapterRanks {
  const char* model;
  std::vector<std::string> targets;         // of the adapter
  std::vector<std::string> planned = {};    // --lora-targets; none: all layers
  std::vector<std::uint32_t> degrees{2, 4}; // of tensor parallelism
};
void PrintTo(const AdapterRanks& of, std::ostream* out) { *out << of.model; }

PlanRequest adapter_request(const AdapterRanks& of, std::uint32_t tp, std::uint32_t pp, std::uint32_t dp = 1) {
  PlanRequest request = request_of(96);
  request.devices = std::to_string(tp * pp * dp) + "x256MiB";
  request.tp = tp;
  request.pp = pp;
  request.dp = dp;
  request.max_loras = 2;
  request.max_lora_rank = 8;
  request.lora_targets = of.planned;
  return request;
}

class AdaptersOnRanks : public ::testing::TestWithParam<AdapterRanks> {};

TEST_P(AdaptersOnRanks, SayWhatOneRankSays) {
  const AdapterRanks& of = GetParam();
  const test::TinyModel base = test::read_tiny_folder(folder_of(of.model));
  const test::TemporaryDirectory scratch;
  PipelineOptions options;
  for (const std::uint64_t seed : {3U, 4U}) {
    const test::TinyAdapter adapter = test::tiny_adapter(base, {.rank = seed * 2, .alpha = 24, .seed = seed, .targets = of.targets});
    ASSERT_FALSE(adapter.modules.empty());
    const std::string at = scratch / ("a" + std::to_string(seed));
    test::write_tiny_adapter(adapter, at);
    options.loras.push_back("a" + std::to_string(seed) + "=" + at);
  }
  std::vector<TextGenerationRequest> requests;
  for (const char* adapter : {"a3", "", "a4", "a3"}) {
    TextGenerationRequest& request = requests.emplace_back();
    for (Token token = 0; token < 9; ++token) request.prompt_tokens.push_back(5 + 7 * token + static_cast<Token>(requests.size()));
    request.adapter = adapter;
    request.max_new_tokens = 4;
    request.log_probabilities = 3;
    request.ignore_end = true;
  }
  std::vector<std::array<std::uint32_t, 3>> layouts{{1, 1, 1}, {1, 2, 1}, {1, 1, 2}};
  for (const std::uint32_t tp : of.degrees) layouts.push_back({tp, 1, 1});
  layouts.push_back({of.degrees.front(), 2, 1});
  std::vector<TextGenerationOutput> expected;
  for (const auto [tp, pp, dp] : layouts) {
    SCOPED_TRACE(std::to_string(tp) + " x " + std::to_string(pp) + " x " + std::to_string(dp));
    auto pipeline = pipeline_of(folder_of(of.model), adapter_request(of, tp, pp, dp), options);
    ASSERT_TRUE(pipeline) << pipeline.error().message << pipeline.error().where;
    const auto outputs = pipeline->generate(requests);
    ASSERT_TRUE(outputs) << outputs.error().message;
    if (expected.empty()) expected = *outputs;
    for (std::size_t i = 0; i < requests.size(); ++i) {
      ASSERT_FALSE((*outputs)[i].error) << (*outputs)[i].error->message;
      for (std::size_t row = 0; row < expected[i].tokens.size(); ++row) {
        const auto& top = expected[i].log_probabilities->top[row];
        for (std::size_t n = 0; n < 3; ++n) EXPECT_NEAR((*outputs)[i].log_probabilities->top[row][n].second, top[n].second, 3e-4) << row;
        if (top[0].second - top[1].second < 1e-3F) break;
        EXPECT_EQ((*outputs)[i].tokens[row], expected[i].tokens[row]) << row;
      }
    }
    for (std::uint32_t replica = 0; replica < dp; ++replica)
      for (const Arena& arena : pipeline->model(replica).arenas())
        for (const Usage& usage : arena.usage())
          EXPECT_EQ(usage.peak_bytes, usage.planned_bytes) << "rank " << arena.rank() << ", " << usage.label;
  }
  const auto& with = expected[0].log_probabilities->top[0].front().second;
  TextGenerationRequest without = requests[0];
  without.adapter.clear();
  auto plain = pipeline_of(folder_of(of.model), adapter_request(of, 1, 1), options);
  ASSERT_TRUE(plain);
  EXPECT_GT(std::abs(plain->generate(without).value().log_probabilities->top[0].front().second - with), 2e-3) << "it changes something";
}

INSTANTIATE_TEST_SUITE_P(
    Models, AdaptersOnRanks,
    ::testing::Values(AdapterRanks{"llama", {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}},
                      AdapterRanks{"kjv", {"q_proj", "down_proj", "lm_head"}, {"q_proj", "down_proj", "lm_head"}},
                      AdapterRanks{"phi3", {"qkv_proj", "o_proj", "gate_up_proj", "down_proj"}, {}, {2}}, // fused in both
                      AdapterRanks{"gemma3", {"q_proj", "v_proj", "down_proj"}, {}, {2}},
                      AdapterRanks{"deepseek_v3", {"q_a_proj", "q_b_proj", "kv_a_proj_with_mqa", "o_proj"}, {}, {2}},
                      AdapterRanks{"qwen3_moe", {"q_proj", "o_proj"}, {}, {2}}),
    [](const auto& info) { return std::string(info.param.model); });

// A slot of a rank is a part of the slot: B of what is cut by outputs, A of what is cut by inputs, and the rest whole.
TEST(AdapterSlotsOfRanks, AreCutAsLayersAre) {
  const AdapterRanks of{"llama", {}};
  const Model model = context().load(folder_of("llama")).value();
  const AdapterSlots whole = context().program(model, adapter_request(of, 1, 1)).value().adapters;
  const Program second = context().program(model, adapter_request(of, 2, 1), 1).value();
  ASSERT_EQ(second.adapters.targets.size(), whole.targets.size());
  for (std::size_t i = 0; i < whole.targets.size(); ++i) {
    const AdapterTarget &all = whole.targets[i], &part = second.adapters.targets[i];
    EXPECT_EQ(part.label, all.label);
    const bool by_inputs = all.label.find("o_proj") != std::string::npos || all.label.find("down") != std::string::npos;
    EXPECT_EQ(part.in, by_inputs ? all.in / 2 : all.in) << all.label;
    EXPECT_EQ(part.columns.first, by_inputs ? all.in / 2 : 0) << all.label;
    EXPECT_EQ(part.out(), by_inputs ? all.out() : all.out() / 2) << all.label;
    EXPECT_EQ(part.rows.front().first, by_inputs ? 0 : all.rows.front().n / 2) << all.label;
  }
  const Plan plan = context().plan(model, adapter_request(of, 1, 2)).value();
  for (const Item& item : plan.items)
    if (item.label == "lora") {
      EXPECT_EQ(item.bytes, std::vector<std::uint64_t>(2, whole.bytes / 2)) << "half of the layers each";
    }
}

TEST(AdapterSlotsOfRanks, AreVerified) {
  const Model model = context().load(folder_of("llama")).value();
  PlanRequest request = adapter_request({"llama", {}}, 2, 1);
  request.max_batch_size = 2;
  request.max_length = 48;
  request.max_batch_input_tokens = 48;
  request.devices = "2x8MiB";
  const auto report = verify_run(context(), model, request, {});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->verdict, RunVerdict::kWithinPlan) << verify_run_to_json(*report);
}

} // namespace
} // namespace plimsoll::testing
