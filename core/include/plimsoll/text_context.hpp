// plimsoll/text_context.hpp - one request's tokens and how far they are processed: what a scheduler, a model and the KV manager
// agree on. Tokens [0, processed) are in the cache, [processed, processed + active) are the input of the next step, later ones
// wait for their chunk. Always 0 <= processed <= processed + active <= size, and active >= 1: every request has something to
// compute. A broken rule is an error (ErrorCode::kBadRequest) that changes nothing. Threads: [serial] per context.
//
//   prompt of 10 tokens, chunks of 4:   processed 0, active 4   advance_chunk()
//                                       processed 4, active 4   advance_chunk()
//                                       processed 8, active 2   reaches_end(): the step's last logits are wanted; update(token)
//                                       processed 10, active 1  update(token) ...
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "plimsoll/export.hpp"
#include "plimsoll/image.hpp"
#include "plimsoll/result.hpp"

namespace plimsoll {

using RequestId = std::uint64_t;
using Token = std::int32_t;

// Tokens that stand for an image, film or sound. Equal tokens with unlike content must not share pages, so its hash is in the keys.
struct MediaSpan {
  std::uint64_t begin_tokens = 0, length_tokens = 0; // of the prompt
  std::uint64_t hash_low = 0, hash_high = 0;         // 128 bits of the content's hash
  // Of an image that the model encodes: its tokens as they stand row by row, rows * columns = length_tokens; 0: of another kind.
  std::uint32_t rows = 0, columns = 0;
  std::shared_ptr<const Image> image = nullptr;
};

struct TextContextOptions {
  RequestId id = 0;
  std::vector<Token> prompt;     // at least one
  std::uint64_t max_length = 0;  // tokens, prompt included
  std::string cache_salt;        // requests share cached pages only where salt and adapter are equal
  std::string adapter;           // LoraManager::key of the LoRA adapter; empty: the base model
  std::vector<MediaSpan> media;  // ascending, without overlap
  bool skip_prefix_read = false; // prompt log-probabilities are wanted: every prompt token is computed, none comes from the cache
};

class PLIMSOLL_API TextContext {
public:
  // Checks the options: the prompt against max_length, media against the prompt.
  static Result<TextContext> create(TextContextOptions options);

  RequestId id() const { return options_.id; }
  std::span<const Token> tokens() const { return options_.prompt; }
  std::uint64_t size_tokens() const { return options_.prompt.size(); }
  std::uint64_t prompt_length() const { return prompt_length_; }
  std::uint64_t generated_length() const { return size_tokens() - prompt_length_; }
  std::uint64_t max_length() const { return options_.max_length; }

  std::uint64_t processed_length() const { return processed_; }
  std::uint64_t active_length() const { return active_; }
  std::uint64_t current_position() const { return processed_ + active_; }
  std::span<const Token> active_tokens() const { return tokens().subspan(processed_, active_); }
  // Whether this step computes the newest token, so that its last logits choose the next one.
  bool reaches_end() const { return current_position() == size_tokens(); }

  // At most so many active tokens in a step, from now on; 0: no limit. A scheduler may set it anew before every step.
  void set_chunk_limit(std::uint64_t tokens);
  std::uint64_t chunk_limit() const { return chunk_limit_; }
  // How many tokens would be active if `processed` were.
  std::uint64_t active_length_at(std::uint64_t processed) const;

  // The next `count` tokens are in the cache already (a prefix hit). At least one token stays to be computed.
  Result<void> skip_processing(std::uint64_t count);
  // The last `count` processed tokens are to be computed again (pre-emption: all of them).
  Result<void> rewind_processing(std::uint64_t count);
  // After a step that did not reach the end: its tokens are processed, the next chunk is active.
  Result<void> advance_chunk();
  // After a step that reached the end: all tokens are processed, `token` is appended and alone active.
  Result<void> update(Token token);

  // The last `count` tokens are none after all: a draft that was not accepted. They were appended by update(), and are not processed.
  Result<void> take_back(std::uint64_t count);

  // For hosts that start a step before the token of the last one is known: update() with a placeholder, which realise() replaces,
  // the oldest first. Placeholders never enter a key.
  Result<void> update_pending();
  Result<void> realise(Token token);
  std::uint64_t pending_length() const { return pending_; }
  std::uint64_t realised_length() const { return size_tokens() - pending_; }

  // Room for so many tokens, so that update() takes no memory until then.
  void reserve_tokens(std::uint64_t tokens) { options_.prompt.reserve(tokens < options_.max_length ? tokens : options_.max_length); }

  const std::string& cache_salt() const { return options_.cache_salt; }
  const std::string& adapter() const { return options_.adapter; }
  std::span<const MediaSpan> media() const { return options_.media; }
  bool skip_prefix_read() const { return options_.skip_prefix_read; }

private:
  explicit TextContext(TextContextOptions options);
  Result<void> append(Token token);

  TextContextOptions options_; // `prompt` grows to all tokens
  std::uint64_t prompt_length_ = 0, processed_ = 0, active_ = 0, chunk_limit_ = 0, pending_ = 0;
};

} // namespace plimsoll
