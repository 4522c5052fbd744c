// Small tokenizer.json files: what each kind of step does, and what is refused and how.
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "tokenizer/tokenizer_json.hpp"

namespace plimsoll {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Letters a to e and U+2581; the rest is unknown.
json spaced() {
  return json::parse(R"({
    "added_tokens": [],
    "decoder": {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "},
    "model": {"type": "BPE", "unk_token": "<unk>",
              "vocab": {"<unk>": 0, "a": 1, "b": 2, "c": 3, "d": 4, "e": 5, "\u2581": 6, "ab": 7, "\u2581ab": 8, "abc": 9, "\u00e9": 10},
              "merges": ["a b", "\u2581 ab", "ab c"]}})");
}

// The letters of all printable bytes and of the space, two merges.
json byte_level() {
  json tokenizer = json::parse(R"({
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false},
    "decoder": {"type": "ByteLevel"},
    "model": {"vocab": {"ab": 200, "\u0120ab": 201, "\u0120": 202}, "merges": [["a", "b"], ["\u0120", "ab"]]}})");
  for (int byte = 0x21; byte <= 0x7e; ++byte) tokenizer["model"]["vocab"][std::string(1, static_cast<char>(byte))] = byte - 0x21;
  return tokenizer;
}

// Puts JSON at a pointer.
json with(json tokenizer, std::string_view pointer, std::string_view value) {
  tokenizer[json::json_pointer(std::string(pointer))] = json::parse(value);
  return tokenizer;
}

Result<std::vector<Token>> encode(const json& tokenizer, std::string_view text) {
  PLIMSOLL_ASSIGN(VocabularyParts parts, parse_tokenizer_json(tokenizer.dump(), "t.json", 300));
  return VocabularyTokenizer("t", 300, std::move(parts), {}).encode(text);
}
std::vector<Token> ids(const json& tokenizer, std::string_view text) {
  const auto encoded = encode(tokenizer, text);
  if (encoded) return *encoded;
  ADD_FAILURE() << encoded.error().where << ": " << encoded.error().message;
  return {};
}
std::string decoded(const json& tokenizer, const std::vector<Token>& tokens) {
  auto parts = parse_tokenizer_json(tokenizer.dump(), "t.json", 300);
  if (parts) return VocabularyTokenizer("t", 300, std::move(*parts), {}).decode(tokens).value();
  ADD_FAILURE() << parts.error().where << ": " << parts.error().message;
  return {};
}

TEST(TokenizerJson, MergesInTheOrderOfTheList) {
  EXPECT_THAT(ids(spaced(), "abc"), ElementsAre(9));
  EXPECT_THAT(ids(spaced(), "\u2581abc"), ElementsAre(8, 3)); // "\u2581 ab" before "ab c"
  json other = with(spaced(), "/model/merges", R"([["b", "c"], ["a", "b"]])");
  EXPECT_FALSE(encode(other, "abc")); // "bc" is no piece
  other["model"]["vocab"]["bc"] = 11;
  EXPECT_THAT(ids(other, "abc"), ElementsAre(1, 11));
}

TEST(TokenizerJson, UnknownCharactersAreTheUnknownTokenBytesOrAnError) {
  EXPECT_THAT(ids(spaced(), "axyb"), ElementsAre(1, 0, 0, 2));
  json fused = spaced();
  fused["model"]["fuse_unk"] = true;
  EXPECT_THAT(ids(fused, "axyb"), ElementsAre(1, 0, 2));
  json bytes = spaced();
  bytes["model"]["byte_fallback"] = true;
  bytes["model"]["vocab"]["<0x78>"] = 20;
  EXPECT_THAT(ids(bytes, "axyb"), ElementsAre(1, 20, 0, 2));         // no byte token for y
  EXPECT_THAT(ids(bytes, "<0x78>"), ElementsAre(0, 0, 20, 0, 0, 0)); // the name of a byte token is text
  EXPECT_EQ(decoded(bytes, {1, 20}), "ax");
  json strict = spaced();
  strict["model"].erase("unk_token");
  const auto error = encode(strict, "ax");
  ASSERT_FALSE(error);
  EXPECT_EQ(error.error().code, ErrorCode::kBadRequest);
  EXPECT_THAT(error.error().message, HasSubstr("no token for 'x'"));
}

struct Step {
  std::string_view step, text;
  std::vector<Token> expected;
};

