// Drafted tokens are verified: whatever a draft says, a request gives what it gives without one, and a draft that is right is believed.
#include <gtest/gtest.h>

#include "runtime/drafting.hpp"
#include "unit/runtime/drafted_requests.hpp"

namespace plimsoll::drafting_test {
namespace {

using namespace plimsoll::testing;

// Guesses what the fake model says, out of memory of its own under the same pages: a token that was not computed here spoils all guesses.
class FakeDraft : public CachelessModel {
public:
  FakeDraft(PipelineModelOptions options, std::uint64_t wrong)
      : CachelessModel(std::move(options)), wrong_(wrong),
        memory_(static_cast<std::size_t>(plan().kv_geometry.pools.front().pages * kFakePageTokens), -1) {}

  // Every so manieth row says that any other token is better; 0: none.
  Result<ModelOutputs> execute(const ModelInputs& inputs) override {
    if (++passes == failing_pass) return fail(ErrorCode::kInternal, "the draft fell off the bus");
    PLIMSOLL_ASSIGN(ModelOutputs outputs, CachelessModel::execute(inputs));
    PLIMSOLL_ASSIGN(const std::span<float> logits, outputs.logits().values<float>());
    for (std::size_t at = 0; at < logits.size() && wrong_ > 0; at += kFakeVocab)
      if (++rows_ % wrong_ == 0) {
        const auto row = logits.subspan(at, kFakeVocab);
        *std::max_element(row.begin(), row.end()) = -1;
      }
    return outputs;
  }

  std::uint64_t passes = 0, failing_pass = 0;

protected:
  Result<std::size_t> read_pages(const ModelInputs& inputs, std::size_t i, std::vector<Token>& seen) override {
    PLIMSOLL_ASSIGN(const auto lengths, inputs.find("kv.cache_lengths").values<std::uint32_t>());
    for (std::uint64_t at = 0; at < lengths[i]; ++at) {
      PLIMSOLL_ASSIGN(const std::size_t slot, slot_of(inputs, i, at));
      seen.push_back(memory_[slot]);
    }
    return std::size_t{lengths[i]};
  }
  Result<void> write_page(const ModelInputs& inputs, std::size_t i, std::size_t at, Token token) override {
    PLIMSOLL_ASSIGN(const std::size_t slot, slot_of(inputs, i, at));
    memory_[slot] = token;
    return {};
  }

private:
  Result<std::size_t> slot_of(const ModelInputs& inputs, std::size_t i, std::size_t at) const {
    const Tensor table = inputs.find("kv.lookup_table");
    PLIMSOLL_ASSIGN(const auto cells, table.values<std::uint32_t>());
    const std::size_t page = cells[i * table.shape()[1] + at / kFakePageTokens];
    if ((page + 1) * kFakePageTokens > memory_.size()) return fail(ErrorCode::kInternal, "a token has no page");
    return page * kFakePageTokens + at % kFakePageTokens;
  }

