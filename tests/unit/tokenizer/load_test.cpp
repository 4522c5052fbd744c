// Which files are read, what they say of beginnings and ends, and the tokenizer of bytes.
#include <filesystem>
#include <gmock/gmock.h>

#include "plimsoll/tokenizer.hpp"
#include "support/sparse_checkpoint.hpp"
#include "tokenizer/vocabulary.hpp"

namespace plimsoll {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::string_view kTokenizer = R"({
  "added_tokens": [{"id": 3, "content": "<s>", "special": true}, {"id": 4, "content": "</s>", "special": true}, {"id": 5, "content": "<end>", "special": true}],
  "decoder": {"type": "Fuse"}, "model": {"vocab": {"a": 1, "b": 2}, "merges": []}})";

class Folder {
public:
  Folder& file(std::string_view name, std::string_view text) {
    test::write_text(folder_ / name, text);
    return *this;
  }
  Result<std::unique_ptr<Tokenizer>> load(std::uint64_t vocab_size = 10) const { return load_tokenizer(folder_.path(), vocab_size); }
  std::string operator/(std::string_view name) const { return folder_ / name; }

private:
  test::TemporaryDirectory folder_;
};

TEST(LoadTokenizer, FilesBesideItNameBeginningAndEnds) {
  Folder folder;
  folder.file("tokenizer.json", kTokenizer);
  EXPECT_EQ(folder.load().value()->bos(), std::nullopt);
  EXPECT_TRUE(folder.load().value()->stop_tokens().empty());
  folder.file("config.json", R"({"bos_token_id": 0, "eos_token_id": [9, 4], "text_config": {"eos_token_id": 8}})");
  EXPECT_EQ(folder.load().value()->bos(), 0);
  EXPECT_THAT(folder.load().value()->stop_tokens(), ElementsAre(4, 8, 9));
  folder.file("generation_config.json", R"({"bos_token_id": null, "eos_token_id": 5})");
  EXPECT_THAT(folder.load().value()->stop_tokens(), ElementsAre(4, 5, 8, 9));
  folder.file("tokenizer_config.json", R"({"bos_token": {"content": "<s>"}, "eos_token": "</s>"})");
  EXPECT_EQ(folder.load().value()->bos(), 3);
  EXPECT_THAT(folder.load().value()->stop_tokens(), ElementsAre(4, 5, 8, 9));
  EXPECT_THAT(folder.load().value()->encode("ab").value(), ElementsAre(1, 2));
}

TEST(LoadTokenizer, TheConfigAddsAndTakesAwayTokensAtTheEnds) {
  Folder folder;
  std::string with_template(kTokenizer);
  with_template.insert(
      1, R"("post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}],
                              "special_tokens": {"<s>": {"ids": [3]}}},)");
  for (const std::string& tokenizer : {std::string(kTokenizer), with_template}) {
    const bool in_template = tokenizer != kTokenizer;
    folder.file("tokenizer.json", tokenizer);
    const auto ids = [&](std::string_view words) {
      folder.file("tokenizer_config.json", R"({"bos_token": "<s>", "eos_token": "<end>")" + std::string(words) + "}");
      return folder.load().value()->encode("a").value();
    };
    EXPECT_EQ(ids(""), in_template ? std::vector<Token>({3, 1}) : std::vector<Token>({1}));
    EXPECT_THAT(ids(R"(, "add_bos_token": true)"), ElementsAre(3, 1));
    EXPECT_THAT(ids(R"(, "add_bos_token": false)"), ElementsAre(1));
    EXPECT_THAT(ids(R"(, "add_bos_token": true, "add_eos_token": true)"), ElementsAre(3, 1, 5));
    EXPECT_THAT(ids(R"(, "add_bos_token": false, "add_eos_token": false)"), ElementsAre(1));
  }
}

TEST(LoadTokenizer, ErrorsNameFileAndPlace) {
  struct Case {
    std::string_view file, text, at, message;
  };
  for (const Case& c :
       {Case{"tokenizer_config.json", R"({"eos_token": "<none>"})", "tokenizer_config.json: /eos_token", "'<none>' is no token"},
        Case{"tokenizer_config.json", R"({"bos_token": {}})", "tokenizer_config.json: /bos_token", "'content' is missing"},
        Case{"tokenizer_config.json", R"({"bos_token": {"content": 1}})", "tokenizer_config.json: /bos_token/content", "expected a text"},
        Case{"tokenizer_config.json", R"({"add_bos_token": 1})", "tokenizer_config.json: /add_bos_token", "expected true or false"},
        Case{"tokenizer_config.json", "{", "tokenizer_config.json", "not valid JSON"},
        Case{"generation_config.json", R"({"eos_token_id": [1, 10]})", "generation_config.json: /eos_token_id/1", "none of the model's"},
        Case{"config.json", R"({"eos_token_id": -1})", "config.json: /eos_token_id", "expected a number"},
        Case{"config.json", R"({"bos_token_id": "x"})", "config.json: /bos_token_id", "expected a number"},
        Case{"tokenizer.json", "[", "tokenizer.json", "not valid JSON"}}) {
    Folder folder;
    folder.file("tokenizer.json", kTokenizer).file(c.file, c.text);
    const auto tokenizer = folder.load();
    ASSERT_FALSE(tokenizer) << c.text;
    EXPECT_EQ(tokenizer.error().code, ErrorCode::kBadConfig);
    EXPECT_TRUE(tokenizer.error().where.ends_with(c.at)) << tokenizer.error().where;
    EXPECT_THAT(tokenizer.error().message, HasSubstr(c.message));
  }
}

