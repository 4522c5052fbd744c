// A head of a model's own drafts: whatever it says, a request gives what it gives without one; it runs behind every pass over what was
// kept, and goes on from there before the next.
#include <algorithm>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/runtime/drafted_requests.hpp"

namespace plimsoll::head_drafting_test {
namespace {

using namespace plimsoll::testing;
using ::testing::HasSubstr;

// Guesses what the fake model says of memory under the same pages: the token behind each that was computed, and of the first that one too.
// A token that did not come here, or that goes on from another request than it says, spoils the guess.
class FakeHead : public DraftHead {
public:
  FakeHead(std::uint64_t pages, std::uint64_t wrong)
      : wrong_(wrong), behind_(static_cast<std::size_t>((pages + 1) * kFakePageTokens), -1), first_(behind_.size(), -1) {}

  Result<ModelOutputs> follow(const ModelInputs& of_pass, std::span<const std::vector<Token>> next) override {
    PLIMSOLL_TRY(begin());
    PLIMSOLL_ASSIGN(const auto tokens, of_pass.find("tokens").values<std::int64_t>());
    PLIMSOLL_ASSIGN(const auto offsets, of_pass.find("input_row_offsets").values<std::uint32_t>());
    PLIMSOLL_ASSIGN(const auto lengths, of_pass.find("kv.cache_lengths").values<std::uint32_t>());
    EXPECT_EQ(next.size() + 1, offsets.size());
    std::vector<std::vector<Token>> handed;
    for (std::size_t i = 0; i < next.size(); ++i) {
      EXPECT_GE(next[i].size(), 1U);
      EXPECT_LE(next[i].size(), offsets[i + 1] - offsets[i]);
      for (std::size_t n = 0; n < next[i].size(); ++n) {
        PLIMSOLL_ASSIGN(const std::size_t slot, slot_of(of_pass, i, lengths[i] + n));
        behind_[slot] = next[i][n];
        if (lengths[i] + n == 0) first_[slot] = static_cast<Token>(tokens[offsets[i]]);
        if (n + 1 < next[i].size()) {
          EXPECT_EQ(tokens[offsets[i] + n + 1], next[i][n]) << "the pass computed what followed";
        }
      }
      PLIMSOLL_ASSIGN(handed.emplace_back(), seen(of_pass, i, lengths[i] + next[i].size()));
    }
    return guesses(std::move(handed));
  }

  Result<ModelOutputs> go_on(std::span<const std::uint32_t> before, std::span<const Token> tokens, KvCacheInputs kv) override {
    PLIMSOLL_TRY(begin());
    TextInputs inputs;
    inputs.kv_cache_inputs = std::move(kv);
    PLIMSOLL_ASSIGN(const auto lengths, inputs.find("kv.cache_lengths").values<std::uint32_t>());
    EXPECT_EQ(before.size(), tokens.size());
    std::vector<std::vector<Token>> handed;
    for (std::size_t i = 0; i < before.size(); ++i) {
      EXPECT_LT(before[i], handed_.size());
      PLIMSOLL_ASSIGN(const std::size_t slot, slot_of(inputs, i, lengths[i]));
      behind_[slot] = tokens[i];
      PLIMSOLL_ASSIGN(std::vector<Token> all, seen(inputs, i, lengths[i] + 1));
      std::vector<Token> expected = handed_[before[i]];
      expected.push_back(tokens[i]);
      if (all != expected) all = {0}; // another request's state
      handed.push_back(std::move(all));
    }
    return guesses(std::move(handed));
  }
  std::uint64_t runs() const noexcept override { return runs_; }

