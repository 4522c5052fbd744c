// What can be wrong with a request, and how it ends. TextGenerationPipeline::new_context.
#include <cmath>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "unit/runtime/fake_requests.hpp"

namespace plimsoll::generation_request_test {
namespace {

using ::testing::HasSubstr;
using namespace plimsoll::testing;

TEST(GenerateMixin, ARequestThatIsWrongSaysSoAndDisturbsNobody) {
  struct Case {
    const char* name;
    std::function<void(TextGenerationRequest&)> spoil;
    const char* message;
  };
  const std::vector<Case> cases{
      {"no prompt", [](auto& r) { r.prompt_tokens.clear(); }, "no tokenizer"},
      {"text without a tokenizer",
       [](auto& r) {
         r.prompt_tokens.clear();
         r.prompt = "text";
       },
       "no tokenizer"},
      {"text and ids", [](auto& r) { r.prompt = "text"; }, "one of them"},
      {"an id the model has not", [](auto& r) { r.prompt_tokens.push_back(kFakeVocab); }, "none of the 41"},
      {"a negative id", [](auto& r) { r.prompt_tokens.push_back(-1); }, "token -1"},
      {"at the cap", [](auto& r) { r.prompt_tokens = prompt_of(100, 1); }, "has 100 tokens"},
      {"beyond the plan", [](auto& r) { r.max_length = 101; }, "(101) exceeds the upper bound (100)"},
      {"nothing to generate", [](auto& r) { r.max_new_tokens = 0; }, "is 0"},
      {"negative temperature", [](auto& r) { r.sampling.temperature = -1; }, "temperature"},
      {"no number", [](auto& r) { r.sampling.temperature = std::nan(""); }, "temperature"},
      {"top_p of 0", [](auto& r) { r.sampling.top_p = 0; }, "top_p"},
      {"top_p above 1", [](auto& r) { r.sampling.top_p = 1.5; }, "top_p"},
      {"too many best tokens", [](auto& r) { r.log_probabilities = 42; }, "at most the 41"},
      {"negative best tokens", [](auto& r) { r.log_probabilities = -1; }, "is -1"},
      {"an empty stop string", [](auto& r) { r.stop_strings = {""}; }, "stop_strings"},
      {"a stop string without a tokenizer", [](auto& r) { r.stop_strings = {"x"}; }, "no text"},
  };
  auto pipeline = fake_pipeline();
  ASSERT_TRUE(pipeline);
  for (const Case& wrong : cases) {
    std::vector<TextGenerationRequest> requests{request_of({1, 2}, 3), request_of({3}, 2)};
    wrong.spoil(requests[0]);
    const auto outputs = pipeline->generate(requests);
    ASSERT_TRUE(outputs) << wrong.name;
    ASSERT_TRUE((*outputs)[0].error) << wrong.name;
    EXPECT_EQ((*outputs)[0].error->code, ErrorCode::kBadRequest) << wrong.name;
    EXPECT_THAT((*outputs)[0].error->where + ": " + (*outputs)[0].error->message, HasSubstr(wrong.message)) << wrong.name;
    EXPECT_EQ((*outputs)[0].status, Status::kCancelled) << wrong.name;
    EXPECT_EQ((*outputs)[1].tokens, fake_tokens({3}, 2)) << wrong.name;
  }
}

TEST(GenerateMixin, EndOfSequenceOutranksTheLength) {
  auto pipeline = fake_pipeline();
  ASSERT_TRUE(pipeline);
  const std::vector<Token> tokens = fake_tokens({1, 2, 3}, 6);
  TextGenerationRequest request = request_of({1, 2, 3}, 6);
  request.stop_tokens = {tokens[5]};
  const auto last = pipeline->generate(request);
  ASSERT_TRUE(last);
  EXPECT_EQ(last->status, Status::kEndOfSequence);
  const auto at = std::find(tokens.begin(), tokens.end(), tokens[5]);
  EXPECT_EQ(last->tokens, std::vector<Token>(tokens.begin(), at + 1)) << "with the token that ended it";
}

} // namespace
} // namespace plimsoll::generation_request_test