TEST(LoadTokenizer, BytesWhereNoFileSaysOtherwise) {
  Folder folder;
  folder.file("config.json", R"({"vocab_size": 320})");
  const auto tokenizer = folder.load(320);
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  EXPECT_EQ((*tokenizer)->name(), "bytes");
  EXPECT_EQ((*tokenizer)->vocab_size(), 320U);
  EXPECT_EQ((*tokenizer)->bos(), 1);
  EXPECT_THAT((*tokenizer)->stop_tokens(), ElementsAre(2));
  EXPECT_THAT((*tokenizer)->encode("A\xff").value(), ElementsAre(1, 68, 258));
  EXPECT_THAT((*tokenizer)->encode("").value(), ElementsAre(1));
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  EXPECT_EQ((*tokenizer)->decode((*tokenizer)->encode(all).value()).value(), all);
  EXPECT_EQ((*tokenizer)->decode(std::vector<Token>{0, 1, 2, 259, 319, 68}).value(), "A");
  EXPECT_FALSE((*tokenizer)->decode(std::vector<Token>{320}));
  folder.file("config.json", R"({"vocab_size": 320, "eos_token_id": 7})");
  EXPECT_THAT(folder.load(320).value()->stop_tokens(), ElementsAre(7));
}

TEST(LoadTokenizer, SaysWhatItLookedFor) {
  const Folder folder;
  for (const std::uint64_t vocab_size : {258U, 513U, 32000U}) {
    const auto tokenizer = folder.load(vocab_size);
    ASSERT_FALSE(tokenizer);
    EXPECT_EQ(tokenizer.error().code, ErrorCode::kBadConfig);
    EXPECT_THAT(tokenizer.error().message, HasSubstr("neither tokenizer.json nor tokenizer.model"));
  }
  EXPECT_EQ(load_tokenizer(folder / "none", 320).error().code, ErrorCode::kBadRequest);
  EXPECT_EQ(folder.load(0).error().code, ErrorCode::kBadRequest);
  EXPECT_EQ(folder.load(std::uint64_t{kMaxTokens} + 1).error().code, ErrorCode::kBadRequest);
}

TEST(LoadTokenizer, RefusesWhatIsNoFile) {
  const Folder folder;
  std::filesystem::create_directory(folder / "tokenizer.json");
  EXPECT_FALSE(folder.load(320));
  const Folder text;
  test::write_text(text / "m.gguf", "no GGUF file");
  const auto tokenizer = load_tokenizer(text / "m.gguf", 320);
  ASSERT_FALSE(tokenizer);
  EXPECT_EQ(tokenizer.error().code, ErrorCode::kBadCheckpoint);
}

TEST(TextStream, HoldsBackCharactersUntilTheyAreWhole) {
  Folder folder;
  const auto tokenizer = folder.load(320);
  ASSERT_TRUE(tokenizer);
  TextStream stream(**tokenizer);
  const auto push = [&](unsigned char byte) { return stream.push(byte + 3).value(); };
  EXPECT_EQ(push('a'), "a");
  EXPECT_EQ(push(0xf0), "");
  EXPECT_EQ(push(0x9f), "");
  EXPECT_EQ(stream.push(1).value(), ""); // a control token between the bytes
  EXPECT_EQ(push(0x98), "");
  EXPECT_EQ(push(0x80), "\xf0\x9f\x98\x80");
  EXPECT_EQ(push(0xc3), "");
  EXPECT_EQ(push('b'), "\xc3"
                       "b"); // it never became a character
  EXPECT_EQ(push(0x80), "\x80");
  EXPECT_EQ(push(0xe2), "");
  EXPECT_EQ(push(0x82), "");
  EXPECT_EQ(stream.finish(), "\xe2\x82");
  EXPECT_EQ(stream.finish(), "");
  EXPECT_EQ(push(0xff), "\xff");
}

} // namespace
} // namespace plimsoll
