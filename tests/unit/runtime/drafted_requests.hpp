// What must be true of requests that something drafts for, another model or a head, which is wrong at every so manieth row. For the tests
// of both; one thread.
#pragma once

#include <cstdint>
#include <gtest/gtest.h>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "unit/runtime/fake_requests.hpp"

namespace plimsoll::testing {

struct Drafted {
  FakePlanOptions plan = {};
  std::uint32_t tokens = 3; // of a step
  std::uint64_t wrong = 0, output_rows = 0;
  bool prefix_caching = false;
};

// `DraftedModel`: a fake model that has what drafts, made of options and `wrong`.
template <class DraftedModel>
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

// Pools and steps of random sizes, what drafts right, often right and never, with prefixes and without; and requests to them.
struct DraftedDraw {
  Drafted of;
  std::vector<TextGenerationRequest> requests;
};
inline DraftedDraw drafted_draw(std::uint32_t seed) {
  std::mt19937 random(seed);
  const auto between = [&](std::uint64_t least, std::uint64_t most) {
    return std::uniform_int_distribution<std::uint64_t>(least, most)(random);
  };
  DraftedDraw out;
  out.of = {.plan = {.pages = between(13, 40), .batch = between(1, 5), .batch_tokens = between(5, 40)},
            .tokens = static_cast<std::uint32_t>(between(1, 6)),
            .wrong = between(0, 4),
            .output_rows = between(0, 1) == 0 ? 0 : between(5, 12),
            .prefix_caching = between(0, 1) == 0};
  for (std::uint64_t n = between(1, 10); n > 0; --n) {
    out.requests.push_back(request_of(prompt_of(between(1, 30), static_cast<Token>(between(0, 3))), between(1, 20)));
    if (between(0, 4) == 0) out.requests.back().log_probabilities = 2;
    out.requests.back().echo = between(0, 1) == 0;
  }
  return out;
}

// `pipeline`: three tokens a step, never right.
inline void expect_nothing_but_time_lost(TextGenerationPipeline& pipeline) {
  const std::vector<TextGenerationRequest> requests{request_of(prompt_of(5, 1), 20)};
  const auto outputs = pipeline.generate(requests);
  ASSERT_TRUE(outputs) << outputs.error().message;
  expect_as_alone(requests, *outputs);
  EXPECT_EQ(fake_model(pipeline).steps, 20U);
  EXPECT_EQ((*outputs)[0].accepted_tokens, 0U);
  EXPECT_GT((*outputs)[0].drafted_tokens, 40U);
}

// What is drawn follows from seed, request and place, so what drafts does not change it either.
template <class DraftedModel>
void expect_drawn_as_without() {
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
    auto pipeline = drafted_pipeline<DraftedModel>({.tokens = 4, .wrong = wrong});
    ASSERT_TRUE(pipeline);
    const auto outputs = pipeline->generate(requests);
    ASSERT_TRUE(outputs) << outputs.error().message;
    for (std::size_t i = 0; i < requests.size(); ++i) {
      EXPECT_EQ((*outputs)[i].tokens, (*expected)[i].tokens) << i;
      EXPECT_GT((*outputs)[i].accepted_tokens, 0U) << i;
    }
  }
}

// One step of `pipeline` fails, and leaves every request as it was.
inline void expect_step_made_again(TextGenerationPipeline& pipeline) {
  const std::vector<TextGenerationRequest> requests{request_of(prompt_of(5, 1), 20), request_of(prompt_of(11, 2), 20)};
  auto generation = pipeline.generate_async(requests);
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
  expect_nothing_left(pipeline);
}

// Who schedules by himself is given a token a step; three steps of request 9.
inline void expect_no_drafts_by_hand(TextGenerationPipeline& pipeline) {
  auto context = pipeline.new_context(request_of(prompt_of(5, 1), 4), 9);
  ASSERT_TRUE(context);
  PagedKvManager& manager = *pipeline.kv_managers().front();
  ASSERT_TRUE(manager.claim(9));
  for (int step = 0; step < 3; ++step) {
    ASSERT_TRUE(manager.alloc(context->tokens()));
    const auto outputs = pipeline.execute({{&*context}});
    ASSERT_TRUE(outputs) << outputs.error().message;
    EXPECT_EQ(outputs->at(9).tokens.size(), 1U);
    EXPECT_EQ(outputs->at(9).drafted_tokens, 0U);
  }
}

} // namespace plimsoll::testing
