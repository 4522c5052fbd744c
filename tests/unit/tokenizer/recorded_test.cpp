// Real vocabularies, read from tokenizer.json as they were published, give the ids that they are known to give.
#include <algorithm>
#include <gmock/gmock.h>
#include <limits>
#include <random>

#include "plimsoll/tokenizer.hpp"
#include "unit/tokenizer/recorded_cases.hpp"

namespace plimsoll {
namespace {

using test::RecordedCase;
using test::RecordedVocabulary;
using testing::ElementsAre;

class Recorded : public testing::TestWithParam<RecordedVocabulary> {
protected:
  void SetUp() override {
    auto loaded = load_tokenizer(test::recorded_folder(GetParam().name), GetParam().vocab_size);
    ASSERT_TRUE(loaded) << loaded.error().where << ": " << loaded.error().message;
    tokenizer_ = std::move(*loaded);
    cases_ = test::recorded_cases(GetParam().name);
    ASSERT_GE(cases_.size(), 26U);
  }

  std::unique_ptr<Tokenizer> tokenizer_;
  std::vector<RecordedCase> cases_;
};

TEST_P(Recorded, EncodesToTheRecordedIds) {
  for (const RecordedCase& recorded : cases_) {
    std::vector<Token> expected = GetParam().in_front;
    expected.insert(expected.end(), recorded.ids.begin(), recorded.ids.end());
    const auto ids = tokenizer_->encode(recorded.text);
    ASSERT_TRUE(ids) << recorded.text << ": " << ids.error().message;
    EXPECT_EQ(*ids, expected) << recorded.text;
  }
}

TEST_P(Recorded, DecodesToTheRecordedText) {
  for (const RecordedCase& recorded : cases_) {
    const auto text = tokenizer_->decode(recorded.ids);
    ASSERT_TRUE(text) << text.error().message;
    EXPECT_EQ(*text, recorded.decoded);
  }
}

TEST_P(Recorded, AStreamYieldsWholeCharactersAndTheSameText) {
  for (const RecordedCase& recorded : cases_) {
    TextStream stream(*tokenizer_);
    std::string text;
    for (const Token id : recorded.ids) {
      const auto more = stream.push(id);
      ASSERT_TRUE(more) << more.error().message;
      EXPECT_TRUE(more->empty() || (static_cast<unsigned char>(more->front()) & 0xc0U) != 0x80U) << "begins inside a character";
      text += *more;
    }
    EXPECT_EQ(text + stream.finish(), recorded.decoded);
  }
}

TEST_P(Recorded, AnErrorLeavesAStreamAsItWas) {
  for (const RecordedCase& recorded : cases_) {
    TextStream stream(*tokenizer_);
    std::string text;
    for (const Token id : recorded.ids) {
      EXPECT_FALSE(stream.push(-1));
      text += stream.push(id).value();
    }
    EXPECT_EQ(text + stream.finish(), recorded.decoded);
  }
}

// Also bytes that are no UTF-8; only what NFC changes would not.
TEST_P(Recorded, AnyBytesComeBack) {
  std::mt19937 random(7);
  const std::vector<std::string> parts{"a",        " ",    "\n",           "\xff", "\xc3", "\xa9",     "\xc3\xa9",
                                       "\xf0\x9f", "\x80", "\xed\xa0\x80", "the",  "1",    "\xe4\xb8", std::string(1, '\0')};
  for (int round = 0; round < 300; ++round) {
    std::string text;
    for (std::size_t i = random() % 12; i > 0; --i) text += parts[random() % parts.size()];
    const auto ids = tokenizer_->encode(text);
    ASSERT_TRUE(ids) << ids.error().message;
    EXPECT_EQ(tokenizer_->decode(*ids).value(), text);
    EXPECT_EQ(test::streamed(*tokenizer_, *ids), text);
  }
}

TEST_P(Recorded, RefusesIdsThatTheModelDoesNotHave) {
  const auto end = static_cast<Token>(GetParam().vocab_size);
  for (const Token id : {-1, end, std::numeric_limits<Token>::max(), std::numeric_limits<Token>::min()}) {
    const auto text = tokenizer_->decode(std::vector<Token>{id});
    ASSERT_FALSE(text);
    EXPECT_EQ(text.error().code, ErrorCode::kBadRequest);
  }
  EXPECT_TRUE(tokenizer_->decode(std::vector<Token>{end - 1}));
}

INSTANTIATE_TEST_SUITE_P(Vocabularies, Recorded, testing::ValuesIn(test::recorded_vocabularies()),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(RecordedVocabularies, NameTheirBeginningsAndEnds) {
  struct Expected {
    std::string_view name;
    std::optional<Token> bos;
    Token stop;
  };
  for (const Expected& expected : {Expected{"qwen3", std::nullopt, 151645}, Expected{"llama3", 128000, 128001},
                                   Expected{"gptoss", 199998, 200002}, Expected{"deepseek_v3", 0, 1}, Expected{"mistral", 1, 2}}) {
    const auto& all = test::recorded_vocabularies();
    const auto found = std::find_if(all.begin(), all.end(), [&](const RecordedVocabulary& v) { return v.name == expected.name; });
    const auto tokenizer = load_tokenizer(test::recorded_folder(expected.name), found->vocab_size);
    ASSERT_TRUE(tokenizer) << tokenizer.error().message;
    EXPECT_EQ((*tokenizer)->bos(), expected.bos) << expected.name;
    EXPECT_THAT((*tokenizer)->stop_tokens(), ElementsAre(expected.stop)) << expected.name;
    EXPECT_EQ((*tokenizer)->name(), "tokenizer.json");
    EXPECT_EQ((*tokenizer)->vocab_size(), found->vocab_size);
  }
}

TEST(RecordedVocabularies, OfAnotherModelAreRefused) {
  const auto tokenizer = load_tokenizer(test::recorded_folder("qwen3"), 128256);
  ASSERT_FALSE(tokenizer);
  EXPECT_EQ(tokenizer.error().code, ErrorCode::kBadConfig);
  EXPECT_THAT(tokenizer.error().where, testing::HasSubstr("tokenizer.json: /model/vocab/"));
  EXPECT_THAT(tokenizer.error().message, testing::HasSubstr("belongs to another model"));
}

} // namespace
} // namespace plimsoll