  std::uint64_t failing_run = 0;

private:
  Result<void> begin() {
    if (++runs_ == failing_run) return fail(ErrorCode::kInternal, "the head fell off the bus");
    return {};
  }
  Result<std::vector<Token>> seen(const ModelInputs& inputs, std::size_t i, std::size_t rows) const {
    PLIMSOLL_ASSIGN(const std::size_t front, slot_of(inputs, i, 0));
    std::vector<Token> all{first_[front]};
    for (std::size_t at = 0; at < rows; ++at) {
      PLIMSOLL_ASSIGN(const std::size_t slot, slot_of(inputs, i, at));
      all.push_back(behind_[slot]);
    }
    return all;
  }
  Result<ModelOutputs> guesses(std::vector<std::vector<Token>> handed) {
    handed_ = std::move(handed);
    PLIMSOLL_ASSIGN(Tensor logits, Tensor::zeros({handed_.size(), kFakeVocab}, ElementType::kFloat32));
    PLIMSOLL_ASSIGN(const std::span<float> values, logits.values<float>());
    for (std::size_t i = 0; i < handed_.size(); ++i) {
      std::vector<float> row = fake_logits(handed_[i]);
      if (wrong_ > 0 && ++rows_ % wrong_ == 0) *std::max_element(row.begin(), row.end()) = -1;
      std::copy(row.begin(), row.end(), values.begin() + static_cast<std::ptrdiff_t>(i * kFakeVocab));
    }
    return ModelOutputs::create(logits, logits);
  }
  Result<std::size_t> slot_of(const ModelInputs& inputs, std::size_t i, std::size_t at) const {
    const Tensor table = inputs.find("kv.lookup_table");
    PLIMSOLL_ASSIGN(const auto cells, table.values<std::uint32_t>());
    const std::size_t page = cells[i * table.shape()[1] + at / kFakePageTokens];
    if ((page + 1) * kFakePageTokens > behind_.size()) return fail(ErrorCode::kInternal, "a token has no page");
    return page * kFakePageTokens + at % kFakePageTokens;
  }

