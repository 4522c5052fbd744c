// The executor in double: a second witness of every golden. Each model runs with its prompt whole and cut, latents absorbed and expanded,
// and computes in float what it computes in double but for rounding.
#include <cmath>
#include <gtest/gtest.h>

#include "generation/tiny_models.hpp"
#include "runtime/loader.hpp"
#include "support/program_builder.hpp"

namespace plimsoll::double_witness_test {
namespace {

using test::Memory;
using test::PassRunner;
using test::Pool;
using testing::GoldenCase;

constexpr double kSameSums = 2e-5;  // of log-probabilities: the same in another order, through caches in float
constexpr double kFloatSums = 2e-4; // float against double, of any token; the worst of these models is 1.2e-4, whose scores are unscaled

struct LoadedProgram {
  Program program;
  KvGeometry geometry;
  std::vector<Memory> memory;
  std::vector<const void*> weights;

  template <class Real>
  PassRunner<Real> runner(LatentAttention latent) const {
    std::vector<std::shared_ptr<Pool>> pools;
    for (std::size_t i = 0; i < geometry.n_groups(); ++i) {
      const KvGroupGeometry& g = geometry.group(0, i);
      pools.push_back(std::make_shared<Pool>(
          test::PoolShape{g.kind, g.n_layers, g.kv_heads, g.k_elements, g.v_elements, g.page_tokens, 65, g.k_dtype, g.v_dtype, g.regions}));
      EXPECT_EQ(pools.back()->group().geometry.page_bytes, g.page_bytes) << g.label;
      EXPECT_EQ(pools.back()->group().geometry.state_row_bytes, g.state_row_bytes) << g.label;
    }
    return PassRunner<Real>(program, weights, std::move(pools), {latent});
  }
};

Result<LoadedProgram> load_program(const GoldenCase& golden) {
  const Context& context = testing::context();
  const PlanRequest request = testing::request_of(golden.max_length);
  PLIMSOLL_ASSIGN(const Model model, context.load(testing::folder_of(golden.model)));
  PLIMSOLL_ASSIGN(Plan plan, context.plan(model, request));
  LoadedProgram out;
  out.geometry = std::move(plan.kv_geometry);
  PLIMSOLL_ASSIGN(out.program, context.program(model, request));
  const auto place = [&](const WeightTensor& tensor) -> Result<std::span<std::byte>> {
    out.memory.emplace_back(tensor.bytes);
    return std::span(static_cast<std::byte*>(out.memory.back().data()), tensor.bytes);
  };
  PLIMSOLL_TRY(load_weights(out.program.weights, place));
  for (const Memory& memory : out.memory) out.weights.push_back(memory.data());
  return out;
}

std::vector<double> log_probabilities(const std::vector<double>& logits) {
  const double most = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const double logit : logits) sum += std::exp(logit - most);
  std::vector<double> out;
  for (const double logit : logits) out.push_back(logit - most - std::log(sum));
  return out;
}

// Log-probabilities before each golden token, when all that stands before it is fed: the prompt at once or in two, then tokens one by one.
template <class Real>
std::vector<std::vector<double>> steps(PassRunner<Real> runner, const GoldenCase& golden, std::size_t first) {
  std::vector<std::vector<double>> out;
  const auto cut = golden.prompt.begin() + static_cast<std::ptrdiff_t>(first);
  if (first > 0) runner.pass({{0, {golden.prompt.begin(), cut}}}, 0);
  out.push_back(log_probabilities(runner.pass({{0, {cut, golden.prompt.end()}}})));
  for (std::size_t i = 0; i + 1 < golden.tokens.size(); ++i) out.push_back(log_probabilities(runner.pass({{0, {golden.tokens[i]}}})));
  return out;
}

void expect_near(const std::vector<std::vector<double>>& are, const std::vector<std::vector<double>>& expected, double tolerance,
                 const char* what) {
  ASSERT_EQ(are.size(), expected.size());
  for (std::size_t step = 0; step < are.size(); ++step)
    for (std::size_t token = 0; token < are[step].size(); ++token)
      ASSERT_NEAR(are[step][token], expected[step][token], tolerance) << what << ", step " << step << ", token " << token;
}

class DoubleWitness : public ::testing::TestWithParam<std::string> {};

TEST_P(DoubleWitness, SaysWhatTheGoldensSay) {
  const std::vector<GoldenCase> cases = testing::golden_cases(GetParam());
  for (const GoldenCase& golden : cases) {
    const auto loaded = load_program(golden);
    ASSERT_TRUE(loaded) << loaded.error().message;
    const auto exact = steps(loaded->runner<double>(LatentAttention::kAbsorbed), golden, 0);
    for (std::size_t step = 0; step < golden.tokens.size(); ++step) {
      const auto best = std::max_element(exact[step].begin(), exact[step].end()) - exact[step].begin();
      EXPECT_EQ(best, golden.tokens[step]) << "step " << step;
    }
    for (const testing::TopRow& row : golden.top)
      for (std::size_t i = 0; i < row.tokens.size(); ++i)
        EXPECT_NEAR(exact[row.step][static_cast<std::size_t>(row.tokens[i])], row.log_probabilities[i], golden.tolerance)
            << "step " << row.step << ", token " << row.tokens[i];
    if (&golden != &cases.back()) continue;
    expect_near(steps(loaded->runner<float>(LatentAttention::kAbsorbed), golden, 0), exact, kFloatSums, "float");
    expect_near(steps(loaded->runner<float>(LatentAttention::kExpanded), golden, golden.prompt.size() / 2), exact, kFloatSums,
                "float, expanded");
    expect_near(steps(loaded->runner<double>(LatentAttention::kExpanded), golden, golden.prompt.size() / 3), exact, kSameSums,
                "double, expanded");
  }
}

INSTANTIATE_TEST_SUITE_P(Models, DoubleWitness, ::testing::ValuesIn(testing::golden_models()), [](const auto& info) { return info.param; });

} // namespace
} // namespace plimsoll::double_witness_test
