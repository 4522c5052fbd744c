// A request becomes a context: everything that can be wrong with it is found here, before it takes part in any step.
#include <algorithm>
#include <fmt/format.h>

#include "runtime/generation_state.hpp"
#include "runtime/pipeline.hpp"
#include "runtime/request_images.hpp"

namespace plimsoll {
namespace {

Result<std::vector<Token>> prompt_of(const TextGenerationRequest& request, const Tokenizer* tokenizer) {
  if (!request.prompt.empty() && !request.prompt_tokens.empty())
    return fail(ErrorCode::kBadRequest, "a prompt as text and one as ids were given; one of them was expected", "prompt_tokens");
  if (!request.prompt_tokens.empty()) return request.prompt_tokens;
  if (tokenizer == nullptr)
    return fail(ErrorCode::kBadRequest, "this pipeline has no tokenizer; ids were expected in prompt_tokens", "prompt");
  return tokenizer->encode(request.prompt);
}

Result<void> check_ids(std::span<const Token> prompt, std::uint64_t vocab_tokens) {
  for (const Token id : prompt)
    if (id < 0 || (vocab_tokens > 0 && static_cast<std::uint64_t>(id) >= vocab_tokens))
      return fail(ErrorCode::kBadRequest,
                  vocab_tokens > 0 ? fmt::format("token {} is none of the {} that the model has", id, vocab_tokens)
                                   : fmt::format("token {} is no id", id),
                  "prompt_tokens");
  return {};
}

// Tokens of the request at its end, prompt included.
Result<std::uint64_t> length_of(const TextGenerationRequest& request, std::uint64_t prompt_tokens, const Plan& plan) {
  auto cap = upper_bounded_default(plan.limits.max_length, request.max_length);
  if (!cap) return fail(ErrorCode::kBadRequest, std::move(cap.error().message), "max_length");
  if (request.max_new_tokens == 0U) return fail(ErrorCode::kBadRequest, "is 0; at least one token is generated", "max_new_tokens");
  if (prompt_tokens >= *cap)
    return fail(
        ErrorCode::kBadRequest,
        fmt::format("the prompt has {} tokens and the request may have {}, of which one at least is generated", prompt_tokens, *cap),
        "prompt");
  const std::uint64_t most_new = *cap - prompt_tokens;
  return prompt_tokens + std::min(most_new, request.max_new_tokens.value_or(most_new));
}

Result<void> check_options(const TextGenerationRequest& request, const PipelineModel& model, const Tokenizer* tokenizer) {
  PLIMSOLL_TRY(check_sampling(request.sampling));
  PLIMSOLL_TRY(check_stop_strings(request.stop_strings));
  if (!request.stop_strings.empty() && tokenizer == nullptr)
    return fail(ErrorCode::kBadRequest, "this pipeline has no tokenizer, so it sees no text; use stop_tokens", "stop_strings");
  const std::uint64_t vocab = model.step_limits().vocab_tokens;
  if (request.log_probabilities < 0 || (vocab > 0 && static_cast<std::uint64_t>(request.log_probabilities) > vocab))
    return fail(
        ErrorCode::kBadRequest,
        fmt::format("is {}; 0 or more were expected, and at most the {} tokens that the model has", request.log_probabilities, vocab),
        "log_probabilities");
  if (request.echo && request.log_probabilities > 0 && model.return_logits() == ReturnLogits::kLastToken)
    return fail(ErrorCode::kBadRequest, "this model gives logits of last tokens only, so it has none of the prompt's", "echo");
  return {};
}

// What the request's adapter is called in the keys of its pages.
Result<std::string> adapter_key(const TextGenerationRequest& request, PipelineModel& model) {
  if (request.adapter.empty()) return std::string();
  const LoraManager* const adapters = model.lora_manager();
  if (adapters == nullptr) return fail(ErrorCode::kBadRequest, "the plan has no room for adapters; give --max-loras", "adapter");
  if (std::optional<std::string> key = adapters->key(request.adapter)) return std::move(*key);
  return fail(ErrorCode::kBadRequest, fmt::format("no adapter is called '{}'; load it first", request.adapter.substr(0, 256)), "adapter");
}

std::vector<Token> stop_tokens_of(const TextGenerationRequest& request, const Tokenizer* tokenizer) {
  std::vector<Token> stops = request.stop_tokens;
  if (tokenizer != nullptr && !request.ignore_end) {
    const std::span<const Token> own = tokenizer->stop_tokens();
    stops.insert(stops.end(), own.begin(), own.end());
  }
  std::sort(stops.begin(), stops.end());
  return stops;
}

} // namespace

Result<TextGenerationContext> TextGenerationPipeline::Impl::new_context(const TextGenerationRequest& request, RequestId id) const {
  const Tokenizer* const tokenizer = parts.tokenizer.get();
  PLIMSOLL_TRY(check_options(request, model(), tokenizer));
  TextContextOptions options;
  options.id = id;
  PLIMSOLL_ASSIGN(options.prompt, prompt_of(request, tokenizer));
  PLIMSOLL_TRY(check_ids(options.prompt, limits.vocab_tokens));
  PLIMSOLL_ASSIGN(options.media, place_images(request.images, model().image_limits(), options.prompt));
  PLIMSOLL_ASSIGN(options.max_length, length_of(request, options.prompt.size(), model().plan()));
  options.cache_salt = request.cache_salt;
  PLIMSOLL_ASSIGN(options.adapter, adapter_key(request, model()));
  options.skip_prefix_read = request.echo && request.log_probabilities > 0;
  const std::uint64_t prompt_tokens = options.prompt.size();
  const std::uint64_t first_row = options.skip_prefix_read || prompt_tokens == 0 ? 0 : prompt_tokens - 1;
  PLIMSOLL_ASSIGN(TextContext tokens, TextContext::create(std::move(options)));

  auto state = std::make_unique<TextGenerationContext::State>(std::move(tokens));
  state->sampling = request.sampling;
  state->stop_tokens = stop_tokens_of(request, tokenizer);
  if (tokenizer != nullptr) state->text.emplace(*tokenizer, request.stop_strings);
  state->top_n = request.log_probabilities;
  state->next_row = first_row;
  return TextGenerationContext(std::move(state));
}

TextGenerationContext::TextGenerationContext(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}
TextGenerationContext::TextGenerationContext(TextGenerationContext&&) noexcept = default;
TextGenerationContext& TextGenerationContext::operator=(TextGenerationContext&&) noexcept = default;
TextGenerationContext::~TextGenerationContext() = default;

RequestId TextGenerationContext::id() const { return state_->tokens.id(); }
TextContext& TextGenerationContext::tokens() { return state_->tokens; }
const TextContext& TextGenerationContext::tokens() const { return state_->tokens; }
Status TextGenerationContext::status() const { return state_->status; }

} // namespace plimsoll