TEST(TokenizerJson, NormalizersChangeTheText) {
  const std::vector<Step> steps{
      {R"({"type": "NFC"})", "e\u0301", {10}},
      {R"({"type": "NFD"})", "\u00e9", {5, 0}},
      {R"({"type": "NFKC"})", "\u212f\u24d0", {5, 1}},
      {R"({"type": "NFKD"})", "\u24d0\u00e9", {1, 5, 0}},
      {R"({"type": "Prepend", "prepend": "\u2581"})", "ab", {8}},
      {R"({"type": "Prepend", "prepend": "\u2581"})", "", {}},
      {R"({"type": "Replace", "pattern": {"String": "x"}, "content": "ab"})", "xxc", {7, 9}},
      {R"({"type": "Replace", "pattern": {"Regex": "x+"}, "content": "a"})", "xxbx", {7, 1}},
      {R"({"type": "Strip"})", " \u3000a\u2028 ", {1}},
      {R"({"type": "Strip", "strip_left": false})", "\u00a0a\n", {0, 1}},
      {R"({"type": "Sequence", "normalizers": [{"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"},
                                               {"type": "Sequence", "normalizers": [{"type": "NFC"}]}]})",
       " ab e\u0301",
       {8, 6, 10}},
  };
  for (const Step& step : steps)
    EXPECT_EQ(ids(with(spaced(), "/normalizer", step.step), step.text), step.expected) << step.step << step.text;
}

TEST(TokenizerJson, PreTokenizersCutWords) {
  const std::vector<Step> steps{
      {R"({"type": "Split", "pattern": {"Regex": "d|e"}, "behavior": "Isolated", "invert": false})", "abd", {7, 4}},
      {R"({"type": "Split", "pattern": {"Regex": "d|e"}, "behavior": "Removed", "invert": false})", "adb", {1, 2}},
      {R"({"type": "Split", "pattern": {"Regex": "d|e"}, "behavior": "Removed", "invert": true})", "adbe", {4, 5}},
      {R"({"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first"})", "ab ab", {8, 8}},
      {R"({"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first"})", " ab", {8}},
      {R"({"type": "Metaspace", "replacement": "\u2581", "add_prefix_space": false})", "ab ab", {7, 8}},
      {R"({"type": "Metaspace", "replacement": "\u2581", "split": false})", "ab", {8}},
  };
  for (const Step& step : steps)
    EXPECT_EQ(ids(with(spaced(), "/pre_tokenizer", step.step), step.text), step.expected) << step.step << step.text;
}

TEST(TokenizerJson, MetaspaceGoesBackToSpaces) {
  json tokenizer = with(spaced(), "/pre_tokenizer", R"({"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always"})");
  tokenizer["decoder"] = tokenizer["pre_tokenizer"];
  for (const std::string text : {"ab ab", "a", "a  b"}) EXPECT_EQ(decoded(tokenizer, ids(tokenizer, text)), text);
  EXPECT_EQ(decoded(tokenizer, ids(tokenizer, " ab")), "ab"); // no second space is put in front of one
  tokenizer["decoder"]["prepend_scheme"] = "never";
  EXPECT_EQ(decoded(tokenizer, {8, 8}), " ab ab");
}

TEST(TokenizerJson, BytesAsLetters) {
  EXPECT_THAT(ids(byte_level(), "ab ab"), ElementsAre(200, 201));
  EXPECT_EQ(decoded(byte_level(), {200, 201}), "ab ab");
  const json prefixed = with(byte_level(), "/pre_tokenizer/add_prefix_space", "true");
  EXPECT_THAT(ids(prefixed, "ab ab"), ElementsAre(201, 201));
  EXPECT_THAT(ids(prefixed, " ab"), ElementsAre(201));
  json whole = with(byte_level(), "/model/vocab/\u0120abc", "203");
  EXPECT_EQ(ids(whole, " abc").size(), 2U);
  whole["model"]["ignore_merges"] = true;
  EXPECT_THAT(ids(whole, " abc"), ElementsAre(203)); // no merge makes it
  json digits = with(with(byte_level(), "/model/vocab/12", "203"), "/model/merges/2", R"(["1", "2"])");
  EXPECT_THAT(ids(digits, "12"), ElementsAre(203));
  digits = with(digits, "/pre_tokenizer", R"({"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": true},
                                                                                  {"type": "ByteLevel", "add_prefix_space": false}]})");
  EXPECT_THAT(ids(digits, "12"), ElementsAre(16, 17));
  EXPECT_FALSE(encode(byte_level(), "\u00e9")); // the vocabulary lacks these bytes
}

