// plimsoll/tokenizer.hpp - text to the token ids of a model, and back: read from the files that lie beside its weights, or out of a GGUF
// file. For whoever serves text; a host that has ids needs none of it. Never runs what the files say (a chat template stays a text) and
// never prints. Threads: const functions of a Tokenizer may be called from any thread at once; a TextStream belongs to one.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "plimsoll/export.hpp"
#include "plimsoll/result.hpp"
#include "plimsoll/text_context.hpp" // Token

namespace plimsoll {

// A vocabulary and its rules. Bytes of a text that are no UTF-8 stand for themselves: they become the tokens of these bytes where the
// vocabulary has such tokens, else its unknown token. Text of control tokens ("<|eot_id|>") is read as that token wherever it occurs.
class PLIMSOLL_API Tokenizer {
public:
  virtual ~Tokenizer() = default;

  // The ids of a text; a token of beginning (or end) is added where the files say so. kBadRequest where the vocabulary has no token for a
  // part of it, or where the files' patterns take too long on it.
  virtual Result<std::vector<Token>> encode(std::string_view text) const = 0;
  // Appends the bytes that one token stands for, none for control tokens and for ids that the model has but the vocabulary does not name.
  // `at_start` is true before the first token of a text and is kept by the caller. kBadRequest for an id the model does not have.
  virtual Result<void> append_text(Token token, bool& at_start, std::string& text) const = 0;
  // The text of a whole sequence: exactly the bytes its tokens stand for, which are no UTF-8 where a character is cut.
  Result<std::string> decode(std::span<const Token> tokens) const;

  // Where the vocabulary comes from: "tokenizer.json", "tokenizer.model", "gguf" or "bytes".
  virtual std::string_view name() const = 0;
  // Ids that the model has: all tokens are below.
  virtual std::uint32_t vocab_size() const = 0;
  // The token of beginning that the files name, whether encode adds it or not.
  virtual std::optional<Token> bos() const = 0;
  // Every token that the files name as an end of generation, ascending.
  virtual std::span<const Token> stop_tokens() const = 0;
};

// Text as its tokens come. What push and finish return, put together, is what decode makes of all tokens; a character whose bytes are not
// all there yet is held back.
class PLIMSOLL_API TextStream {
public:
  // `tokenizer` outlives the stream.
  explicit TextStream(const Tokenizer& tokenizer) : tokenizer_(&tokenizer) {}

  // The text that is certain now; often empty. Errors as of Tokenizer::append_text, which leave the stream as it was.
  Result<std::string> push(Token token);
  // What is still held back: bytes of a character that never ended. The stream is ready for another text.
  std::string finish();

private:
  const Tokenizer* tokenizer_;
  bool at_start_ = true;
  std::string held_back_;
};

// Reads the tokenizer of a model. `model` is a folder (tokenizer.json, else tokenizer.model; beside them tokenizer_config.json,
// generation_config.json and config.json for the tokens of beginning and end), or a GGUF file. A folder with neither gets the byte
// tokenizer (byte + 3; 0 unknown, 1 beginning, 2 end) where config.json's vocabulary has room for it and is too small to be another.
// `vocab_size` is the model's: rows of its embedding. kBadConfig (GGUF: kBadCheckpoint) names the file and the JSON pointer or metadata key
// at fault.
Result<std::unique_ptr<Tokenizer>> PLIMSOLL_API load_tokenizer(const std::string& model, std::uint64_t vocab_size);

} // namespace plimsoll
