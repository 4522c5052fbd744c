// Tokens that are found in a text before the vocabulary's rules apply: control tokens like "<|im_end|>", and others that a file adds.
// Of tokens that begin at one place the longest counts. Threads: find from any thread once built.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "plimsoll/result.hpp"
#include "plimsoll/tokenizer.hpp"
#include "tokenizer/key_table.hpp"
#include "tokenizer/pattern.hpp"

namespace plimsoll {

struct AddedToken {
  std::string content;
  Token id = 0;
  bool single_word = false;            // not inside a word
  bool lstrip = false, rstrip = false; // takes the white space before, behind it along
};

// A part of a text: one such token, or what lies between them.
struct AddedTokenPart {
  Span span;
  const AddedToken* token = nullptr; // null: text
};

class AddedTokens {
public:
  static constexpr std::size_t kMaxContentBytes = 1024;

  AddedTokens() = default;
  // kBadConfig for a content that is empty or longer than kMaxContentBytes; `where` is left to the caller. Of two with one content the
  // later counts.
  static Result<AddedTokens> make(std::vector<AddedToken> tokens);

  // The whole text as parts, none of them empty.
  std::vector<AddedTokenPart> find(std::string_view text) const;

private:
  const AddedToken* longest_at(std::string_view text, std::size_t at) const;

  std::vector<AddedToken> tokens_;
  // A prefix tree: the node behind a node and a byte; node 0 is the root. A node's token is its index in tokens_ and one, or 0.
  KeyTable<std::uint32_t> next_;
  std::vector<std::uint32_t> token_of_node_;
  std::array<bool, 256> begins_{}; // bytes that begin a token
};

} // namespace plimsoll