TEST(TokenizerJson, AddedTokensComeFirst) {
  const json tokenizer = with(spaced(), "/added_tokens", R"([{"id": 50, "content": "<x>", "special": true, "normalized": false},
    {"id": 51, "content": "<x><y>", "special": true, "normalized": false}, {"id": 7, "content": "ab", "special": true, "normalized": false},
    {"id": 299, "content": "\n", "special": true, "normalized": false}, {"id": 300, "content": "ee", "special": true, "normalized": false}])");
  EXPECT_THAT(ids(tokenizer, "<x><y><x>c"), ElementsAre(51, 50, 3));
  EXPECT_THAT(ids(tokenizer, "abc\n"), ElementsAre(7, 3, 299)); // "ab" is a control token now
  EXPECT_EQ(decoded(tokenizer, {51, 1, 7, 2, 299}), "ab");
  EXPECT_THAT(ids(tokenizer, "ee"), ElementsAre(5, 5)); // the model has no row for 300
  const json visible = with(spaced(), "/added_tokens", R"([{"id": 50, "content": "<x>", "special": false}])");
  EXPECT_EQ(decoded(visible, {1, 50, 2}), "a<x>b");
}

TEST(TokenizerJson, AddedTokensTakeSpaceAlongAndKeepOutOfWords) {
  const json tokenizer = with(spaced(), "/added_tokens", R"([{"id": 50, "content": "<l>", "normalized": false, "lstrip": true},
    {"id": 51, "content": "<r>", "normalized": false, "rstrip": true}, {"id": 52, "content": "de", "normalized": false, "single_word": true}])");
  EXPECT_THAT(ids(tokenizer, "a \n<l> b"), ElementsAre(1, 50, 0, 2));
  EXPECT_THAT(ids(tokenizer, "a <r>\u2003 b"), ElementsAre(1, 0, 51, 2));
  EXPECT_THAT(ids(tokenizer, "<r>  <l>"), ElementsAre(51, 50));
  EXPECT_THAT(ids(tokenizer, "ade de"), ElementsAre(1, 4, 5, 0, 52));
  EXPECT_THAT(ids(tokenizer, "de\u00e9"), ElementsAre(4, 5, 10));
}

TEST(TokenizerJson, NormalizedAddedTokensAreFoundInTheNormalizedText) {
  json tokenizer = with(spaced(), "/added_tokens", R"([{"id": 50, "content": "xe\u0301", "normalized": false}])");
  tokenizer["normalizer"]["type"] = "NFC";
  EXPECT_THAT(ids(tokenizer, "xe\u0301"), ElementsAre(50));
  EXPECT_THAT(ids(tokenizer, "x\u00e9"), ElementsAre(0, 10));
  tokenizer["added_tokens"][0]["normalized"] = true;
  EXPECT_THAT(ids(tokenizer, "xe\u0301"), ElementsAre(50));
  EXPECT_THAT(ids(tokenizer, "ax\u00e9"), ElementsAre(1, 50));
}

TEST(TokenizerJson, TemplatesPutTokensAround) {
  const json tokenizer = with(spaced(), "/post_processor", R"({"type": "Sequence", "processors": [
    {"type": "ByteLevel"},
    {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x"}}, {"Sequence": {"id": "A"}}, {"SpecialToken": {"id": "y"}}],
     "special_tokens": {"x": {"ids": [4, 5]}, "y": {"ids": [6]}}}]})");
  EXPECT_THAT(ids(tokenizer, "ab"), ElementsAre(4, 5, 7, 6));
  EXPECT_THAT(ids(tokenizer, ""), ElementsAre(4, 5, 6));
  EXPECT_THAT(ids(spaced(), ""), IsEmpty());
}

