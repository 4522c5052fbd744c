// ModelOutputs of the documented module: logits, next_token_logits, logit_offsets, in the three ways to return logits.
#include <algorithm>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <numeric>

#include "plimsoll/model_io.hpp"

namespace plimsoll::model_outputs_test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::uint64_t kVocab = 2;

// Rows 0, 1, 2, ... each of two equal numbers.
Tensor logits_of(std::uint64_t rows) {
  Tensor logits = Tensor::zeros({rows, kVocab}, ElementType::kFloat32).value();
  const std::span<float> values = logits.values<float>().value();
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i / kVocab);
  return logits;
}
Tensor offsets_of(const std::vector<std::uint32_t>& offsets) {
  Tensor tensor = Tensor::zeros({offsets.size()}, ElementType::kUint32).value();
  std::copy(offsets.begin(), offsets.end(), tensor.values<std::uint32_t>()->begin());
  return tensor;
}

TEST(ModelOutputs, LastTokenOneRowOfEachRequestIsBoth) {
  const Tensor logits = logits_of(3);
  const auto outputs = ModelOutputs::create(logits, logits);
  ASSERT_TRUE(outputs);
  EXPECT_EQ(outputs->batch(), 3U);
  EXPECT_EQ(outputs->vocab(), kVocab);
  EXPECT_EQ(outputs->logits(), logits);
  EXPECT_EQ(outputs->next_token_logits(), logits);
  EXPECT_FALSE(outputs->logit_offsets());
  EXPECT_THAT(outputs->rows_of(2).value(), ElementsAre(2, 2));
  EXPECT_THAT(outputs->next_token_row(1).value(), ElementsAre(1, 1));
  EXPECT_FALSE(outputs->rows_of(3));
  EXPECT_FALSE(outputs->next_token_row(3));
}

TEST(ModelOutputs, LogitsAloneAreEnough) {
  const auto outputs = ModelOutputs::create(logits_of(2));
  ASSERT_TRUE(outputs);
  EXPECT_THAT(outputs->next_token_row(1).value(), ElementsAre(1, 1));
}

TEST(ModelOutputs, AllTokensAreFoundByTheirOffsets) {
  Tensor next = Tensor::zeros({2, kVocab}, ElementType::kFloat32).value();
  const auto outputs = ModelOutputs::create(logits_of(5), next, offsets_of({0, 3, 5}));
  ASSERT_TRUE(outputs);
  EXPECT_EQ(outputs->batch(), 2U);
  EXPECT_THAT(outputs->rows_of(0).value(), ElementsAre(0, 0, 1, 1, 2, 2));
  EXPECT_THAT(outputs->rows_of(1).value(), ElementsAre(3, 3, 4, 4));
  EXPECT_THAT(outputs->next_token_row(1).value(), ElementsAre(0, 0)) << "from next_token_logits where they are given";
}

TEST(ModelOutputs, AVariableNumberMayBeNone) {
  const auto outputs = ModelOutputs::create(logits_of(3), std::nullopt, offsets_of({0, 0, 1, 3}));
  ASSERT_TRUE(outputs);
  EXPECT_THAT(outputs->rows_of(0).value(), IsEmpty());
  EXPECT_THAT(outputs->next_token_row(2).value(), ElementsAre(2, 2));
  EXPECT_THAT(outputs->next_token_row(0).error().message, HasSubstr("no row"));
}

TEST(ModelOutputs, OffsetsAreChecked) {
  const std::vector<std::vector<std::uint32_t>> wrong{{1, 3, 5}, {0, 3, 2, 5}, {0, 3, 4}, {0, 3, 6}, {5}, {0}};
  for (const std::vector<std::uint32_t>& offsets : wrong) {
    const auto outputs = ModelOutputs::create(logits_of(5), std::nullopt, offsets_of(offsets));
    ASSERT_FALSE(outputs);
    EXPECT_EQ(outputs.error().code, ErrorCode::kBadRequest);
    EXPECT_THAT(outputs.error().message, HasSubstr("'logit_offsets': expected offsets that rise from 0 to 5"));
  }
  EXPECT_FALSE(ModelOutputs::create(logits_of(5), std::nullopt, Tensor()));
  EXPECT_FALSE(ModelOutputs::create(logits_of(5), std::nullopt, Tensor::zeros({3}, ElementType::kInt64).value()));
  EXPECT_TRUE(ModelOutputs::create(Tensor::zeros({0, kVocab}, ElementType::kFloat32).value(), std::nullopt, offsets_of({0})));
}

TEST(ModelOutputs, TypesAndShapesAreChecked) {
  EXPECT_FALSE(ModelOutputs::create(Tensor()));
  EXPECT_THAT(ModelOutputs::create(Tensor::zeros({4}, ElementType::kFloat32).value()).error().message,
              HasSubstr("'logits': expected float32 [rows, vocabulary], got float32 [4]"));
  EXPECT_FALSE(ModelOutputs::create(Tensor::zeros({2, 4}, ElementType::kFloat64).value()));
  EXPECT_THAT(ModelOutputs::create(logits_of(3), logits_of(2)).error().message,
              HasSubstr("'next_token_logits': expected float32 [3, 2], got float32 [2, 2]"));
  EXPECT_FALSE(ModelOutputs::create(logits_of(5), logits_of(5), offsets_of({0, 3, 5})));
}

} // namespace
} // namespace plimsoll::model_outputs_test
