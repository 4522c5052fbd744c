// Random requests in pools and steps of random sizes: whatever is put back, cut into chunks, cancelled or cached, every request gives what
// it would give alone, with its log-probabilities, and nothing stays taken.
#include <cmath>
#include <gtest/gtest.h>
#include <random>

#include "unit/runtime/fake_requests.hpp"

namespace plimsoll::generation_property_test {
namespace {

using namespace plimsoll::testing;

// log(softmax(row))[token].
double log_probability(const std::vector<float>& row, Token token) {
  double sum = 0;
  for (const float logit : row) sum += std::exp(static_cast<double>(logit));
  return static_cast<double>(row[static_cast<std::size_t>(token)]) - std::log(sum);
}

void expect_rows(const TextGenerationRequest& request, const TextGenerationOutput& output) {
  if (request.log_probabilities == 0) {
    EXPECT_FALSE(output.log_probabilities);
    return;
  }
  std::vector<Token> all = request.prompt_tokens;
  const std::size_t first = request.echo ? 1 : all.size();
  all.insert(all.end(), output.tokens.begin(), output.tokens.end());
  ASSERT_TRUE(output.log_probabilities);
  const LogProbabilities& rows = *output.log_probabilities;
  ASSERT_EQ(rows.sampled, std::vector<Token>(all.begin() + static_cast<std::ptrdiff_t>(first), all.end()));
  ASSERT_EQ(rows.token.size(), rows.sampled.size());
  ASSERT_EQ(rows.top.size(), rows.sampled.size());
  for (std::size_t i = 0; i < rows.sampled.size(); ++i) {
    const std::vector<float> row = fake_logits(std::span<const Token>(all).first(first + i));
    EXPECT_NEAR(rows.token[i], log_probability(row, rows.sampled[i]), 1e-5) << "row " << i;
    EXPECT_GE(rows.top[i].size(), static_cast<std::size_t>(request.log_probabilities));
  }
}

class RandomRequests {
public:
  explicit RandomRequests(std::uint32_t seed) : random_(seed) {}
  std::uint64_t between(std::uint64_t least, std::uint64_t most) {
    return std::uniform_int_distribution<std::uint64_t>(least, most)(random_);
  }

