// Choosing tokens: Philox against its published answers, greedy ties, draws against the probabilities that they are made from.
#include <array>
#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>

#include "runtime/philox.hpp"
#include "runtime/sampler.hpp"

namespace plimsoll::sampler_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// The known answers of Random123 1.14, philox4x32 with 10 rounds.
TEST(Philox, GivesThePublishedAnswers) {
  EXPECT_THAT(philox4x32({0, 0, 0, 0}, {0, 0}), ElementsAre(0x6627e8d5U, 0xe169c58dU, 0xbc57ac4cU, 0x9b00dbd8U));
  constexpr std::uint32_t k = UINT32_MAX;
  EXPECT_THAT(philox4x32({k, k, k, k}, {k, k}), ElementsAre(0x408f276dU, 0x41c83b0eU, 0xa20bc7c6U, 0x6d5451fdU));
  EXPECT_THAT(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
              ElementsAre(0xd16cfe09U, 0x94fdccebU, 0x5001e420U, 0x24126ea1U));
}

TEST(Philox, DrawsAreEvenAndDifferInEveryWord) {
  double sum = 0;
  for (std::uint64_t position = 0; position < 4000; ++position) {
    const double draw = uniform_draw(1, 2, position);
    ASSERT_GE(draw, 0);
    ASSERT_LT(draw, 1);
    sum += draw;
  }
  EXPECT_NEAR(sum / 4000, 0.5, 0.02);
  const std::uint64_t high = 1ULL << 32;
  const std::array draws{uniform_draw(1, 2, 3),        uniform_draw(2, 2, 3),        uniform_draw(1, 3, 3),       uniform_draw(1, 2, 4),
                         uniform_draw(1 + high, 2, 3), uniform_draw(1, 2 + high, 3), uniform_draw(1, 2, 3 + high)};
  for (std::size_t i = 0; i < draws.size(); ++i)
    for (std::size_t j = 0; j < i; ++j) EXPECT_NE(draws[i], draws[j]);
}

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

TEST(Sampler, GreedyTakesTheLowestOfTheBest) {
  Sampler sampler;
  const auto best = [&](std::vector<float> row) { return sampler.sample(row, {}, 0, 0).value(); };
  EXPECT_EQ(best({1, 3, 2, 3}), 1);
  EXPECT_EQ(best({-5}), 0);
  EXPECT_EQ(best({kNan, -2, -1}), 2);
  EXPECT_EQ(best({-kInfinity, -kInfinity}), 0);
  EXPECT_EQ(best({0, kInfinity, kInfinity}), 1);
  const SamplingOptions one{.temperature = 5, .top_k = 1};
  EXPECT_EQ(sampler.sample(std::vector<float>{1, 3, 2}, one, 0, 0).value(), 1);
}

TEST(Sampler, RowsThatAreNoNumbersAreAnError) {
  Sampler sampler;
  for (const std::vector<float>& row : {std::vector<float>{kNan, kNan}, std::vector<float>{}})
    for (const double temperature : {0.0, 1.0}) {
      const auto token = sampler.sample(row, {.temperature = temperature}, 3, 9);
      ASSERT_FALSE(token);
      EXPECT_THAT(token.error().message, HasSubstr("request 3 at position 9"));
    }
}

std::vector<double> shares(const std::vector<float>& row, const SamplingOptions& options, int draws = 20'000) {
  Sampler sampler;
  std::vector<double> counts(row.size());
  for (int n = 0; n < draws; ++n)
    counts[static_cast<std::size_t>(sampler.sample(row, options, 1, static_cast<std::uint64_t>(n)).value())] += 1.0 / draws;
  return counts;
}

struct SamplingCase {
  const char* name;
  SamplingOptions options;
  std::vector<double> expected;
};
// Logits are logarithms of 1, 2, 4, 8, 1.
TEST(Sampler, DrawsAsOftenAsIsProbable) {
  const std::vector<float> row{0, std::log(2.F), std::log(4.F), std::log(8.F), 0};
  const std::vector<SamplingCase> cases{
      {"temperature 1", {.temperature = 1}, {1 / 16., 2 / 16., 4 / 16., 8 / 16., 1 / 16.}},
      {"temperature 1/2 squares", {.temperature = 0.5}, {1 / 86., 4 / 86., 16 / 86., 64 / 86., 1 / 86.}},
      {"the best 2", {.temperature = 1, .top_k = 2}, {0, 0, 4 / 12., 8 / 12., 0}},
      {"of equal ones the lower id", {.temperature = 1, .top_k = 4}, {1 / 15., 2 / 15., 4 / 15., 8 / 15., 0}},
      {"more than there are", {.temperature = 1, .top_k = 99}, {1 / 16., 2 / 16., 4 / 16., 8 / 16., 1 / 16.}},
      {"half of it is one token", {.temperature = 1, .top_p = 0.5}, {0, 0, 0, 1, 0}},
      {"a little more needs two", {.temperature = 1, .top_p = 0.51}, {0, 0, 4 / 12., 8 / 12., 0}},
      {"top_p of what top_k left", {.temperature = 1, .top_k = 2, .top_p = 0.6}, {0, 0, 0, 1, 0}},
      {"next to nothing is one token", {.temperature = 1, .top_p = 1e-9}, {0, 0, 0, 1, 0}},
  };
  for (const SamplingCase& c : cases) {
    const std::vector<double> found = shares(row, c.options);
    for (std::size_t i = 0; i < row.size(); ++i)
      EXPECT_NEAR(found[i], c.expected[i], c.expected[i] == 0 ? 0 : 0.012) << c.name << ", token " << i;
  }
}

TEST(Sampler, ExtremeRowsAreDrawnFrom) {
  Sampler sampler;
  const SamplingOptions hot{.temperature = 1e6, .top_p = 0.9}, cold{.temperature = 1e-6};
  const std::vector<float> wide{-3e38F, 3e38F, 0};
  EXPECT_EQ(sampler.sample(wide, cold, 0, 0).value(), 1);
  EXPECT_TRUE(sampler.sample(wide, hot, 0, 0));
  const std::vector<float> infinite{0, kInfinity, -kInfinity, kNan};
  EXPECT_EQ(sampler.sample(infinite, {.temperature = 1}, 0, 0).value(), 1);
}

} // namespace
} // namespace plimsoll::sampler_test
