// PipelineModel::compute_log_probabilities, as every model has it.
#include <cmath>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>

#include "unit/runtime/fake_model.hpp"

namespace plimsoll::log_probabilities_test {
namespace {

using namespace plimsoll::testing;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;
using ::testing::SizeIs;

constexpr std::uint64_t kVocab = 7;

class ComputeLogProbabilities : public ::testing::Test {
protected:
  // Of requests with so many input tokens: rows of all of them, or of the last ones.
  struct Step {
    TextInputs inputs;
    std::optional<ModelOutputs> outputs;
  };
  static Step step_of(const std::vector<std::vector<std::int64_t>>& tokens, const std::vector<std::vector<float>>& rows, bool all) {
    Step step;
    std::vector<std::int64_t> flat;
    std::vector<std::uint32_t> offsets{0};
    for (const auto& request : tokens) {
      flat.insert(flat.end(), request.begin(), request.end());
      offsets.push_back(static_cast<std::uint32_t>(flat.size()));
    }
    step.inputs.tokens = filled(flat).value();
    step.inputs.input_row_offsets = filled(offsets).value();
    Tensor logits = Tensor::zeros({rows.size(), kVocab}, ElementType::kFloat32).value();
    for (std::size_t i = 0; i < rows.size(); ++i)
      std::copy(rows[i].begin(), rows[i].end(), logits.values<float>()->begin() + static_cast<std::ptrdiff_t>(i * kVocab));
    step.outputs = ModelOutputs::create(logits, std::nullopt, all ? std::optional(step.inputs.input_row_offsets) : std::nullopt).value();
    return step;
  }
  Result<std::vector<LogProbabilitiesAnswer>> compute(const Step& step, const std::vector<Token>& next,
                                                      const std::vector<std::int32_t>& top_n, const std::vector<std::uint8_t>& echo) {
    return model_.compute_log_probabilities(step.inputs, *step.outputs, next, top_n, echo);
  }

