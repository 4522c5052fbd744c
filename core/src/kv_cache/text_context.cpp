// plimsoll/text_context.hpp, member by member. Threads: [serial] per context.
#include "plimsoll/text_context.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "plimsoll/limits.hpp"

namespace plimsoll {
namespace {

constexpr Token kPendingToken = -1;

Result<void> check_media(const TextContextOptions& options) {
  std::uint64_t end = 0;
  for (const MediaSpan& span : options.media) {
    const bool inside = span.begin_tokens <= options.prompt.size() && span.length_tokens <= options.prompt.size() - span.begin_tokens;
    if (span.length_tokens == 0 || !inside || span.begin_tokens < end)
      return fail(ErrorCode::kBadRequest,
                  fmt::format("a medium stands at token {} with {} tokens; media are not empty, ascend without overlap and "
                              "lie in the prompt of {} tokens",
                              span.begin_tokens, span.length_tokens, options.prompt.size()));
    end = span.begin_tokens + span.length_tokens;
  }
  return {};
}

} // namespace

Result<TextContext> TextContext::create(TextContextOptions options) {
  if (options.prompt.empty()) return fail(ErrorCode::kBadRequest, "the prompt has no token; a request needs one at least");
  if (options.prompt.size() > options.max_length || options.max_length > kMaxTokens)
    return fail(ErrorCode::kBadRequest,
                fmt::format("the prompt has {} tokens and max_length is {}; the prompt must fit it, and it {} at most",
                            options.prompt.size(), options.max_length, kMaxTokens));
  PLIMSOLL_TRY(check_media(options));
  return TextContext(std::move(options));
}

TextContext::TextContext(TextContextOptions options)
    : options_(std::move(options)), prompt_length_(options_.prompt.size()), active_(options_.prompt.size()) {}

std::uint64_t TextContext::active_length_at(std::uint64_t processed) const {
  const std::uint64_t left = size_tokens() - std::min(processed, size_tokens());
  return chunk_limit_ == 0 ? left : std::min(left, chunk_limit_);
}

void TextContext::set_chunk_limit(std::uint64_t tokens) {
  chunk_limit_ = tokens;
  active_ = active_length_at(processed_);
}

Result<void> TextContext::skip_processing(std::uint64_t count) {
  if (count >= size_tokens() - processed_)
    return fail(ErrorCode::kBadRequest,
                fmt::format("{} tokens are to be skipped and {} are left; one stays to be computed", count, size_tokens() - processed_));
  processed_ += count;
  active_ = active_length_at(processed_);
  return {};
}

Result<void> TextContext::rewind_processing(std::uint64_t count) {
  if (count > processed_)
    return fail(ErrorCode::kBadRequest, fmt::format("{} tokens are to be computed again and only {} are processed", count, processed_));
  processed_ -= count;
  active_ = active_length_at(processed_);
  return {};
}

Result<void> TextContext::advance_chunk() {
  if (reaches_end())
    return fail(ErrorCode::kBadRequest, "the step reached the last token, so there is no further chunk; update() with the next token");
  processed_ += active_;
  active_ = active_length_at(processed_);
  return {};
}

Result<void> TextContext::append(Token token) {
  if (!reaches_end())
    return fail(ErrorCode::kBadRequest, fmt::format("the step ended at token {} of {}, so its logits choose no token; call advance_chunk()",
                                                    current_position(), size_tokens()));
  if (size_tokens() >= options_.max_length)
    return fail(ErrorCode::kBadRequest, fmt::format("the request has {} tokens, as many as it may have; it is finished", size_tokens()));
  options_.prompt.push_back(token);
  processed_ += active_;
  active_ = active_length_at(processed_);
  return {};
}

Result<void> TextContext::update(Token token) {
  if (pending_ > 0)
    return fail(ErrorCode::kBadRequest, fmt::format("{} placeholders wait for their tokens; realise() comes first", pending_));
  return append(token);
}

Result<void> TextContext::take_back(std::uint64_t count) {
  const std::uint64_t most = std::min(generated_length(), size_tokens() - processed_ - 1);
  if (pending_ > 0 || count > most)
    return fail(ErrorCode::kBadRequest,
                fmt::format("{} tokens are to be taken back; {} are generated and not processed, of which the prompt or one token stays",
                            count, pending_ > 0 ? 0 : most));
  options_.prompt.resize(options_.prompt.size() - static_cast<std::size_t>(count));
  active_ = active_length_at(processed_);
  return {};
}

Result<void> TextContext::update_pending() {
  PLIMSOLL_TRY(append(kPendingToken));
  ++pending_;
  return {};
}

Result<void> TextContext::realise(Token token) {
  if (pending_ == 0) return fail(ErrorCode::kBadRequest, "no placeholder waits for a token; call update()");
  options_.prompt[realised_length()] = token;
  --pending_;
  return {};
}

} // namespace plimsoll
