// Drafted tokens are verified: whatever a draft says, a request gives what it gives without one, and a draft that is right is believed.
#include <gtest/gtest.h>
#include <random>

#include "runtime/drafting.hpp"
#include "unit/runtime/fake_requests.hpp"

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

struct Drafted {
  FakePlanOptions plan = {};
  std::uint32_t tokens = 3; // of a step
  std::uint64_t wrong = 0, output_rows = 0;
  bool prefix_caching = false;
};
Result<TextGenerationPipeline> drafted_pipeline(const Drafted& of) {
  Plan plan = fake_plan(of.plan);
  plan.request.num_draft_tokens = of.tokens;
  PLIMSOLL_ASSIGN(const Arena arena, Arena::create(plan, 0));
  auto model = std::make_unique<DraftedModel>(PipelineModelOptions{plan, {arena}}, of.wrong);
  model->output_rows = of.output_rows;
  PipelineParts parts;
  parts.model = std::move(model);
  parts.kv.manager.prefix_caching = of.prefix_caching;
  parts.kv.manager.key_seed = 1;
  return TextGenerationPipeline::create(std::move(parts));
}
FakeDraft& guesser_of(const TextGenerationPipeline& pipeline) { return dynamic_cast<DraftedModel&>(pipeline.model()).guesser(); }

TEST(Drafting, ARightDraftSavesSteps) {
  auto pipeline = drafted_pipeline({.tokens = 3});
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
  auto pipeline = drafted_pipeline({.tokens = 3, .wrong = 1});
  ASSERT_TRUE(pipeline) << pipeline.error().message;
  const std::vector<TextGenerationRequest> requests{request_of(prompt_of(5, 1), 20)};
  const auto outputs = pipeline->generate(requests);
  ASSERT_TRUE(outputs) << outputs.error().message;
  expect_as_alone(requests, *outputs);
  EXPECT_EQ(fake_model(*pipeline).steps, 20U);
  EXPECT_EQ((*outputs)[0].accepted_tokens, 0U);
  EXPECT_GT((*outputs)[0].drafted_tokens, 40U);
}

// Pools and steps of random sizes, drafts that are right, often right and never, with prefixes and without: nobody gives anything else.
TEST(Drafting, EveryRequestGivesWhatItGivesAlone) {
  std::uint64_t accepted = 0, rejected = 0;
  for (std::uint32_t seed = 0; seed < 16; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937 random(seed);
    const auto between = [&](std::uint64_t least, std::uint64_t most) {
      return std::uniform_int_distribution<std::uint64_t>(least, most)(random);
    };
    const Drafted of{.plan = {.pages = between(13, 40), .batch = between(1, 5), .batch_tokens = between(5, 40)},
                     .tokens = static_cast<std::uint32_t>(between(1, 6)),
                     .wrong = between(0, 4),
                     .output_rows = between(0, 1) == 0 ? 0 : between(5, 12),
                     .prefix_caching = between(0, 1) == 0};
    auto pipeline = drafted_pipeline(of);
    ASSERT_TRUE(pipeline) << pipeline.error().message;
    std::vector<TextGenerationRequest> requests;
    for (std::uint64_t n = between(1, 10); n > 0; --n) {
      requests.push_back(request_of(prompt_of(between(1, 30), static_cast<Token>(between(0, 3))), between(1, 20)));
      if (between(0, 4) == 0) requests.back().log_probabilities = 2;
      requests.back().echo = between(0, 1) == 0;
    }
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

// What is drawn follows from seed, request and place, so a draft does not change it either.
TEST(Drafting, DrawnTokensAreThoseWithoutADraft) {
  std::vector<TextGenerationRequest> requests;
  for (Token first = 0; first < 4; ++first) {
    requests.push_back(request_of(prompt_of(6, first), 30));
    requests.back().sampling = {.temperature = 0.3 * (first + 1), .top_k = 8, .top_p = 0.9, .seed = 5};
  }
  auto plain = fake_pipeline();
  ASSERT_TRUE(plain);
  const auto expected = plain->generate(requests);
  ASSERT_TRUE(expected) << expected.error().message;
  for (const std::uint64_t wrong : {0U, 3U}) {
    auto pipeline = drafted_pipeline({.tokens = 4, .wrong = wrong});
    ASSERT_TRUE(pipeline);
    const auto outputs = pipeline->generate(requests);
    ASSERT_TRUE(outputs) << outputs.error().message;
    for (std::size_t i = 0; i < requests.size(); ++i) {
      EXPECT_EQ((*outputs)[i].tokens, (*expected)[i].tokens) << i;
      EXPECT_GT((*outputs)[i].accepted_tokens, 0U) << i;
    }
  }
}

// A token that ends the request ends it in the middle of what was accepted.
TEST(Drafting, NothingFollowsTheEnd) {
  const std::vector<Token> prompt = prompt_of(5, 1), all = fake_tokens(prompt, 20);
  for (std::size_t end = 0; end < 8; ++end) {
    if (std::find(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(end), all[end]) != all.begin() + static_cast<std::ptrdiff_t>(end))
      continue; // it ended before
    auto pipeline = drafted_pipeline({.tokens = 5});
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
    auto pipeline = drafted_pipeline({.tokens = 3, .wrong = 5});
    ASSERT_TRUE(pipeline);
    if (draft_fails) guesser_of(*pipeline).failing_pass = 7;
    else fake_model(*pipeline).failing_step = 3;
    const std::vector<TextGenerationRequest> requests{request_of(prompt_of(5, 1), 20), request_of(prompt_of(11, 2), 20)};
    auto generation = pipeline->generate_async(requests);
    ASSERT_TRUE(generation);
    int failures = 0;
    while (true) {
      const auto outputs = generation->next();
      if (outputs && !*outputs) break;
      if (!outputs) ++failures;
      ASSERT_LE(failures, 1) << outputs.error().message;
    }
    EXPECT_EQ(failures, 1);
    expect_as_alone(requests, std::move(*generation).finish());
    expect_nothing_left(*pipeline);
  }
}

// Who schedules by himself is given a token a step, and the draft's cache stays whole.
TEST(Drafting, StepsByHandDraftNothing) {
  auto pipeline = drafted_pipeline({.tokens = 3});
  ASSERT_TRUE(pipeline);
  auto context = pipeline->new_context(request_of(prompt_of(5, 1), 4), 9);
  ASSERT_TRUE(context);
  PagedKvManager& manager = *pipeline->kv_managers().front();
  ASSERT_TRUE(manager.claim(9));
  for (int step = 0; step < 3; ++step) {
    ASSERT_TRUE(manager.alloc(context->tokens()));
    const auto outputs = pipeline->execute({{&*context}});
    ASSERT_TRUE(outputs) << outputs.error().message;
    EXPECT_EQ(outputs->at(9).tokens.size(), 1U);
    EXPECT_EQ(outputs->at(9).drafted_tokens, 0U);
  }
  EXPECT_EQ(guesser_of(*pipeline).passes, 3U);
  pipeline->release(9);
}

} // namespace
} // namespace plimsoll::drafting_test
