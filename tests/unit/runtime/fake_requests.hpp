// Requests to the fake model, and what must be true of their outputs. For the tests of generations; one thread.
#pragma once

#include <gtest/gtest.h>
#include <vector>

#include "unit/runtime/fake_model.hpp"

namespace plimsoll::testing {

inline TextGenerationRequest request_of(std::vector<Token> prompt, std::uint64_t new_tokens) {
  TextGenerationRequest request;
  request.prompt_tokens = std::move(prompt);
  request.max_new_tokens = new_tokens;
  return request;
}

inline std::vector<Token> prompt_of(std::size_t tokens, Token first) {
  std::vector<Token> prompt;
  for (std::size_t i = 0; i < tokens; ++i) prompt.push_back(static_cast<Token>((static_cast<std::uint64_t>(first) + 7 * i) % kFakeVocab));
  return prompt;
}

inline std::uint64_t used_pages(const TextGenerationPipeline& pipeline) { return pipeline.kv_managers().front()->metrics().used_pages; }

inline void expect_nothing_left(const TextGenerationPipeline& pipeline) {
  const PagedKvManager& kv = *pipeline.kv_managers().front();
  EXPECT_EQ(kv.metrics().requests, 0U);
  EXPECT_EQ(kv.metrics().used_pages, 0U);
  const auto audit = kv.audit();
  EXPECT_TRUE(audit) << audit.error().message;
}

inline void expect_as_alone(const std::vector<TextGenerationRequest>& requests, const std::vector<TextGenerationOutput>& outputs) {
  ASSERT_EQ(outputs.size(), requests.size());
  for (std::size_t i = 0; i < requests.size(); ++i) {
    EXPECT_EQ(outputs[i].id, requests[i].id.value_or(i));
    EXPECT_EQ(outputs[i].tokens, fake_tokens(requests[i].prompt_tokens, *requests[i].max_new_tokens)) << "request " << i;
    EXPECT_EQ(outputs[i].status, Status::kMaximumLength) << "request " << i;
    EXPECT_FALSE(outputs[i].error) << outputs[i].error->message;
  }
}

} // namespace plimsoll::testing