  TextGenerationRequest request() {
    TextGenerationRequest request = request_of(prompt_of(between(1, 30), static_cast<Token>(between(0, 5))), between(1, 20));
    if (between(0, 2) == 0) request.log_probabilities = static_cast<std::int32_t>(between(1, 3));
    request.echo = between(0, 1) == 0;
    if (between(0, 3) == 0) request.cache_salt = "other";
    return request;
  }

private:
  std::mt19937 random_;
};

TEST(GenerateMixinProperty, EveryRequestGivesWhatItGivesAlone) {
  std::uint64_t put_back = 0;
  for (std::uint32_t seed = 0; seed < 24; ++seed) {
    SCOPED_TRACE(seed);
    RandomRequests random(seed);
    const FakePlanOptions options{.pages = random.between(13, 30), .batch = random.between(1, 5), .batch_tokens = random.between(5, 40)};
    auto pipeline = fake_pipeline(options, random.between(0, 1) == 0);
    ASSERT_TRUE(pipeline);
    CachelessModel& model = fake_model(*pipeline);
    std::vector<TextGenerationRequest> requests;
    for (std::uint64_t n = random.between(1, 12); n > 0; --n) requests.push_back(random.request());
    const auto outputs = pipeline->generate(requests);
    ASSERT_TRUE(outputs) << outputs.error().message;
    expect_as_alone(requests, *outputs);
    for (std::size_t i = 0; i < requests.size(); ++i) expect_rows(requests[i], (*outputs)[i]);
    expect_nothing_left(*pipeline);
    EXPECT_LE(model.most_batch, options.batch);
    for (const auto& [id, times] : model.released) put_back += static_cast<std::uint64_t>(times - 1);
  }
  EXPECT_GT(put_back, 10U) << "the pools are small enough";
}

TEST(GenerateMixinProperty, RowsOfLogitsAreABudgetOfTheStep) {
  for (std::uint32_t seed = 0; seed < 12; ++seed) {
    SCOPED_TRACE(seed);
    RandomRequests random(seed);
    const std::uint64_t batch = random.between(1, 4), rows = batch + random.between(0, 3);
    const Plan plan = fake_plan({.batch = batch});
    auto model = std::make_unique<FakeModel>(PipelineModelOptions{plan, {Arena::create(plan, 0).value()}});
    model->output_rows = rows;
    const FakeModel& seen = *model;
    PipelineParts parts;
    parts.model = std::move(model);
    auto pipeline = TextGenerationPipeline::create(std::move(parts));
    ASSERT_TRUE(pipeline);
    std::vector<TextGenerationRequest> requests;
    for (int n = 0; n < 6; ++n) requests.push_back(random.request());
    const auto outputs = pipeline->generate(requests);
    ASSERT_TRUE(outputs) << outputs.error().message;
    expect_as_alone(requests, *outputs);
    for (std::size_t i = 0; i < requests.size(); ++i) expect_rows(requests[i], (*outputs)[i]);
    EXPECT_LE(seen.most_rows, rows);
  }
}

TEST(GenerateMixinProperty, CancelledOnesDisturbNobody) {
  for (std::uint32_t seed = 0; seed < 12; ++seed) {
    SCOPED_TRACE(seed);
    RandomRequests random(seed);
    auto pipeline = fake_pipeline({.pages = random.between(13, 20), .batch = 3}, true);
    ASSERT_TRUE(pipeline);
    std::vector<TextGenerationRequest> requests;
    for (int n = 0; n < 8; ++n) requests.push_back(random.request());
    auto generation = pipeline->generate_async(requests);
    ASSERT_TRUE(generation);
    while (true) {
      if (random.between(0, 4) == 0) generation->cancel(random.between(0, 7));
      const auto outputs = generation->next();
      ASSERT_TRUE(outputs) << outputs.error().message;
      if (!*outputs) break;
      ASSERT_TRUE(pipeline->kv_managers().front()->audit());
    }
    const auto outputs = std::move(*generation).finish();
    for (std::size_t i = 0; i < requests.size(); ++i) {
      const std::vector<Token> alone = fake_tokens(requests[i].prompt_tokens, *requests[i].max_new_tokens);
      ASSERT_LE(outputs[i].tokens.size(), alone.size());
      EXPECT_TRUE(std::equal(outputs[i].tokens.begin(), outputs[i].tokens.end(), alone.begin())) << "request " << i;
      if (outputs[i].status != Status::kCancelled) {
        EXPECT_EQ(outputs[i].tokens.size(), alone.size());
      }
    }
    expect_nothing_left(*pipeline);
  }
}

// Drawn tokens depend on the seed, the id and the position, and not on the company.
TEST(GenerateMixinProperty, DrawsDoNotDependOnTheBatch) {
  std::vector<TextGenerationRequest> requests;
  for (std::size_t i = 0; i < 6; ++i) {
    requests.push_back(request_of(prompt_of(3 + 4 * i, static_cast<Token>(i)), 12));
    requests.back().id = 100 + i;
    requests.back().sampling = {.temperature = 0.9, .top_k = i % 2 == 0 ? 0U : 9U, .top_p = i % 3 == 0 ? 0.8 : 1, .seed = 5};
  }
  auto wide = fake_pipeline({.pages = 200, .batch = 6, .batch_tokens = 90}),
       narrow = fake_pipeline({.pages = 12, .batch = 2, .batch_tokens = 7});
  ASSERT_TRUE(wide && narrow);
  const auto a = wide->generate(requests), b = narrow->generate(requests);
  ASSERT_TRUE(a && b);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    EXPECT_EQ((*a)[i].tokens, (*b)[i].tokens) << "request " << i;
    EXPECT_NE((*a)[i].tokens, fake_tokens(requests[i].prompt_tokens, 12)) << "as good as greedy";
    requests[i].sampling.seed = 6;
  }
  const auto c = wide->generate(requests);
  ASSERT_TRUE(c);
  EXPECT_NE((*a)[0].tokens, (*c)[0].tokens);
}

} // namespace
} // namespace plimsoll::generation_property_test
