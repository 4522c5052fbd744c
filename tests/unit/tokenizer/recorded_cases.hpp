// What tests/data/tokenizers records: texts and the ids that real vocabularies give for them. For tests of every way to read a vocabulary.
#pragma once

#include <cstdint>
#include <fstream>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <ostream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "plimsoll/tokenizer.hpp"

namespace plimsoll::test {

struct RecordedVocabulary {
  std::string_view name;
  std::uint64_t vocab_size;    // of the model
  std::vector<Token> in_front; // what the folder's tokenizer_config.json adds to the recorded ids
};
inline void PrintTo(const RecordedVocabulary& vocabulary, std::ostream* out) { *out << vocabulary.name; }
inline const std::vector<RecordedVocabulary>& recorded_vocabularies() {
  static const std::vector<RecordedVocabulary> all{
      {"qwen3", 151936, {}}, {"llama3", 128256, {}}, {"gptoss", 201088, {}}, {"deepseek_v3", 129280, {0}}, {"mistral", 32000, {}}};
  return all;
}

inline std::string recorded_folder(std::string_view name) { return std::string(PLIMSOLL_TEST_DATA "/tokenizers/").append(name); }

inline std::string file_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  EXPECT_TRUE(file) << path;
  return text.str();
}

struct RecordedCase {
  std::string text;
  std::vector<Token> ids;
  std::string decoded;
};
inline std::vector<RecordedCase> recorded_cases(std::string_view name) {
  std::istringstream lines(file_text(recorded_folder(name) + "/cases.jsonl"));
  std::vector<RecordedCase> cases;
  for (std::string line; std::getline(lines, line);) {
    const auto json = nlohmann::json::parse(line);
    cases.push_back({json.at("text"), json.at("ids"), json.at("decoded")});
  }
  return cases;
}

// The vocabulary's pieces as they stand in its tokenizer.json, by id; empty where it has a hole.
inline std::vector<std::string> recorded_pieces(const nlohmann::ordered_json& tokenizer) {
  std::vector<std::string> pieces;
  const auto put = [&](std::size_t id, const std::string& piece) {
    if (pieces.size() <= id) pieces.resize(id + 1);
    pieces[id] = piece;
  };
  for (const auto& [piece, id] : tokenizer.at("model").at("vocab").items()) put(id.get<std::size_t>(), piece);
  for (const auto& added : tokenizer.at("added_tokens")) put(added.at("id"), added.at("content"));
  return pieces;
}

// The same text token by token.
inline std::string streamed(const Tokenizer& tokenizer, const std::vector<Token>& ids) {
  TextStream stream(tokenizer);
  std::string text;
  for (const Token id : ids) {
    const auto more = stream.push(id);
    EXPECT_TRUE(more) << more.error().message;
    text += more.value_or("");
  }
  return text + stream.finish();
}

} // namespace plimsoll::test
