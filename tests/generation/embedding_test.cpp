// Vectors of tiny encoders inside their plans, against what a forward pass in NumPy float64 gives (tests/data/tiny/embeddings.json).
#include "plimsoll/embedding.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <map>
#include <nlohmann/json.hpp>

#include "generation/tiny_models.hpp"
#include "plimsoll/verify_run.hpp"
#include "support/sparse_checkpoint.hpp"
#include "support/tiny_encoders.hpp"

namespace plimsoll::testing {
namespace {

namespace fs = std::filesystem;

using ::testing::HasSubstr;

// Folders of this program's own, gone at its end.
class EncoderFolders {
public:
  // With what sentence-transformers writes; none where `pooling` is empty.
  std::string make(const std::string& encoder, const std::string& pooling = "", const std::vector<std::string>& modules = {}) {
    const std::string folder = folders_ / std::to_string(made_++);
    test::write_tiny_folder(test::tiny_encoder(encoder), folder);
    if (!pooling.empty()) test::write_sentence_modules(folder, pooling, modules);
    return folder;
  }
  fs::path folder() { return folders_ / std::to_string(made_++); }

private:
  test::TemporaryDirectory folders_;
  int made_ = 0;
};
EncoderFolders& encoder_folders() {
  static EncoderFolders all;
  return all;
}

struct EncoderGolden {
  std::vector<Token> tokens;
  std::map<std::string, std::vector<double>> vectors; // by pooling
};
std::vector<EncoderGolden> encoder_goldens(const std::string& encoder) {
  static const nlohmann::json all = nlohmann::json::parse(std::ifstream(PLIMSOLL_TEST_DATA "/tiny/embeddings.json"));
  std::vector<EncoderGolden> out;
  for (const auto& c : all["cases"]) {
    if (c["model"] != encoder) continue;
    EncoderGolden& golden = out.emplace_back();
    golden.tokens = c["tokens"].get<std::vector<Token>>();
    for (const char* how : {"first", "mean", "last"}) golden.vectors[how] = c[how].get<std::vector<double>>();
  }
  return out;
}

PlanRequest embedding_request(std::uint32_t ranks = 1) {
  PlanRequest request = request_of(40);
  request.max_batch_size = 4;
  request.max_batch_input_tokens = 64;
  request.tp = ranks;
  if (ranks > 1) request.devices = std::to_string(ranks) + "x64MiB";
  return request;
}

Result<EmbeddingPipeline> embedder_of(const std::string& folder, const PlanRequest& request) {
  PLIMSOLL_ASSIGN(const Model model, context().load(folder));
  PipelineOptions by_ids;
  by_ids.load_tokenizer = false;
  return EmbeddingPipeline::create(context(), model, request, by_ids);
}

std::vector<EmbeddingRequest> embedding_requests(const std::vector<EncoderGolden>& goldens) {
  std::vector<EmbeddingRequest> out;
  for (const EncoderGolden& golden : goldens) out.push_back({"", golden.tokens});
  return out;
}

void expect_vector(const Embedding& is, const std::vector<double>& expected, double tolerance) {
  ASSERT_EQ(is.vector.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) ASSERT_NEAR(is.vector[i], expected[i], tolerance) << "element " << i;
}

void expect_refused(const Result<EmbeddingPipeline>& made, const std::string& says) {
  ASSERT_FALSE(made);
  EXPECT_THAT(made.error().message, HasSubstr(says));
}

TEST(EmbeddingTest, IsWhatNumpyGives) {
  for (const std::string& encoder : test::tiny_encoder_names()) {
    SCOPED_TRACE(encoder);
    const std::vector<EncoderGolden> goldens = encoder_goldens(encoder);
    ASSERT_EQ(goldens.size(), 4U);
    auto pipeline = embedder_of(encoder_folders().make(encoder), embedding_request());
    ASSERT_TRUE(pipeline) << pipeline.error().message << " " << pipeline.error().where;
    const std::string own = encoder == "contriever" ? "mean" : "first";
    EXPECT_EQ(pooling_name(pipeline->pooling()), own);
    EXPECT_FALSE(pipeline->normalised());
    EXPECT_EQ(pipeline->width(), 32U);
    const auto vectors = pipeline->embed(embedding_requests(goldens));
    ASSERT_TRUE(vectors) << vectors.error().message;
    EXPECT_EQ(pipeline->passes(), 2U) << "1 + 6 + 19 tokens, then 40";
    for (std::size_t i = 0; i < goldens.size(); ++i) {
      EXPECT_EQ((*vectors)[i].tokens, goldens[i].tokens.size());
      expect_vector((*vectors)[i], goldens[i].vectors.at(own), 1e-5);
      const auto alone = pipeline->embed({{"", goldens[i].tokens}});
      ASSERT_TRUE(alone) << alone.error().message;
      expect_vector((*alone)[0], goldens[i].vectors.at(own), 1e-5);
    }
    for (const Usage& usage : pipeline->usage()) {
      if (usage.category != Category::kOverhead) {
        EXPECT_EQ(usage.peak_bytes, usage.planned_bytes) << category_name(usage.category);
      }
      if (usage.category == Category::kKvCache) {
        EXPECT_EQ(usage.planned_bytes, 0U);
      }
    }
  }
}

TEST(EmbeddingTest, RanksGiveTheSame) {
  for (const std::string encoder : {"xlm_roberta", "modernbert"}) {
    const std::string folder = encoder_folders().make(encoder);
    for (const std::uint32_t ranks : {2U, 4U}) {
      SCOPED_TRACE(encoder + " on " + std::to_string(ranks));
      const std::vector<EncoderGolden> goldens = encoder_goldens(encoder);
      auto pipeline = embedder_of(folder, embedding_request(ranks));
      ASSERT_TRUE(pipeline) << pipeline.error().message;
      const auto vectors = pipeline->embed(embedding_requests(goldens));
      ASSERT_TRUE(vectors) << vectors.error().message;
      for (std::size_t i = 0; i < goldens.size(); ++i) expect_vector((*vectors)[i], goldens[i].vectors.at("first"), 2e-5);
      for (const Usage& usage : pipeline->usage()) {
        if (usage.category == Category::kOverhead) continue;
        EXPECT_EQ(usage.peak_bytes, usage.planned_bytes) << category_name(usage.category);
      }
    }
  }
}

// Each replica has its part of the texts; more replicas than texts leave some without any.
TEST(EmbeddingTest, ReplicasGiveTheSame) {
  const std::string folder = encoder_folders().make("bert");
  const std::vector<EncoderGolden> goldens = encoder_goldens("bert");
  for (const auto& [dp, tp] : {std::pair{2U, 1U}, {2U, 2U}, {6U, 1U}}) {
    SCOPED_TRACE(std::to_string(dp) + " x " + std::to_string(tp));
    PlanRequest request = embedding_request(tp);
    request.dp = dp;
    request.devices = std::to_string(dp * tp) + "x64MiB";
    auto pipeline = embedder_of(folder, request);
    ASSERT_TRUE(pipeline) << pipeline.error().message;
    for (int time = 0; time < 2; ++time) {
      const auto vectors = pipeline->embed(embedding_requests(goldens));
      ASSERT_TRUE(vectors) << vectors.error().message;
      for (std::size_t i = 0; i < goldens.size(); ++i) expect_vector((*vectors)[i], goldens[i].vectors.at("first"), 2e-5);
    }
    EXPECT_EQ(pipeline->passes(), 2 * std::min<std::uint64_t>(dp, goldens.size()));
    EXPECT_EQ(pipeline->usage_rows().size(), std::size_t{dp} * tp * kCategories);
    for (const UsageRow& row : pipeline->usage_rows()) {
      if (row.category == Category::kOverhead) continue;
      EXPECT_EQ(row.peak_bytes, row.planned_bytes) << row.rank << category_name(row.category);
    }
  }
}

// Replicas whose experts lie on the ranks of all: they read different numbers of texts, in different numbers of passes.
TEST(EmbeddingTest, ReplicasThatShareExpertsGiveTheSame) {
  test::TinyModel model = test::tiny_model("qwen3_moe");
  std::erase_if(model.tensors, [](const test::TinyTensor& t) { return t.name == "lm_head.weight"; });
  const std::string folder = encoder_folders().folder().string();
  test::write_tiny_folder(model, folder);
  test::write_sentence_modules(folder, "pooling_mode_lasttoken");
  std::vector<EmbeddingRequest> requests;
  for (const std::size_t length : {40U, 3U, 17U, 5U, 2U}) {
    EmbeddingRequest& request = requests.emplace_back();
    for (std::size_t i = 0; i < length; ++i) request.tokens.push_back(static_cast<Token>(3 + (7 * i + length) % 50));
  }
  std::vector<Embedding> expected;
  for (const std::uint32_t dp : {1U, 2U, 4U}) {
    SCOPED_TRACE(dp);
    PlanRequest request = request_of(64);
    request.max_batch_input_tokens = 16; // the longest text comes in chunks
    request.dp = dp;
    request.ep = dp;
    request.devices = std::to_string(dp) + "x64MiB";
    auto pipeline = embedder_of(folder, request);
    ASSERT_TRUE(pipeline) << pipeline.error().message;
    const auto vectors = pipeline->embed(requests);
    ASSERT_TRUE(vectors) << vectors.error().message;
    if (dp == 1) expected = *vectors;
    for (std::size_t i = 0; i < requests.size(); ++i)
      expect_vector((*vectors)[i], std::vector<double>(expected[i].vector.begin(), expected[i].vector.end()), 1e-4);
    for (const UsageRow& row : pipeline->usage_rows()) {
      if (row.category == Category::kOverhead) continue;
      EXPECT_EQ(row.peak_bytes, row.planned_bytes) << row.rank << category_name(row.category);
    }
  }
}

TEST(EmbeddingTest, FilesBesideTheModelSayHowVectorsAreMade) {
  const std::vector<EncoderGolden> goldens = encoder_goldens("bert");
  for (const auto& [mode, how] : {std::pair("pooling_mode_cls_token", "first"), std::pair("pooling_mode_mean_tokens", "mean"),
                                  std::pair("pooling_mode_lasttoken", "last")})
    for (const bool normalised : {false, true}) {
      SCOPED_TRACE(how);
      const std::vector<std::string> modules = normalised ? std::vector<std::string>{"Normalize"} : std::vector<std::string>();
      auto pipeline = embedder_of(encoder_folders().make("bert", mode, modules), embedding_request());
      ASSERT_TRUE(pipeline) << pipeline.error().message;
      EXPECT_EQ(pooling_name(pipeline->pooling()), std::string(how));
      EXPECT_EQ(pipeline->normalised(), normalised);
      const auto vectors = pipeline->embed(embedding_requests(goldens));
      ASSERT_TRUE(vectors) << vectors.error().message;
      for (std::size_t i = 0; i < goldens.size(); ++i) {
        std::vector<double> expected = goldens[i].vectors.at(how);
        double length = 0;
        for (const double x : expected) length += x * x;
        if (normalised) {
          for (double& x : expected) x /= std::sqrt(length);
          EXPECT_NEAR((*vectors)[i].norm(), 1, 1e-6);
        }
        expect_vector((*vectors)[i], expected, 1e-5);
      }
    }
}

TEST(EmbeddingTest, WhatFilesAskForAndNobodyMakesIsRefused) {
  expect_refused(embedder_of(encoder_folders().make("bert", "pooling_mode_max_tokens"), embedding_request()),
                 "1_Pooling/config.json: the pooling 'max' is not made here; cls, mean and lasttoken are");
  expect_refused(embedder_of(encoder_folders().make("bert", "nothing"), embedding_request()), "the pooling 'none' is not made here");
  expect_refused(embedder_of(encoder_folders().make("bert", "pooling_mode_mean_tokens", {"Dense"}), embedding_request()),
                 "modules.json: a module 'Dense' comes behind the model, which is not run here");
  const std::string lacking = encoder_folders().make("bert", "pooling_mode_mean_tokens");
  fs::remove(lacking + "/1_Pooling/config.json");
  expect_refused(embedder_of(lacking, embedding_request()), "which says how vectors are pooled, is not there");
}

TEST(EmbeddingTest, RefusesTextsThatItCannotRead) {
  auto pipeline = embedder_of(encoder_folders().make("bert"), embedding_request());
  ASSERT_TRUE(pipeline) << pipeline.error().message;
  EXPECT_EQ(pipeline->longest_tokens(), 40U);
  const auto refused = [&](const EmbeddingRequest& request) {
    const auto answer = pipeline->embed({{"", {1}}, request});
    EXPECT_FALSE(answer);
    return answer ? "" : answer.error().where + ": " + answer.error().message;
  };
  EXPECT_THAT(refused({"", std::vector<Token>(41, 3)}), HasSubstr("requests[1]: the text has 41 tokens; 1 to 40 were expected"));
  EXPECT_THAT(refused({"", {3, 64}}), HasSubstr("token 64 is none of the 64"));
  EXPECT_THAT(refused({"", {-1}}), HasSubstr("token -1"));
  EXPECT_THAT(refused({"a text", {}}), HasSubstr("no tokenizer"));
  EXPECT_THAT(refused({"a text", {1}}), HasSubstr("one of them was expected"));
  EXPECT_TRUE(pipeline->embed(std::span<const EmbeddingRequest>())->empty());
  EXPECT_EQ(pipeline->passes(), 0U) << "nothing was computed";
}

TEST(EmbeddingTest, ModelsThatWriteAndModelsThatReadAreNotTakenForEachOther) {
  expect_refused(embedder_of(folder_of("llama"), request_of(64)), "this model gives words and no vectors");
  const auto written = pipeline_of(encoder_folders().make("bert"), embedding_request());
  ASSERT_FALSE(written);
  EXPECT_THAT(written.error().message, HasSubstr("gives vectors of texts and writes none"));
}

// Logits are what the head makes of the last row; the embedder gives that row. The golden tokens of the same weights are llama.cpp's.
TEST(EmbeddingTest, ADecoderGivesItsLastRow) {
  const GoldenCase golden = golden_cases("qwen3").back(); // the longest prompt
  test::TinyModel model = test::tiny_model("qwen3");
  const auto head =
      std::find_if(model.tensors.begin(), model.tensors.end(), [](const test::TinyTensor& t) { return t.name == "lm_head.weight"; });
  ASSERT_NE(head, model.tensors.end());
  const std::vector<float> matrix = head->values;
  model.tensors.erase(head);
  for (const std::uint64_t pass_tokens : {512U, 16U}) { // whole, and in chunks
    const std::string folder = encoder_folders().folder().string();
    test::write_tiny_folder(model, folder);
    test::write_sentence_modules(folder, "pooling_mode_lasttoken");
    PlanRequest request = request_of(golden.max_length);
    request.max_batch_input_tokens = pass_tokens;
    auto pipeline = embedder_of(folder, request);
    ASSERT_TRUE(pipeline) << pipeline.error().message;
    EXPECT_EQ(pooling_name(pipeline->pooling()), std::string("last"));
    const auto vectors = pipeline->embed({{"", golden.prompt}, {"", {1, 7}}});
    ASSERT_TRUE(vectors) << vectors.error().message;
    const std::vector<float>& row = (*vectors)[0].vector;
    Token best = 0;
    double most = -1e30;
    for (std::size_t id = 0; id < matrix.size() / row.size(); ++id) {
      double logit = 0;
      for (std::size_t i = 0; i < row.size(); ++i) logit += static_cast<double>(row[i]) * static_cast<double>(matrix[id * row.size() + i]);
      if (logit > most) best = static_cast<Token>(id);
      most = std::max(most, logit);
    }
    EXPECT_EQ(best, golden.tokens.front());
    for (const Usage& usage : pipeline->usage()) {
      if (usage.category == Category::kOverhead) continue;
      EXPECT_EQ(usage.peak_bytes, usage.planned_bytes) << category_name(usage.category);
    }
  }
  const std::string mean = encoder_folders().folder().string();
  test::write_tiny_folder(model, mean);
  test::write_sentence_modules(mean, "pooling_mode_mean_tokens");
  expect_refused(embedder_of(mean, request_of(64)), "of a model that generates only the last is made here");
}

TEST(EmbeddingTest, TheWorstCaseOfAnEncoderHolds) {
  const std::string folder = encoder_folders().make("modernbert");
  const Model model = context().load(folder).value();
  for (const Fault fault : {Fault::kNone, Fault::kDouble}) {
    VerifyRunOptions options;
    options.inject = fault;
    const auto report = verify_run(context(), model, embedding_request(), options);
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_EQ(run_verdict_name(report->verdict), fault == Fault::kNone ? "within_plan" : "over_plan");
  }
}

TEST(EmbeddingTest, JsonHasVectorsAndHowTheyAreMade) {
  auto pipeline = embedder_of(encoder_folders().make("bert", "pooling_mode_mean_tokens", {"Normalize"}), embedding_request());
  ASSERT_TRUE(pipeline) << pipeline.error().message;
  const auto requests = read_embedding_requests(R"({"requests": [[5, 9], [1]]})");
  ASSERT_TRUE(requests) << requests.error().message;
  const auto vectors = pipeline->embed(*requests);
  ASSERT_TRUE(vectors) << vectors.error().message;
  const auto document = nlohmann::json::parse(embeddings_to_json(*pipeline, *vectors, pipeline->usage_rows()));
  EXPECT_EQ(document["schema"], "plimsoll.embed/1");
  EXPECT_EQ(document["pooling"], "mean");
  EXPECT_EQ(document["normalised"], true);
  EXPECT_EQ(document["width"], 32);
  EXPECT_EQ(document["embeddings"].size(), 2U);
  EXPECT_EQ(document["embeddings"][0]["tokens"], 2);
  EXPECT_EQ(document["embeddings"][0]["vector"].size(), 32U);
  EXPECT_NEAR(document["embeddings"][0]["norm"].get<double>(), 1, 1e-6);
  for (const char* wrong : {"[]", "{}", R"({"requests": []})", R"({"requests": [""]})", R"({"requests": [[]]})", R"({"requests": [[-1]]})",
                            R"({"requests": [[1.5]]})", R"({"requests": [4294967296]})", R"({"requests": ["a"], "more": 1})"})
    EXPECT_FALSE(read_embedding_requests(wrong)) << wrong;
}

} // namespace
} // namespace plimsoll::testing