  std::uint64_t wrong_ = 0, rows_ = 0, runs_ = 0; // every so manieth row is wrong; 0: none
  std::vector<Token> behind_, first_;
  std::vector<std::vector<Token>> handed_; // of each request of the last run
};

class HeadedModel : public FakeModel {
public:
  HeadedModel(const PipelineModelOptions& options, std::uint64_t wrong)
      : FakeModel(options), head(plan().kv_geometry.pools.front().pages, wrong) {}
  DraftHead* draft_head() noexcept override { return &head; }
  FakeHead head;
};

FakeHead& head_of(const TextGenerationPipeline& pipeline) { return dynamic_cast<HeadedModel&>(pipeline.model()).head; }

// The first step has nothing to go by; of the others each gives four.
TEST(HeadDrafting, ARightHeadSavesSteps) {
  auto pipeline = drafted_pipeline<HeadedModel>({.tokens = 3});
  ASSERT_TRUE(pipeline) << pipeline.error().message;
  const std::vector<TextGenerationRequest> requests{request_of(prompt_of(5, 1), 21)};
  const auto outputs = pipeline->generate(requests);
  ASSERT_TRUE(outputs) << outputs.error().message;
  expect_as_alone(requests, *outputs);
  EXPECT_EQ(fake_model(*pipeline).steps, 6U);
  EXPECT_EQ(head_of(*pipeline).runs(), 6U + 5 * 2); // behind each pass, and for two tokens before each but the first
  EXPECT_EQ((*outputs)[0].drafted_tokens, 15U);
  EXPECT_EQ((*outputs)[0].accepted_tokens, 15U);
  expect_nothing_left(*pipeline);
}

TEST(HeadDrafting, OneTokenIsExpectedWithoutARunOfItsOwn) {
  auto pipeline = drafted_pipeline<HeadedModel>({.tokens = 1});
  ASSERT_TRUE(pipeline);
  const std::vector<TextGenerationRequest> requests{request_of(prompt_of(5, 1), 9)};
  const auto outputs = pipeline->generate(requests);
  ASSERT_TRUE(outputs) << outputs.error().message;
  expect_as_alone(requests, *outputs);
  EXPECT_EQ(fake_model(*pipeline).steps, 5U);
  EXPECT_EQ(head_of(*pipeline).runs(), 5U);
}

TEST(HeadDrafting, AWrongHeadCostsNothingButTime) {
  auto pipeline = drafted_pipeline<HeadedModel>({.tokens = 3, .wrong = 1});
  ASSERT_TRUE(pipeline);
  expect_nothing_but_time_lost(*pipeline);
}

// Pools and steps of random sizes, heads that are right, often right and never, with prefixes and without: nobody gives anything else.
// Requests are put back, wait for each other and are computed in chunks; a row of the page that two share may be of another's token, which
// costs a guess and no more.
TEST(HeadDrafting, EveryRequestGivesWhatItGivesAlone) {
  std::uint64_t accepted = 0, rejected = 0;
  for (std::uint32_t seed = 0; seed < 24; ++seed) {
    SCOPED_TRACE(seed);
    const auto [of, requests] = drafted_draw(seed);
    auto pipeline = drafted_pipeline<HeadedModel>(of);
    ASSERT_TRUE(pipeline) << pipeline.error().message;
    const auto outputs = pipeline->generate(requests);
    ASSERT_TRUE(outputs) << outputs.error().message;
    expect_as_alone(requests, *outputs);
    for (std::size_t i = 0; i < requests.size(); ++i) {
      const TextGenerationOutput& output = (*outputs)[i];
      if (of.wrong == 0 && !of.prefix_caching) {
        EXPECT_EQ(output.accepted_tokens, output.drafted_tokens) << "it has seen every token";
      }
      if (requests[i].log_probabilities > 0) {
        EXPECT_EQ(output.drafted_tokens, 0U);
      }
      accepted += output.accepted_tokens;
      rejected += output.drafted_tokens - output.accepted_tokens;
    }
    expect_nothing_left(*pipeline);
  }
  EXPECT_GT(accepted, 150U);
  EXPECT_GT(rejected, 150U);
}

TEST(HeadDrafting, DrawnTokensAreThoseWithoutAHead) { expect_drawn_as_without<HeadedModel>(); }

// A token that ends the request, and the length, end it in the middle of what was accepted.
TEST(HeadDrafting, NothingFollowsTheEnd) {
  const std::vector<Token> prompt = prompt_of(5, 1), all = fake_tokens(prompt, 20);
  for (std::size_t end = 0; end < 8; ++end) {
    if (std::find(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(end), all[end]) != all.begin() + static_cast<std::ptrdiff_t>(end))
      continue; // it ended before
    for (const bool stops : {true, false}) {
      auto pipeline = drafted_pipeline<HeadedModel>({.tokens = 5});
      ASSERT_TRUE(pipeline);
      TextGenerationRequest request = request_of(prompt, stops ? 20 : end + 1);
      if (stops) request.stop_tokens = {all[end]};
      const auto output = pipeline->generate(request);
      ASSERT_TRUE(output) << output.error().message;
      EXPECT_EQ(output->tokens, std::vector<Token>(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(end + 1)));
      EXPECT_EQ(output->status, stops ? Status::kEndOfSequence : Status::kMaximumLength);
      expect_nothing_left(*pipeline);
    }
  }
}

// A step that fails, in the head, before the pass or behind it, or in the pass, leaves every request as it was.
TEST(HeadDrafting, AStepThatFailsIsMadeAgain) {
  for (const std::uint64_t failing : {0U, 1U, 2U, 3U, 4U, 7U}) { // runs of the head; 0: the model's third pass
    SCOPED_TRACE(failing);
    auto pipeline = drafted_pipeline<HeadedModel>({.tokens = 3, .wrong = 5});
    ASSERT_TRUE(pipeline);
    if (failing > 0) head_of(*pipeline).failing_run = failing;
    else fake_model(*pipeline).failing_step = 3;
    expect_step_made_again(*pipeline);
  }
}

// Who schedules by himself is given a token a step, and the head sees all of them.
TEST(HeadDrafting, StepsByHandDraftNothing) {
  auto pipeline = drafted_pipeline<HeadedModel>({.tokens = 3});
  ASSERT_TRUE(pipeline);
  expect_no_drafts_by_hand(*pipeline);
  EXPECT_EQ(head_of(*pipeline).runs(), 3U);
  pipeline->release(9);
}

} // namespace
} // namespace plimsoll::head_drafting_test
