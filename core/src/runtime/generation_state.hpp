// What the runtime keeps of one request under way: TextGenerationContext behind its face. Made by new_context.cpp, moved on by
// pipeline_step.cpp. Threads: [serial] per object.
#pragma once

#include <optional>
#include <vector>

#include "plimsoll/text_generation.hpp"
#include "runtime/stop_text.hpp"

namespace plimsoll {

// What a head that drafts expects behind a request's tokens, and where it goes on from.
struct ExpectedToken {
  Token token = 0;
  std::uint64_t size_tokens = 0; // of the request when it was expected
  std::uint64_t processed = 0;   // likewise
  std::uint64_t run = 0;         // of the head, and the request's number in it
  std::uint32_t request = 0;
};

struct TextGenerationContext::State {
  explicit State(TextContext context) : tokens(std::move(context)) {}

  TextContext tokens;
  SamplingOptions sampling;
  std::vector<Token> stop_tokens; // ascending
  std::optional<StopText> text;   // absent without a tokenizer
  Status status = Status::kActive;
  std::optional<Error> error; // why it was given up

  std::uint64_t draft_tokens = 0; // that its draft may propose in the next step; pages for them are reserved
  std::optional<ExpectedToken> expected;

  std::int32_t top_n = 0;
  // The row at position p says which token follows token p. Rows before this one are not wanted, or stand in an output already.
  std::uint64_t next_row = 0;
  LogProbabilities rows; // computed, for the next output

  // Whether the prompt's rows are wanted in this or a later step, beside the one that chooses the next token.
  bool wants_earlier_rows() const { return top_n > 0 && next_row + 1 < tokens.size_tokens(); }
  void give_up(Error why) {
    status = Status::kCancelled;
    error = std::move(why);
  }
};

} // namespace plimsoll