struct Wrong {
  std::string_view pointer, value; // what is put where
  std::string_view at, message;    // of the error
};
constexpr Wrong kWrong[] = {
    {"/model", R"j(5)j", "/model/vocab", "expected an object"},
    {"/model/type", R"j("Unigram")j", "/model/type", "'Unigram' is not supported"},
    {"/model/dropout", R"j(0.5)j", "/model/dropout", "not supported"},
    {"/model/end_of_word_suffix", R"j("</w>")j", "/model/end_of_word_suffix", "not supported"},
    {"/model/continuing_subword_prefix", R"j(1)j", "/model/continuing_subword_prefix", "expected a text"},
    {"/model/vocab", R"j([])j", "/model/vocab", "expected an object"},
    {"/model/vocab/a~1b~0", R"j(-1)j", "/model/vocab/a~1b~0", "found no id"},
    {"/model/vocab/x", R"j("1")j", "/model/vocab/x", "found no id"},
    {"/model/vocab/x", R"j(1.5)j", "/model/vocab/x", "found no id"},
    {"/model/vocab/x", R"j(300)j", "/model/vocab/x", "belongs to another model"},
    {"/model/vocab/x", R"j(4294967296)j", "/model/vocab/x", "belongs to another model"},
    {"/model/vocab/x", R"j(1)j", "/model/vocab/x", "another piece already, 'a'"},
    {"/model/byte_fallback", R"j(1)j", "/model/byte_fallback", "expected true or false"},
    {"/model/ignore_merges", R"j("yes")j", "/model/ignore_merges", "expected true or false"},
    {"/model/unk_token", R"j("?")j", "/model/unk_token", "'?' is no piece"},
    {"/model/merges", R"j(null)j", "/model/merges", "expected a list"},
    {"/model/merges/1", R"j("ab")j", "/model/merges/1", "expected two pieces"},
    {"/model/merges/1", R"j("a b c")j", "/model/merges/1", "expected two pieces"},
    {"/model/merges/1", R"j(["a"])j", "/model/merges/1", "expected two pieces"},
    {"/model/merges/1", R"j(["a", 1])j", "/model/merges/1", "expected two pieces"},
    {"/model/merges/1", R"j("a q")j", "/model/merges/1", "'q' is no piece"},
    {"/model/merges/1", R"j("a a")j", "/model/merges/1", "'aa' is no piece"},
    {"/added_tokens", R"j(1)j", "/added_tokens", "expected a list"},
    {"/added_tokens", R"j([{}])j", "/added_tokens/0", "'id' is missing"},
    {"/added_tokens", R"j([{"id": -1}])j", "/added_tokens/0/id", "expected a number"},
    {"/added_tokens", R"j([{"id": 1}])j", "/added_tokens/0", "'content' is missing"},
    {"/added_tokens", R"j([{"id": 40, "content": ""}])j", "/added_tokens/0", "0 bytes"},
    {"/added_tokens", R"j([{"id": 40, "content": "x", "lstrip": 0}])j", "/added_tokens/0/lstrip", "expected true or false"},
    {"/added_tokens", R"j([{"id": 1, "content": "q"}])j", "/added_tokens/0", "the id 1 is that of 'a'"},
    {"/normalizer", R"j({"type": "Precompiled"})j", "/normalizer", "'Precompiled' is not supported"},
    {"/normalizer", R"j({})j", "/normalizer", "'type' is missing"},
    {"/normalizer", R"j("NFC")j", "/normalizer", "expected an object"},
    {"/normalizer", R"j({"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Lowercase"}]})j", "/normalizer/normalizers/1",
     "'Lowercase'"},
    {"/normalizer", R"j({"type": "Sequence"})j", "/normalizer", "'normalizers' is missing"},
    {"/normalizer", R"j({"type": "Replace", "content": ""})j", "/normalizer", "'pattern' is missing"},
    {"/normalizer", R"j({"type": "Replace", "pattern": {"Regex": "(a"}, "content": ""})j", "/normalizer/pattern/Regex", "not understood"},
    {"/normalizer", R"j({"type": "Replace", "pattern": {"String": ""}, "content": ""})j", "/normalizer/pattern/String", "empty"},
    {"/normalizer", R"j({"type": "Prepend", "prepend": 1})j", "/normalizer/prepend", "expected a text"},
    {"/pre_tokenizer", R"j({"type": "WhitespaceSplit"})j", "/pre_tokenizer", "'WhitespaceSplit' is not supported"},
    {"/pre_tokenizer", R"j({"type": "Split", "pattern": {"String": "a"}, "behavior": "Odd"})j", "/pre_tokenizer/behavior", "'Odd'"},
    {"/pre_tokenizer", R"j({"type": "Split", "pattern": {"Regex": "[a&&b]"}, "behavior": "Isolated"})j", "/pre_tokenizer/pattern/Regex",
     "sets inside sets"},
    {"/pre_tokenizer", R"j({"type": "Metaspace", "replacement": ""})j", "/pre_tokenizer", "empty"},
    {"/pre_tokenizer", R"j({"type": "Metaspace", "replacement": "_", "prepend_scheme": "last"})j", "/pre_tokenizer/prepend_scheme",
     "'last'"},
    {"/pre_tokenizer", R"j({"type": "Sequence", "pretokenizers": [{"type": "ByteLevel"}, {"type": "Digits"}]})j",
     "/pre_tokenizer/pretokenizers/1", "ByteLevel last"},
    {"/pre_tokenizer", R"j({"type": "Sequence", "pretokenizers": [{"type": "Digits"}, {"type": "ByteLevel"}]})j",
     "/pre_tokenizer/pretokenizers/1", "expected it first"},
    {"/pre_tokenizer", R"j({"type": "ByteLevel"})j", "/decoder", "one of decoder and pre_tokenizer is ByteLevel"},
    {"/decoder", R"j(null)j", "", "'decoder' is missing"},
    {"/decoder", R"j({"type": "CTC"})j", "/decoder", "'CTC' is not supported"},
    {"/decoder/content", R"j("longer than before")j", "/decoder", "replaced by a longer one"},
    {"/decoder", R"j({"type": "Strip", "content": " ", "start": 1, "stop": 0})j", "/decoder", "behind Fuse"},
    {"/post_processor", R"j({"type": "PairProcessing"})j", "/post_processor", "'PairProcessing' is not supported"},
    {"/post_processor", R"j({"type": "TemplateProcessing", "single": []})j", "/post_processor/single", "leaves out the text"},
    {"/post_processor", R"j({"type": "TemplateProcessing", "single": [{"Sequence": {}}, {"Sequence": {}}]})j", "/post_processor/single/1",
     "stands twice"},
    {"/post_processor", R"j({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x"}}]})j", "/post_processor",
     "'special_tokens' is missing"},
    {"/post_processor",
     R"j({"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "x"}}], "special_tokens": {"x": {"ids": [300]}}})j",
     "/post_processor/special_tokens/x/ids/0", "none of the model's"},
};

