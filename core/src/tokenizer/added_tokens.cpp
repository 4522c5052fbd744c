#include "tokenizer/added_tokens.hpp"

#include <fmt/format.h>
#include <utility>

#include "tokenizer/white_space.hpp"

namespace plimsoll {
namespace {

std::uint64_t step_key(std::uint32_t node, char byte) { return std::uint64_t{node} << 8U | static_cast<unsigned char>(byte); }

} // namespace

Result<AddedTokens> AddedTokens::make(std::vector<AddedToken> tokens) {
  AddedTokens added;
  added.tokens_ = std::move(tokens);
  std::size_t content_bytes = 0;
  for (const AddedToken& token : added.tokens_) {
    if (token.content.empty() || token.content.size() > kMaxContentBytes)
      return fail(ErrorCode::kBadConfig, fmt::format("the content of added token {} has {} bytes, expected 1 to {}", token.id,
                                                     token.content.size(), kMaxContentBytes));
    content_bytes += token.content.size();
  }
  added.next_ = KeyTable<std::uint32_t>(content_bytes);
  added.token_of_node_.assign(1, 0);
  for (std::size_t i = 0; i < added.tokens_.size(); ++i) {
    std::uint32_t node = 0;
    added.begins_[static_cast<unsigned char>(added.tokens_[i].content.front())] = true;
    for (const char byte : added.tokens_[i].content) {
      const std::uint64_t key = step_key(node, byte);
      const std::uint32_t* const known = added.next_.find(key);
      const auto fresh = static_cast<std::uint32_t>(added.token_of_node_.size());
      if (known == nullptr && !added.next_.assign(key, fresh))
        return fail(ErrorCode::kBadConfig, "the added tokens were made to collide; the file is not to be trusted");
      if (known == nullptr) added.token_of_node_.push_back(0);
      node = known == nullptr ? fresh : *known;
    }
    added.token_of_node_[node] = static_cast<std::uint32_t>(i + 1);
  }
  return added;
}

const AddedToken* AddedTokens::longest_at(std::string_view text, std::size_t at) const {
  const AddedToken* longest = nullptr;
  std::uint32_t node = 0;
  for (; at < text.size(); ++at) {
    const std::uint32_t* const next = next_.find(step_key(node, text[at]));
    if (next == nullptr) break;
    node = *next;
    if (token_of_node_[node] != 0) longest = &tokens_[token_of_node_[node] - 1];
  }
  return longest;
}

std::vector<AddedTokenPart> AddedTokens::find(std::string_view text) const {
  std::vector<AddedTokenPart> parts;
  std::size_t done = 0; // up to here the text is in parts
  for (std::size_t at = 0; at < text.size();) {
    const AddedToken* const token = begins_[static_cast<unsigned char>(text[at])] ? longest_at(text, at) : nullptr;
    if (token == nullptr) {
      ++at;
      continue;
    }
    Span span{at, at + token->content.size()};
    at = span.end;
    if (token->single_word && (word_at_end(text.substr(0, span.begin)) || word_at_start(text.substr(span.end)))) continue;
    if (token->lstrip) span.begin -= white_space_at_end(text.substr(done, span.begin - done));
    if (token->rstrip) span.end += white_space_at_start(text.substr(span.end));
    at = span.end; // what a token takes along is not looked at again
    if (done < span.begin) parts.push_back({{done, span.begin}, nullptr});
    parts.push_back({span, token});
    done = span.end;
  }
  if (done < text.size()) parts.push_back({{done, text.size()}, nullptr});
  return parts;
}

} // namespace plimsoll