  FakeModel model_{PipelineModelOptions{fake_plan({}), {}}};
  // Logarithms of 1, 2, 4, 8, 1, 0, 16 of 32.
  std::vector<float> row_{0, std::log(2.F), std::log(4.F), std::log(8.F), 0, -std::numeric_limits<float>::infinity(), std::log(16.F)};
};

TEST_F(ComputeLogProbabilities, AreThoseOfTheSoftmaxBestFirstAndOfEqualOnesTheLowestId) {
  const auto answers = compute(step_of({{1}}, {row_}, false), {6}, {kVocab}, {0});
  ASSERT_TRUE(answers);
  ASSERT_THAT(*answers, SizeIs(1));
  ASSERT_EQ((*answers)[0].code, LogProbabilitiesCode::kComputed);
  const LogProbabilities& values = *(*answers)[0].values;
  EXPECT_THAT(values.sampled, ElementsAre(6));
  EXPECT_THAT(values.token, ElementsAre(::testing::FloatNear(-std::log(2.F), 1e-6F)));
  ASSERT_THAT(values.top, SizeIs(1));
  std::vector<Token> order;
  double sum = 0;
  for (const auto& [token, value] : values.top[0]) {
    order.push_back(token);
    sum += std::exp(static_cast<double>(value));
  }
  EXPECT_THAT(order, ElementsAre(6, 3, 2, 1, 0, 4, 5)) << "a permutation of all";
  EXPECT_NEAR(sum, 1, 1e-6);
}

TEST_F(ComputeLogProbabilities, AConstantMoreChangesNothing) {
  std::vector<float> shifted = row_;
  for (float& logit : shifted) logit += 4096;
  const auto a = compute(step_of({{1}}, {row_}, false), {2}, {3}, {0}), b = compute(step_of({{1}}, {shifted}, false), {2}, {3}, {0});
  ASSERT_TRUE(a && b);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ((*a)[0].values->top[0][i].first, (*b)[0].values->top[0][i].first);
    EXPECT_NEAR((*a)[0].values->top[0][i].second, (*b)[0].values->top[0][i].second, 1e-3);
  }
}

TEST_F(ComputeLogProbabilities, TheSampledTokenIsAddedWhereItIsNotAmongTheBest) {
  const auto answers = compute(step_of({{1}, {1}}, {row_, row_}, false), {4, 3}, {2, 2}, {0, 0});
  ASSERT_TRUE(answers);
  const auto& added = (*answers)[0].values->top[0];
  EXPECT_THAT(added, ElementsAre(Pair(6, ::testing::_), Pair(3, ::testing::_), Pair(4, ::testing::FloatNear(-std::log(32.F), 1e-6F))));
  EXPECT_THAT((*answers)[1].values->top[0], SizeIs(2));
}

TEST_F(ComputeLogProbabilities, NoneWhereNoneAreAskedFor) {
  const auto answers = compute(step_of({{1}, {1}}, {row_, row_}, false), {4, 3}, {0, 1}, {1, 0});
  ASSERT_TRUE(answers);
  EXPECT_EQ((*answers)[0].code, LogProbabilitiesCode::kNotAsked);
  EXPECT_FALSE((*answers)[0].values);
  EXPECT_TRUE((*answers)[1].values);
}

TEST_F(ComputeLogProbabilities, AnEchoHasARowOfEachInputTokenAndSpeaksOfTheNextOne) {
  std::vector<std::vector<float>> rows(5, row_);
  rows[1] = {0, 0, 0, 0, 0, 0, 0};
  const auto answers = compute(step_of({{1, 3, 5}, {2, 0}}, rows, true), {6, 2}, {1, 1}, {1, 0});
  ASSERT_TRUE(answers);
  const LogProbabilities& echoed = *(*answers)[0].values;
  EXPECT_THAT(echoed.sampled, ElementsAre(3, 5, 6)) << "never of the first token";
  EXPECT_THAT(echoed.token, ElementsAre(::testing::FloatNear(-std::log(4.F), 1e-6F), ::testing::FloatNear(-std::log(7.F), 1e-6F),
                                        ::testing::FloatNear(-std::log(2.F), 1e-6F)));
  EXPECT_THAT((*answers)[1].values->sampled, ElementsAre(2));
}

TEST_F(ComputeLogProbabilities, AnEchoNeedsTheLogitsOfAllTokensExceptOfASingleOne) {
  const auto answers = compute(step_of({{1, 3}, {2}}, {row_, row_}, false), {6, 2}, {1, 1}, {1, 1});
  ASSERT_TRUE(answers);
  EXPECT_EQ((*answers)[0].code, LogProbabilitiesCode::kEchoNeedsAllLogits);
  EXPECT_FALSE((*answers)[0].values);
  EXPECT_THAT((*answers)[1].values->sampled, ElementsAre(2)) << "rows of later steps are single ones";
}

TEST_F(ComputeLogProbabilities, WhatIsWrongIsRefused) {
  const Step step = step_of({{1, 3}, {2, 2}}, std::vector<std::vector<float>>(4, row_), true);
  EXPECT_THAT(compute(step, {1, 1}, {8, 0}, {0, 0}).error().message, HasSubstr("0 to 7"));
  EXPECT_FALSE(compute(step, {1, 1}, {-1, 0}, {0, 0}));
  EXPECT_FALSE(compute(step, {1}, {1}, {0}));
  EXPECT_FALSE(compute(step, {1, 1}, {1}, {0, 0}));
  EXPECT_FALSE(compute(step, {1, 1}, {1, 1}, {0}));
  EXPECT_THAT(compute(step, {7, 1}, {1, 1}, {0, 0}).error().message, HasSubstr("token 7 is none of the 7"));
  EXPECT_FALSE(compute(step, {-1, 1}, {1, 1}, {1, 0}));
  Step without = step;
  ASSERT_TRUE(without.inputs.clear("tokens"));
  EXPECT_FALSE(compute(without, {1, 1}, {1, 1}, {1, 0}));
  EXPECT_TRUE(compute(without, {1, 1}, {1, 1}, {0, 0})) << "read for an echo alone";
  Step crooked = step;
  crooked.inputs.input_row_offsets = filled<std::uint32_t>({0, 2, 9}).value();
  EXPECT_THAT(compute(crooked, {1, 1}, {1, 1}, {1, 0}).error().message, HasSubstr("input_row_offsets"));
}

TEST_F(ComputeLogProbabilities, RowsThatAreNoNumbersGiveNoNonsense) {
  const float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
  const auto answers =
      compute(step_of({{1}, {1}, {1}},
                      {{nan, 1, nan, 1, nan, nan, nan}, {0, infinity, 0, 0, 0, 0, 0}, std::vector<float>(kVocab, -infinity)}, false),
              {0, 1, 2}, {2, 1, 1}, {0, 0, 0});
  ASSERT_TRUE(answers);
  EXPECT_EQ((*answers)[0].values->token[0], -infinity);
  EXPECT_NEAR((*answers)[0].values->top[0][0].second, -std::log(2.F), 1e-6);
  EXPECT_EQ((*answers)[1].values->token[0], 0);
  for (const LogProbabilitiesAnswer& answer : *answers)
    for (const auto& [token, value] : answer.values->top[0]) EXPECT_FALSE(std::isnan(value));
}

} // namespace
} // namespace plimsoll::log_probabilities_test