TEST(TokenizerJson, ErrorsNameThePlace) {
  for (const Wrong& wrong : kWrong) {
    const auto parts = parse_tokenizer_json(with(spaced(), wrong.pointer, wrong.value).dump(), "t.json", 300);
    ASSERT_FALSE(parts) << wrong.pointer << wrong.value;
    EXPECT_EQ(parts.error().code, ErrorCode::kBadConfig);
    EXPECT_EQ(parts.error().where, "t.json: " + std::string(wrong.at)) << parts.error().message;
    EXPECT_THAT(parts.error().message, HasSubstr(wrong.message));
  }
}

TEST(TokenizerJson, TextsOfStepsAndAddedTokensAreBounded) {
  json tokenizer = with(spaced(), "/added_tokens", R"([{"id": 40}])");
  tokenizer["added_tokens"][0]["content"] = std::string(1025, 'x');
  EXPECT_THAT(encode(tokenizer, "a").error().message, HasSubstr("1025 bytes"));
  tokenizer = with(spaced(), "/normalizer", R"({"type": "Prepend"})");
  tokenizer["normalizer"]["prepend"] = std::string(257, 'a');
  EXPECT_THAT(encode(tokenizer, "a").error().message, HasSubstr("257 bytes"));
}

TEST(TokenizerJson, BrokenFilesAreErrors) {
  struct Case {
    std::string_view text, message;
  };
  for (const Case& c :
       {Case{"", "not valid JSON"}, Case{"{", "not valid JSON"}, Case{"[]", "expected that of a tokenizer"},
        Case{"{}", "'model' is missing"}, Case{R"({"model": {}, "model": {}})", "'decoder' is missing"},
        Case{R"({"a": 1, "a": 2})", "stands there twice"},
        Case{R"({"decoder": {"type": "Fuse"}, "model": {"vocab": {"a": 1, "a": 2}, "merges": []}})", "stands there twice"}}) {
    const auto parts = parse_tokenizer_json(std::string(c.text), "t.json", 300);
    ASSERT_FALSE(parts) << c.text;
    EXPECT_THAT(parts.error().message, HasSubstr(c.message));
    EXPECT_TRUE(parts.error().where.starts_with("t.json"));
  }
  EXPECT_FALSE(parse_tokenizer_json(std::string(1000, '['), "t.json", 300));
  std::string dense = "[";
  for (int i = 0; i < 1'000'000; ++i) dense += "0,";
  const auto parts = parse_tokenizer_json(dense + "0]", "t.json", 300);
  ASSERT_FALSE(parts);
  EXPECT_THAT(parts.error().message, HasSubstr("brackets and commas"));
}

// A step that makes texts longer, over and over.
TEST(TokenizerJson, TextsDoNotGrowWithoutBound) {
  json longer = json::parse(R"({"type": "Replace", "pattern": {"String": "a"}})");
  longer["content"] = std::string(256, 'a');
  json tokenizer = with(spaced(), "/normalizer/type", R"("Sequence")");
  tokenizer["normalizer"]["normalizers"] = std::vector<json>(60, longer);
  EXPECT_THAT(encode(tokenizer, std::string(100, 'a')).error().message, HasSubstr("more than 32 times longer"));
}

} // namespace
} // namespace plimsoll