  std::uint64_t wrong_ = 0, rows_ = 0;
  std::vector<Token> memory_;
};

class DraftedModel : public FakeModel {
public:
  DraftedModel(const PipelineModelOptions& options, std::uint64_t wrong) : FakeModel(options), draft_(options, wrong) {}
  PipelineModel* draft() noexcept override { return &draft_; }
  FakeDraft& guesser() { return draft_; }

private:
  FakeDraft draft_;
};

FakeDraft& guesser_of(const TextGenerationPipeline& pipeline) { return dynamic_cast<DraftedModel&>(pipeline.model()).guesser(); }

TEST(Drafting, ARightDraftSavesSteps) {
  auto pipeline = drafted_pipeline<DraftedModel>({.tokens = 3});
  ASSERT_TRUE(pipeline) << pipeline.error().message;
  const std::vector<TextGenerationRequest> requests{request_of(prompt_of(5, 1), 20)};
  const auto outputs = pipeline->generate(requests);
  ASSERT_TRUE(outputs) << outputs.error().message;
  expect_as_alone(requests, *outputs);
  EXPECT_EQ(fake_model(*pipeline).steps, 5U); // four tokens each
  EXPECT_EQ(guesser_of(*pipeline).passes, 20U);
  EXPECT_EQ((*outputs)[0].drafted_tokens, 15U);
  EXPECT_EQ((*outputs)[0].accepted_tokens, 15U);
  expect_nothing_left(*pipeline);
}

TEST(Drafting, AWrongDraftCostsNothingButTime) {
  auto pipeline = drafted_pipeline<DraftedModel>({.tokens = 3, .wrong = 1});
  ASSERT_TRUE(pipeline) << pipeline.error().message;
  expect_nothing_but_time_lost(*pipeline);
}

// Pools and steps of random sizes, drafts that are right, often right and never, with prefixes and without: nobody gives anything else.
TEST(Drafting, EveryRequestGivesWhatItGivesAlone) {
  std::uint64_t accepted = 0, rejected = 0;
  for (std::uint32_t seed = 0; seed < 16; ++seed) {
    SCOPED_TRACE(seed);
    const auto [of, requests] = drafted_draw(seed);
    auto pipeline = drafted_pipeline<DraftedModel>(of);
    ASSERT_TRUE(pipeline) << pipeline.error().message;
    const auto outputs = pipeline->generate(requests);
    ASSERT_TRUE(outputs) << outputs.error().message;
    expect_as_alone(requests, *outputs);
    for (std::size_t i = 0; i < requests.size(); ++i) {
      const TextGenerationOutput& output = (*outputs)[i];
      if (of.wrong == 0) {
        EXPECT_EQ(output.accepted_tokens, output.drafted_tokens) << "its cache had a part of every token";
      }
      if (requests[i].log_probabilities > 0) {
        EXPECT_EQ(output.drafted_tokens, 0U);
        ASSERT_TRUE(output.log_probabilities);
        EXPECT_GE(output.log_probabilities->token.size(), output.tokens.size());
      }
      accepted += output.accepted_tokens;
      rejected += output.drafted_tokens - output.accepted_tokens;
    }
    if (of.output_rows > 0) {
      EXPECT_LE(fake_model(*pipeline).most_rows, of.output_rows);
    }
    expect_nothing_left(*pipeline);
  }
  EXPECT_GT(accepted, 150U);
  EXPECT_GT(rejected, 150U);
}

TEST(Drafting, DrawnTokensAreThoseWithoutADraft) { expect_drawn_as_without<DraftedModel>(); }

// A token that ends the request ends it in the middle of what was accepted.
TEST(Drafting, NothingFollowsTheEnd) {
  const std::vector<Token> prompt = prompt_of(5, 1), all = fake_tokens(prompt, 20);
  for (std::size_t end = 0; end < 8; ++end) {
    if (std::find(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(end), all[end]) != all.begin() + static_cast<std::ptrdiff_t>(end))
      continue; // it ended before
    auto pipeline = drafted_pipeline<DraftedModel>({.tokens = 5});
    ASSERT_TRUE(pipeline);
    TextGenerationRequest request = request_of(prompt, 20);
    request.stop_tokens = {all[end]};
    const auto output = pipeline->generate(request);
    ASSERT_TRUE(output) << output.error().message;
    EXPECT_EQ(output->tokens, std::vector<Token>(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(end + 1)));
    EXPECT_EQ(output->status, Status::kEndOfSequence);
    EXPECT_LE(output->accepted_tokens, output->tokens.size());
    expect_nothing_left(*pipeline);
  }
}

// A step that fails, in the draft or behind it, leaves every request as it was.
TEST(Drafting, AStepThatFailsIsMadeAgain) {
  for (const bool draft_fails : {true, false}) {
    auto pipeline = drafted_pipeline<DraftedModel>({.tokens = 3, .wrong = 5});
    ASSERT_TRUE(pipeline);
    if (draft_fails) guesser_of(*pipeline).failing_pass = 7;
    else fake_model(*pipeline).failing_step = 3;
    expect_step_made_again(*pipeline);
  }
}

// Who schedules by himself is given a token a step, and the draft's cache stays whole.
TEST(Drafting, StepsByHandDraftNothing) {
  auto pipeline = drafted_pipeline<DraftedModel>({.tokens = 3});
  ASSERT_TRUE(pipeline);
  expect_no_drafts_by_hand(*pipeline);
  EXPECT_EQ(guesser_of(*pipeline).passes, 3U);
  pipeline->release(9);
}

} // namespace
} // namespace plimsoll::drafting_test
