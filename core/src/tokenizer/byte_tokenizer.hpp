// The tokenizer of a model that reads bytes: id = byte + 3; 0 unknown, 1 beginning, 2 end, as in a SentencePiece vocabulary that has byte
// pieces alone. For folders without tokenizer files. Threads: const functions from any thread at once.
#pragma once

#include <cstdint>
#include <utility>

#include "plimsoll/tokenizer.hpp"
#include "tokenizer/vocabulary_tokenizer.hpp"

namespace plimsoll {

class ByteTokenizer final : public Tokenizer {
public:
  static constexpr Token kBos = 1, kEos = 2, kFirstByte = 3;
  static constexpr std::uint32_t kTokens = 256 + 3;
  static constexpr std::uint32_t kMostTokens = 512; // a larger vocabulary is another one, whose files are missing

  // `stops`: what the model's files name; ascending.
  ByteTokenizer(std::uint32_t vocab_size, std::vector<Token> stops) : vocab_size_(vocab_size), stops_(std::move(stops)) {}

  Result<std::vector<Token>> encode(std::string_view text) const override {
    std::vector<Token> out{kBos};
    for (const char byte : text) out.push_back(kFirstByte + static_cast<unsigned char>(byte));
    return out;
  }
  Result<void> append_text(Token token, bool& at_start, std::string& text) const override {
    PLIMSOLL_TRY(check_token(token, vocab_size_));
    if (token < kFirstByte || static_cast<std::uint32_t>(token) >= kTokens) return {};
    text += static_cast<char>(static_cast<unsigned char>(token - kFirstByte));
    at_start = false;
    return {};
  }
  std::string_view name() const override { return "bytes"; }
  std::uint32_t vocab_size() const override { return vocab_size_; }
  std::optional<Token> bos() const override { return kBos; }
  std::span<const Token> stop_tokens() const override { return stops_; }

private:
  std::uint32_t vocab_size_;
  std::vector<Token> stops_;
};

} // namespace plimsoll
