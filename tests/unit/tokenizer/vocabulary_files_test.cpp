// The same vocabularies out of GGUF files and a tokenizer.model: the same ids again.
#include <bit>
#include <fstream>
#include <gmock/gmock.h>
#include <map>

#include "plimsoll/tokenizer.hpp"
#include "support/sparse_checkpoint.hpp"
#include "unit/tokenizer/recorded_cases.hpp"

namespace plimsoll {
namespace {

using test::GgufWriter;
using test::RecordedCase;
using testing::ElementsAre;
using testing::HasSubstr;

nlohmann::ordered_json tokenizer_json(std::string_view name) {
  return nlohmann::ordered_json::parse(test::file_text(test::recorded_folder(name) + "/tokenizer.json"));
}

std::string merge_text(const nlohmann::ordered_json& merge) {
  return merge.is_string() ? merge.get<std::string>() : merge.at(0).get<std::string>() + " " + merge.at(1).get<std::string>();
}

// Kinds of pieces: 1 normal, 3 control, 4 user-defined, 5 unused, 6 a byte, 2 unknown. A hole becomes an unused piece of a name of its own.
struct Pieces {
  std::vector<std::string> texts;
  std::vector<std::uint32_t> kinds;
};
Pieces pieces_of(const nlohmann::ordered_json& tokenizer) {
  Pieces out{test::recorded_pieces(tokenizer), {}};
  std::map<std::size_t, bool> added; // special?
  for (const auto& token : tokenizer.at("added_tokens")) added[token.at("id")] = token.at("special");
  for (std::size_t id = 0; id < out.texts.size(); ++id) {
    std::string& text = out.texts[id];
    if (const auto found = added.find(id); found != added.end()) out.kinds.push_back(text == "<unk>" ? 2 : found->second ? 3 : 4);
    else if (text.empty()) out.kinds.push_back(5);
    else out.kinds.push_back(text.size() == 6 && text.starts_with("<0x") ? 6 : 1);
    if (text.empty()) text = "hole " + std::to_string(id);
  }
  return out;
}

// SentencePiece's trainer gives the pieces it makes the scores 0, -1, -2 ..., in the order of their ids.
std::vector<float> scores_of(std::size_t count) {
  std::vector<float> scores;
  for (std::size_t id = 0; id < count; ++id) scores.push_back(id < 259 ? 0.0F : 259.0F - static_cast<float>(id));
  return scores;
}

std::string f32_list(const std::vector<float>& numbers) {
  std::string out = test::little_endian(9, 4) + test::little_endian(6, 4) + test::little_endian(numbers.size(), 8);
  for (const float number : numbers) out += test::little_endian(std::bit_cast<std::uint32_t>(number), 4);
  return out;
}

GgufWriter byte_level_gguf(std::string_view name, std::string_view pre) {
  const auto json = tokenizer_json(name);
  const Pieces pieces = pieces_of(json);
  std::vector<std::string> merges;
  for (const auto& merge : json.at("model").at("merges")) merges.push_back(merge_text(merge));
  GgufWriter writer;
  writer.text("general.architecture", "llama").text("tokenizer.ggml.model", "gpt2").text("tokenizer.ggml.pre", pre);
  writer.texts("tokenizer.ggml.tokens", pieces.texts)
      .u32s("tokenizer.ggml.token_type", pieces.kinds)
      .texts("tokenizer.ggml.merges", merges);
  return writer;
}

GgufWriter scored_gguf() {
  const Pieces pieces = pieces_of(tokenizer_json("mistral"));
  GgufWriter writer;
  writer.text("general.architecture", "llama").text("tokenizer.ggml.model", "llama").texts("tokenizer.ggml.tokens", pieces.texts);
  writer.raw("tokenizer.ggml.scores", f32_list(scores_of(pieces.texts.size()))).u32s("tokenizer.ggml.token_type", pieces.kinds);
  return writer;
}

Result<std::unique_ptr<Tokenizer>> load_gguf(const GgufWriter& writer, std::uint64_t vocab_size) {
  const test::TemporaryDirectory folder;
  writer.write(folder / "m.gguf");
  return load_tokenizer(folder / "m.gguf", vocab_size);
}

void expect_recorded(const Tokenizer& tokenizer, std::string_view name, const std::vector<Token>& in_front, bool normalizes) {
  std::size_t compared = 0;
  for (const RecordedCase& recorded : test::recorded_cases(name)) {
    if (!normalizes && recorded.text.find("\u0301") != std::string::npos) continue; // NFC of tokenizer.json; a GGUF file has none
    if (!normalizes && recorded.text.find("\u0351") != std::string::npos) continue;
    std::vector<Token> expected = in_front;
    expected.insert(expected.end(), recorded.ids.begin(), recorded.ids.end());
    const auto ids = tokenizer.encode(recorded.text);
    ASSERT_TRUE(ids) << ids.error().message;
    EXPECT_EQ(*ids, expected) << recorded.text;
    EXPECT_EQ(tokenizer.decode(*ids).value(), recorded.decoded);
    ++compared;
  }
  EXPECT_GE(compared, 26U);
}

// What control tokens part is another text to vocabularies of scores, and the scores of runs of spaces are not those of their ids.
void expect_scored(const Tokenizer& tokenizer) {
  std::size_t compared = 0;
  for (const RecordedCase& recorded : test::recorded_cases("mistral")) {
    const auto has = [&](std::string_view part) { return recorded.text.find(part) != std::string::npos; };
    if (has("<unk>") || has("<s>") || has("  ") || recorded.text.starts_with(' ')) continue;
    EXPECT_EQ(tokenizer.encode(recorded.text).value(), recorded.ids) << recorded.text;
    EXPECT_EQ(tokenizer.decode(recorded.ids).value(), recorded.decoded);
    ++compared;
  }
  EXPECT_GE(compared, 20U);
}

TEST(GgufVocabulary, ByteLevelVocabulariesGiveTheRecordedIds) {
  struct Case {
    std::string_view name, pre;
    std::uint64_t vocab_size;
    Token bos;
    std::vector<Token> in_front;
  };
  for (const Case& c : {Case{"qwen3", "qwen2", 151936, 151643, {}}, Case{"llama3", "llama-bpe", 128256, 128000, {128000}},
                        Case{"gptoss", "gpt-4o", 201088, 199998, {}}, Case{"deepseek_v3", "deepseek-v3", 129280, 0, {}}}) {
    GgufWriter writer = byte_level_gguf(c.name, c.pre);
    writer.u32("tokenizer.ggml.bos_token_id", static_cast<std::uint32_t>(c.bos)).u32("tokenizer.ggml.eos_token_id", 5);
    const auto tokenizer = load_gguf(writer, c.vocab_size);
    ASSERT_TRUE(tokenizer) << c.name << ": " << tokenizer.error().where << ": " << tokenizer.error().message;
    EXPECT_EQ((*tokenizer)->name(), "gguf");
    EXPECT_EQ((*tokenizer)->bos(), c.bos);
    EXPECT_THAT((*tokenizer)->stop_tokens(), ElementsAre(5));
    expect_recorded(**tokenizer, c.name, c.in_front, c.name != "qwen3");
  }
}

TEST(GgufVocabulary, ScoresGiveTheRecordedIds) {
  const auto tokenizer = load_gguf(scored_gguf(), 32000);
  ASSERT_TRUE(tokenizer) << tokenizer.error().where << ": " << tokenizer.error().message;
  EXPECT_EQ((*tokenizer)->bos(), 1); // as llama.cpp has it where the file names none
  EXPECT_THAT((*tokenizer)->stop_tokens(), ElementsAre(2));
  expect_scored(**tokenizer);
}

TEST(GgufVocabulary, WordsOfTheFileCount) {
  GgufWriter writer = scored_gguf();
  writer.flag("tokenizer.ggml.add_bos_token", false)
      .flag("tokenizer.ggml.add_eos_token", true)
      .flag("tokenizer.ggml.add_space_prefix", false);
  writer.u32("tokenizer.ggml.eos_token_id", 2).u32("tokenizer.ggml.eot_token_id", 1).u32("tokenizer.ggml.eom_token_id", 2);
  const auto tokenizer = load_gguf(writer, 32000);
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  EXPECT_THAT((*tokenizer)->stop_tokens(), ElementsAre(1, 2));
  const auto ids = (*tokenizer)->encode(" a");
  ASSERT_TRUE(ids);
  EXPECT_EQ(ids->back(), 2);
  EXPECT_EQ(ids->size(), 2U);
  EXPECT_EQ((*tokenizer)->decode(*ids).value(), " a");
}

TEST(GgufVocabulary, ErrorsNameTheKey) {
  struct Case {
    std::string_view key, message;
    GgufWriter writer;
  };
  const std::vector<std::string> tokens{"<unk>", "<s>", "</s>", "a", "b", "ab"};
  const std::vector<float> six(6, 0.0F);
  const auto with = [](std::string_view model) {
    GgufWriter writer;
    writer.text("general.architecture", "llama").text("tokenizer.ggml.model", model);
    return writer;
  };
  const std::vector<Case> cases{
      {"model", "names no tokenizer", GgufWriter().text("general.architecture", "llama")},
      {"model", "'bert' is not supported", with("bert")},
      {"model", "expected a text", GgufWriter().u32("tokenizer.ggml.model", 1)},
      {"tokens", "missing or empty", with("llama")},
      {"tokens", "expected texts", with("llama").u32s("tokenizer.ggml.tokens", {1})},
      {"tokens", "but the model has 1000", with("llama").texts("tokenizer.ggml.tokens", std::vector<std::string>(1001))},
      {"scores", "missing", with("llama").texts("tokenizer.ggml.tokens", tokens)},
      {"scores", "1 elements for 6 tokens",
       with("llama").texts("tokenizer.ggml.tokens", tokens).raw("tokenizer.ggml.scores", f32_list({1}))},
      {"scores", "type 4, expected 6", with("llama").texts("tokenizer.ggml.tokens", tokens).u32s("tokenizer.ggml.scores", {1})},
      {"token_type", "token 2 has the type 7",
       with("llama")
           .texts("tokenizer.ggml.tokens", tokens)
           .raw("tokenizer.ggml.scores", f32_list(six))
           .u32s("tokenizer.ggml.token_type", {1, 1, 7, 1, 1, 1})},
      {"tokens", "marked as a byte",
       with("llama")
           .texts("tokenizer.ggml.tokens", tokens)
           .raw("tokenizer.ggml.scores", f32_list(six))
           .u32s("tokenizer.ggml.token_type", {1, 1, 6, 1, 1, 1})},
      {"tokens", "score that is no number",
       with("llama")
           .texts("tokenizer.ggml.tokens", tokens)
           .raw("tokenizer.ggml.scores", f32_list({0, 0, 0, std::numeric_limits<float>::quiet_NaN(), 0, 0}))},
      {"bos_token_id", "there is no token 6",
       with("llama")
           .texts("tokenizer.ggml.tokens", tokens)
           .raw("tokenizer.ggml.scores", f32_list(six))
           .u32("tokenizer.ggml.bos_token_id", 6)},
      {"eos_token_id", "there is no token -1",
       with("llama")
           .texts("tokenizer.ggml.tokens", tokens)
           .raw("tokenizer.ggml.scores", f32_list(six))
           .i32("tokenizer.ggml.eos_token_id", -1)},
      {"pre", "'unheard-of' is not known", with("gpt2").texts("tokenizer.ggml.tokens", tokens).text("tokenizer.ggml.pre", "unheard-of")},
      {"merges", "expected two pieces", with("gpt2").texts("tokenizer.ggml.tokens", tokens).texts("tokenizer.ggml.merges", {"ab"})},
      {"merges", "has a piece that is no token",
       with("gpt2").texts("tokenizer.ggml.tokens", tokens).texts("tokenizer.ggml.merges", {"a b", "a c"})},
      {"add_bos_token", "names none", with("gpt2").texts("tokenizer.ggml.tokens", tokens).flag("tokenizer.ggml.add_bos_token", true)},
      {"add_eos_token", "names none", with("gpt2").texts("tokenizer.ggml.tokens", tokens).flag("tokenizer.ggml.add_eos_token", true)},
      {"add_eos_token", "expected true or false",
       with("gpt2").texts("tokenizer.ggml.tokens", tokens).u32("tokenizer.ggml.add_eos_token", 1)},
  };
  for (const Case& c : cases) {
    const auto tokenizer = load_gguf(c.writer, 1000);
    ASSERT_FALSE(tokenizer) << c.message;
    EXPECT_EQ(tokenizer.error().code, ErrorCode::kBadCheckpoint);
    EXPECT_THAT(tokenizer.error().message, HasSubstr(c.message));
    EXPECT_TRUE(tokenizer.error().where.ends_with("m.gguf: tokenizer.ggml." + std::string(c.key))) << tokenizer.error().where;
  }
}

// protobuf's encoding, by hand.
std::string varint(std::uint64_t value) {
  std::string out;
  for (; value >= 0x80U; value >>= 7U) out += static_cast<char>(static_cast<unsigned char>((value & 0x7fU) | 0x80U));
  return out + static_cast<char>(static_cast<unsigned char>(value));
}
std::string number(std::uint64_t field, std::uint64_t value) { return varint(field << 3U) + varint(value); }
std::string bytes(std::uint64_t field, std::string_view value) {
  return varint(field << 3U | 2U) + varint(value.size()) + std::string(value);
}
std::string f32(std::uint64_t field, float value) {
  return varint(field << 3U | 5U) + test::little_endian(std::bit_cast<std::uint32_t>(value), 4);
}

const std::string kBpe = bytes(2, number(3, 2));                             // trainer_spec.model_type
const std::string kIdentity = bytes(3, bytes(1, "identity") + number(4, 0)); // normalizer_spec.remove_extra_whitespaces

std::string piece(std::string_view text, float score, std::uint64_t kind) {
  return bytes(1, bytes(1, text) + f32(2, score) + number(3, kind));
}

Result<std::unique_ptr<Tokenizer>> load_model(const std::string& model, std::uint64_t vocab_size) {
  const test::TemporaryDirectory folder;
  test::write_text(folder / "tokenizer.model", model);
  return load_tokenizer(folder.path(), vocab_size);
}

TEST(SentencepieceModel, GivesTheRecordedIds) {
  const Pieces pieces = pieces_of(tokenizer_json("mistral"));
  const std::vector<float> scores = scores_of(pieces.texts.size());
  std::string model;
  for (std::size_t id = 0; id < pieces.texts.size(); ++id) model += piece(pieces.texts[id], scores[id], pieces.kinds[id]);
  const auto tokenizer = load_model(model + kBpe + kIdentity, 32000);
  ASSERT_TRUE(tokenizer) << tokenizer.error().where << ": " << tokenizer.error().message;
  EXPECT_EQ((*tokenizer)->name(), "tokenizer.model");
  EXPECT_EQ((*tokenizer)->bos(), 1);
  EXPECT_THAT((*tokenizer)->stop_tokens(), ElementsAre(2));
  expect_scored(**tokenizer);
}

TEST(SentencepieceModel, WithoutBytesUnknownCharactersInARowAreOneToken) {
  const std::string model = piece("<unk>", 0, 2) + piece("<s>", 0, 3) + piece("</s>", 0, 3) + piece("\u2581", -1, 1) + piece("a", -2, 1) +
                            piece("\u2581a", -3, 1) + piece("<sep>", 0, 4);
  const auto tokenizer = load_model(model + kBpe + kIdentity, 7);
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  EXPECT_THAT((*tokenizer)->encode("axyza").value(), ElementsAre(1, 5, 0, 4));
  EXPECT_THAT((*tokenizer)->encode("a<sep>a</s>a").value(), ElementsAre(1, 5, 6, 4, 2, 5)); // a new part begins with a space again
  EXPECT_EQ((*tokenizer)->decode(std::vector<Token>{1, 5, 6, 4, 5}).value(), "a<sep>a a");
}

TEST(SentencepieceModel, ErrorsNameTheField) {
  struct Case {
    std::string_view where, message;
    std::string model;
  };
  const std::string one = piece("a", 0, 1);
  for (const Case& c :
       {Case{"tokenizer.model", "damaged", "\xff"}, Case{": pieces", "no pieces", ""},
        Case{": pieces[0]", "damaged",
             bytes(1, "\x0a\x05"
                      "ab")},
        Case{": pieces[1].type", "found the type 7", one + piece("b", 0, 7)}, Case{": pieces", "more than 3 pieces", one + one + one + one},
        Case{": trainer_spec.model_type", "type 1 are not supported", one + kIdentity},
        Case{": trainer_spec.treat_whitespace_as_suffix", "not supported", one + bytes(2, number(24, 1))},
        Case{": normalizer_spec.precompiled_charsmap", "not supported", one + kBpe + bytes(3, bytes(2, "x"))},
        Case{": normalizer_spec.remove_extra_whitespaces", "not supported", one + kBpe + bytes(3, "")},
        Case{": normalizer_spec.escape_whitespaces", "not supported", one + kBpe + bytes(3, number(4, 0) + number(5, 0))},
        Case{": pieces", "piece 0 ('b') is marked as a byte", piece("b", 0, 6) + kBpe}}) {
    const auto tokenizer = load_model(c.model, 3);
    ASSERT_FALSE(tokenizer) << c.message;
    EXPECT_EQ(tokenizer.error().code, ErrorCode::kBadConfig);
    EXPECT_THAT(tokenizer.error().message, HasSubstr(c.message));
    EXPECT_TRUE(tokenizer.error().where.ends_with(c.where)) << tokenizer.error().where;
  }
}

} // namespace
} // namespace plimsoll
