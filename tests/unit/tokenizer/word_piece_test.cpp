// WordPiece vocabularies as tokenizer.json has them: BERT's steps, its pieces, and what is refused. Expected ids are those that the
// published rules give by hand.
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "tokenizer/tokenizer_json.hpp"

namespace plimsoll {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

json bert_file() {
  return json::parse(R"({
    "added_tokens": [{"id": 0, "content": "[PAD]", "special": true}, {"id": 1, "content": "[UNK]", "special": true},
                     {"id": 2, "content": "[CLS]", "special": true}, {"id": 3, "content": "[SEP]", "special": true}],
    "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true},
    "pre_tokenizer": {"type": "BertPreTokenizer"},
    "post_processor": {"type": "TemplateProcessing",
      "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                 {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
      "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [2], "tokens": ["[CLS]"]}, "[SEP]": {"id": "[SEP]", "ids": [3], "tokens": ["[SEP]"]}}},
    "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
    "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 9,
      "vocab": {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "un": 4, "##aff": 5, "##able": 6, "una": 7, "the": 8, ",": 9, "!": 10,
                "cafe": 11, "\u4e2d": 12, "\u6587": 13, "Cafe": 14, "##s": 15, "\u00e9": 16, "i": 17, "x": 18, "##x": 19, "caf\u00e9": 20}}})");
}
json bert_with(std::string_view pointer, std::string_view value) {
  json file = bert_file();
  file[json::json_pointer(std::string(pointer))] = json::parse(value);
  return file;
}

std::vector<Token> pieces_of(const json& file, std::string_view text) {
  auto parts = parse_tokenizer_json(file.dump(), "t.json", 30);
  if (!parts) {
    ADD_FAILURE() << parts.error().where << ": " << parts.error().message;
    return {};
  }
  std::vector<Token> all = VocabularyTokenizer("t", 30, std::move(*parts), {}).encode(text).value();
  EXPECT_EQ(all.front(), 2);
  EXPECT_EQ(all.back(), 3);
  return {all.begin() + 1, all.end() - 1};
}

TEST(WordPieceTest, TakesTheLongestPieces) {
  EXPECT_THAT(pieces_of(bert_file(), "unaffable"), ElementsAre(1)) << "una is longer than un, and nothing goes on with ffable";
  json file = bert_file();
  file["model"]["vocab"].erase("una");
  EXPECT_THAT(pieces_of(file, "unaffable"), ElementsAre(4, 5, 6));
  EXPECT_THAT(pieces_of(file, "unaffables the"), ElementsAre(1, 8)) << "a character too many";
  EXPECT_THAT(pieces_of(bert_file(), "the , cafes!"), ElementsAre(8, 9, 11, 15, 10));
  EXPECT_THAT(pieces_of(bert_file(), "xxxxxxxxx xxxxxxxxxx"), ElementsAre(18, 19, 19, 19, 19, 19, 19, 19, 19, 1));
  EXPECT_THAT(pieces_of(bert_file(), "aff"), ElementsAre(1)) << "what goes on with a word begins none";
}

TEST(WordPieceTest, ChangesTextAsBertDoes) {
  EXPECT_THAT(pieces_of(bert_file(), "THE,the"), ElementsAre(8, 9, 8));
  EXPECT_THAT(pieces_of(bert_file(), "Caf\u00e9"), ElementsAre(11)) << "accents go where letters are lowered";
  EXPECT_THAT(pieces_of(bert_file(), "\u4e2d\u6587the"), ElementsAre(12, 13, 8)) << "ideographs stand alone";
  EXPECT_THAT(pieces_of(bert_file(), std::string("t\0he\x01 \t\nthe\u200b", 14)), ElementsAre(8, 8)) << "control characters are nothing";
  EXPECT_THAT(pieces_of(bert_file(), "\u0130"), ElementsAre(17));
  EXPECT_THAT(pieces_of(bert_with("/normalizer/strip_accents", "false"), "CAF\u00c9"), ElementsAre(20));
  EXPECT_THAT(pieces_of(bert_with("/normalizer/lowercase", "false"), "Cafe caf\u00e9"), ElementsAre(14, 20));
  EXPECT_THAT(pieces_of(bert_with("/normalizer/handle_chinese_chars", "false"), "\u4e2d\u6587"), ElementsAre(1));
  EXPECT_THAT(pieces_of(bert_file(), "the\xff"), ElementsAre(1)) << "what is no character is unknown";
  EXPECT_THAT(pieces_of(bert_file(), ""), ElementsAre());
}

TEST(WordPieceTest, PutsEndsAroundATextInEveryWayOfFiles) {
  for (const char* type : {"BertProcessing", "RobertaProcessing"})
    EXPECT_THAT(
        pieces_of(bert_with("/post_processor", std::string(R"({"type": ")") + type + R"(", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]})"),
                  "the"),
        ElementsAre(8));
}

TEST(WordPieceTest, DecodesWords) {
  const VocabularyTokenizer tokenizer("t", 30, parse_tokenizer_json(bert_file().dump(), "t.json", 30).value(), {});
  EXPECT_EQ(tokenizer.decode(std::vector<Token>{2, 4, 5, 6, 8, 9, 11, 15, 3}).value(), "unaffable the , cafes");
}

TEST(WordPieceTest, RefusesWhatItDoesNotKnow) {
  struct Case {
    const char* pointer;
    const char* value;
    const char* says;
  };
  const Case cases[] = {
      {"/model/type", R"("Unigram")", "the model 'Unigram' is not supported, expected BPE or WordPiece"},
      {"/model/unk_token", "null", "has no unk_token"},
      {"/model/unk_token", R"("[NONE]")", "is no piece of the vocabulary"},
      {"/model/max_input_chars_per_word", "100000", "expected at most 1024"},
      {"/pre_tokenizer", R"({"type": "BertTokenizer"})", "the pre-tokenizer 'BertTokenizer' is not supported"},
      {"/post_processor", R"({"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]"]})", "expected a token and its id"},
      {"/post_processor", R"({"type": "BertProcessing", "sep": ["[SEP]", 30], "cls": ["[CLS]", 2]})", "the token 30 is none"}};
  for (const Case& c : cases) {
    const auto refused = parse_tokenizer_json(bert_with(c.pointer, c.value).dump(), "t.json", 30);
    ASSERT_FALSE(refused) << c.pointer;
    EXPECT_THAT(refused.error().message, HasSubstr(c.says));
  }
}

} // namespace
} // namespace plimsoll
