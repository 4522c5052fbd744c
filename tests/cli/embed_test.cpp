// `plimsoll run --embed` as its users run it: vectors as lines and as a document, texts by WordPiece, refusals.
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "cli/program.hpp"
#include "support/tiny_encoders.hpp"

namespace plimsoll::cli_test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// A BERT with the mean of a text as its vector, and a vocabulary of a few words.
std::string embedder() {
  const std::string file = write_scratch("embedder/tokenizer.json", R"({
    "added_tokens": [], "normalizer": {"type": "BertNormalizer", "lowercase": true}, "pre_tokenizer": {"type": "BertPreTokenizer"},
    "post_processor": {"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]}, "decoder": {"type": "WordPiece", "prefix": "##"},
    "model": {"type": "WordPiece", "unk_token": "[UNK]",
              "vocab": {"[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "in": 4, "the": 5, "be": 6, "##ginning": 7}}})");
  std::string folder = file.substr(0, file.rfind('/'));
  test::write_tiny_folder(test::tiny_encoder("bert"), folder);
  test::write_sentence_modules(folder, "pooling_mode_mean_tokens", {"Normalize"});
  return folder;
}

TEST(CliEmbed, GivesTheVectorOfATextAndOfItsIds) {
  const std::string folder = embedder();
  const std::vector<std::string> asked{"run", folder, "--devices", "64MiB", "--embed", "In the Beginning", "--embed-ids", "2,4,5,6,7,3"};
  const Outcome lines = run(asked);
  ASSERT_EQ(lines.code, 0) << lines.err;
  EXPECT_THAT(lines.out, HasSubstr("6 tokens, length 1.0000: "));
  EXPECT_THAT(lines.err, AllOf(HasSubstr("12 tokens in 1 pass; vectors of 32 numbers, the mean of a text's rows, of length 1"),
                               HasSubstr("weights"), ::testing::Not(HasSubstr("kv_cache"))));
  std::vector<std::string> as_json = asked;
  as_json.insert(as_json.end(), {"--format", "json"});
  const Outcome outcome = run(as_json);
  ASSERT_EQ(outcome.code, 0) << outcome.out;
  const auto document = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(document["schema"], "plimsoll.embed/1");
  ASSERT_EQ(document["embeddings"].size(), 2U);
  const auto &of_text = document["embeddings"][0], &of_ids = document["embeddings"][1]; // the text is these ids
  EXPECT_EQ(of_text["tokens"], of_ids["tokens"]);
  ASSERT_EQ(of_text["vector"].size(), 32U);
  for (std::size_t i = 0; i < 32; ++i) EXPECT_NEAR(of_text["vector"][i].get<double>(), of_ids["vector"][i].get<double>(), 1e-6) << i;
  for (const auto& usage : document["usage"]) EXPECT_EQ(usage["planned_bytes"], usage["peak_bytes"]) << usage["category"];
}

// Each of two replicas has its part of the texts, and the vectors stand in their order.
TEST(CliEmbed, ReplicasGiveTheSame) {
  std::vector<std::string> asked{"run", embedder(), "--format", "json", "--devices"};
  std::vector<std::string> texts;
  for (const char* ids : {"2,4,3", "2,4,5,6,7,3", "2,7,6,3", "2,5,3", "2,6,6,6,6,3"}) texts.insert(texts.end(), {"--embed-ids", ids});
  const auto embedded = [&](const char* devices, std::vector<std::string> more) {
    std::vector<std::string> arguments = asked;
    arguments.emplace_back(devices);
    arguments.insert(arguments.end(), texts.begin(), texts.end());
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.code, 0) << outcome.out << outcome.err;
    return nlohmann::json::parse(outcome.out, nullptr, false);
  };
  const nlohmann::json one = embedded("64MiB", {}), two = embedded("2x64MiB", {"--dp", "2"});
  ASSERT_EQ(two["embeddings"].size(), 5U);
  EXPECT_EQ(two["passes"], 2);
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(two["embeddings"][i]["tokens"], one["embeddings"][i]["tokens"]);
    for (std::size_t n = 0; n < 32; ++n)
      EXPECT_NEAR(two["embeddings"][i]["vector"][n].get<double>(), one["embeddings"][i]["vector"][n].get<double>(), 1e-6) << i;
  }
  EXPECT_EQ(two["usage"].size(), 2 * one["usage"].size());
  for (const auto& usage : two["usage"]) EXPECT_EQ(usage["planned_bytes"], usage["peak_bytes"]) << usage;
}

// Errors too, those of reading the arguments included.
TEST(CliEmbed, FailuresAreDocumentsOfItsOwn) {
  for (const char* option : {"--embed=", "--embed-ids=5,x"}) {
    const Outcome outcome = run({"run", embedder(), "--devices", "64MiB", option, "--format", "json"});
    EXPECT_EQ(outcome.code, 2);
    const auto document = nlohmann::json::parse(outcome.out);
    EXPECT_EQ(document["schema"], "plimsoll.embed/1") << option;
    EXPECT_FALSE(document["error"]["message"].get<std::string>().empty());
  }
  const Outcome unknown = run({"run", embedder(), "--embed", "the", "--no-such-option", "--format", "json"});
  EXPECT_EQ(unknown.code, 2);
  EXPECT_EQ(nlohmann::json::parse(unknown.out)["schema"], "plimsoll.embed/1");
  const Outcome prompt = run({"run", embedder(), "--devices", "64MiB", "--prompt-ids", "5", "--format", "json"});
  EXPECT_EQ(nlohmann::json::parse(prompt.out)["schema"], "plimsoll.run/1");
}

TEST(CliEmbed, RefusesWhatItCannotRead) {
  const std::string folder = embedder(), writer = std::string(PLIMSOLL_TEST_DATA) + "/tiny/kjv";
  struct Case {
    std::vector<std::string> arguments;
    const char* says;
  };
  const Case cases[] = {{{folder, "--embed", ""}, "(--embed)"},
                        {{folder, "--embed-ids", "5,x"}, "(--embed-ids)"},
                        {{folder, "--embed", "the", "--prompt", "the"}, "either texts to embed or prompts to go on from"},
                        {{folder, "--prompt-ids", "5"}, "gives vectors of texts and writes none"},
                        {{folder, "--embed-ids", "64"}, "token 64 is none of the 64"},
                        {{writer, "--embed", "the"}, "gives words and no vectors"}};
  for (const Case& c : cases) {
    std::vector<std::string> arguments{"run", "--devices", "64MiB"};
    arguments.insert(arguments.end(), c.arguments.begin(), c.arguments.end());
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.code, 2) << c.says;
    EXPECT_THAT(outcome.err, HasSubstr(c.says));
  }
}

} // namespace
} // namespace plimsoll::cli_test
