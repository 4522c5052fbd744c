// One step of a batch, from inputs to published pages. A request that fails by itself is given up and its output says why; what fails as
// a whole leaves all contexts as they were.
#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <set>
#include <sstream>

#include "runtime/drafting.hpp"
#include "runtime/generation_state.hpp"
#include "runtime/log_probabilities.hpp"
#include "runtime/pipeline.hpp"
#include "runtime/processes.hpp"

namespace plimsoll {

struct TextGenerationPipeline::Impl::Step {
  Batch batch;
  std::vector<const TextContext*> contexts;
  std::vector<Proposal> proposals; // of each request, where the model has a draft
  std::unique_ptr<ModelInputs> inputs;
  std::optional<ModelOutputs> outputs;
  std::vector<Token> next; // the token after each request's active ones: chosen, or of a prompt that is not all computed yet
  std::vector<std::vector<Token>> further; // behind it: drafted tokens were accepted, and one more was chosen
  std::vector<std::uint64_t> drafted;      // of each request
  std::optional<ModelOutputs> expected;    // of a head that drafts: what follows what was chosen

  // No context has drafted tokens any more.
  void take_back_drafts() {
    for (std::size_t i = 0; i < proposals.size(); ++i) take_back(batch[i]->state().tokens, proposals[i]);
  }
};

namespace {

using State = TextGenerationContext::State;

Result<void> check_batch(std::span<TextGenerationContext* const> batch, std::set<RequestId>& ids) {
  for (TextGenerationContext* const context : batch) {
    if (context == nullptr) return fail(ErrorCode::kBadRequest, "a batch has a null context");
    const TextContext& tokens = context->tokens();
    if (!ids.insert(tokens.id()).second)
      return fail(ErrorCode::kBadRequest, fmt::format("request {} stands twice in the batch", tokens.id()));
    if (context->status() != Status::kActive)
      return fail(ErrorCode::kBadRequest, fmt::format("request {} has ended ({})", tokens.id(), status_name(context->status())));
    if (tokens.size_tokens() >= tokens.max_length())
      return fail(ErrorCode::kBadRequest,
                  fmt::format("request {} has {} tokens, as many as it may have", tokens.id(), tokens.size_tokens()));
  }
  return {};
}

// Which rows of this step a request wants log-probabilities of.
struct WantedRows {
  bool any = false;        // one at least
  bool earlier = false;    // more than that of the newest token
  std::size_t skipped = 0; // rows before the first wanted one: computed anew after the request was put back
};
WantedRows wanted_rows(const State& state) {
  const std::uint64_t first = state.tokens.processed_length(), last = state.tokens.current_position() - 1;
  WantedRows wanted;
  wanted.any = state.status == Status::kActive && state.top_n > 0 && state.next_row <= last;
  wanted.earlier = wanted.any && state.next_row < last;
  wanted.skipped = wanted.earlier && state.next_row > first ? static_cast<std::size_t>(state.next_row - first) : 0;
  return wanted;
}

// Adds a token's text and says whether it ends the request. The end that the model or the request names outranks the length.
Result<void> end_or_go_on(State& state, Token token, TextGenerationOutput& output) {
  const bool is_stop = std::binary_search(state.stop_tokens.begin(), state.stop_tokens.end(), token);
  const bool is_full = state.tokens.size_tokens() >= state.tokens.max_length();
  if (state.text && !is_stop) {
    PLIMSOLL_ASSIGN(const std::string text, state.text->push(token));
    output.text += text;
  }
  if (state.text && (is_stop || is_full)) output.text += state.text->finish();
  if (is_stop || (state.text && state.text->stopped())) state.status = Status::kEndOfSequence;
  else if (is_full) state.status = Status::kMaximumLength;
  return {};
}

// Moves a request on by one step, token by token, until one ends it. Nothing while its prompt is not all computed. States went on with
// what was not accepted too: whoever keeps some computes all of the step's tokens again, from the states before it.
Result<std::optional<TextGenerationOutput>> advance(State& state, Token next, std::span<const Token> further, std::uint64_t drafted,
                                                    bool keeps_states) {
  const std::uint64_t before = state.tokens.processed_length();
  TextGenerationOutput output;
  output.id = state.tokens.id();
  if (state.status == Status::kActive && !state.tokens.reaches_end()) {
    PLIMSOLL_TRY(state.tokens.advance_chunk());
    return std::nullopt;
  }
  if (state.status == Status::kActive && state.top_n > 0) output.log_probabilities = std::exchange(state.rows, {});
  for (std::size_t n = 0; n <= further.size() && state.status == Status::kActive; ++n) {
    const Token token = n == 0 ? next : further[n - 1];
    PLIMSOLL_TRY(state.tokens.update(token));
    output.tokens.push_back(token);
    if (auto ended = end_or_go_on(state, token, output); !ended) state.give_up(std::move(ended.error()));
  }
  if (keeps_states && further.size() < drafted) PLIMSOLL_TRY(state.tokens.rewind_processing(state.tokens.processed_length() - before));
  output.drafted_tokens = drafted;
  output.accepted_tokens = std::min(output.tokens.size(), further.size()); // the last of all was not drafted
  output.status = state.status;
  output.error = state.error;
  return output;
}

bool has_states(const PagedKvManager* kv) {
  if (kv == nullptr || kv->geometry().n_ranks() == 0) return false;
  for (std::size_t group = 0; group < kv->geometry().n_groups(); ++group)
    if (kv->geometry().group(0, group).kind == CacheKind::kState) return true;
  return false;
}

} // namespace

std::string_view status_name(Status status) noexcept {
  switch (status) {
  case Status::kActive: return "active";
  case Status::kEndOfSequence: return "end_of_sequence";
  case Status::kMaximumLength: return "maximum_length";
  case Status::kCancelled: break;
  }
  return "cancelled";
}

// What a replica's draft says of the tokens behind the step's.
Result<void> TextGenerationPipeline::Impl::draft(Replica& replica, Step& step) const {
  PipelineModel* const draft = replica.model->draft();
  DraftHead* const head = replica.model->draft_head();
  if ((draft == nullptr && head == nullptr) || !replica.cache) return {};
  std::vector<State*> states;
  for (TextGenerationContext* const context : step.batch) states.push_back(&context->state());
  PLIMSOLL_ASSIGN(step.proposals, draft != nullptr ? propose(*draft, *replica.cache, states) : propose(*head, *replica.cache, states));
  return {};
}

// The forward pass. Other replicas compute theirs at the same time.
Result<void> TextGenerationPipeline::Impl::compute(Replica& replica, Step& step) const {
  std::uint64_t rows = 1; // that one request wants at most
  for (TextGenerationContext* const context : step.batch) {
    State& state = context->state();
    // Without a cache all tokens are computed in each step.
    if (!replica.cache) PLIMSOLL_TRY(state.tokens.rewind_processing(state.tokens.processed_length()));
    if (wanted_rows(state).earlier) rows = std::max(rows, state.tokens.active_length());
    step.contexts.push_back(&state.tokens);
  }
  for (const Proposal& proposal : step.proposals) rows = std::max<std::uint64_t>(rows, proposal.tokens.size() + 1);
  std::optional<KvCacheInputs> kv;
  if (replica.cache) {
    PLIMSOLL_ASSIGN(kv, replica.cache->runtime_inputs(step.contexts));
  }
  PLIMSOLL_ASSIGN(step.inputs, replica.model->prepare_initial_token_inputs(step.contexts, std::move(kv), rows));
  PLIMSOLL_ASSIGN(step.outputs, replica.model->execute(*step.inputs));
  if (step.outputs->batch() != step.batch.size())
    return fail(ErrorCode::kInternal,
                fmt::format("the model gave outputs of {} requests for a batch of {}", step.outputs->batch(), step.batch.size()));
  return {};
}

// The token after each request's own, as it is chosen without a draft; where that is the one that was drafted, the one after it too, and so
// on. So what is generated does not depend on what is drafted.
void TextGenerationPipeline::Impl::choose_tokens(Step& step) {
  for (std::size_t i = 0; i < step.batch.size(); ++i) {
    State& state = step.batch[i]->state();
    const TextContext& tokens = state.tokens;
    std::vector<Token>& further = step.further.emplace_back();
    std::vector<Token> drafted;
    if (i < step.proposals.size()) {
      drafted = step.proposals[i].tokens;
      take_back(state.tokens, step.proposals[i]);
    }
    step.drafted.push_back(drafted.size());
    if (!tokens.reaches_end()) {
      step.next.push_back(tokens.tokens()[tokens.current_position()]);
      continue;
    }
    const auto rows = step.outputs->rows_of(i);
    // The row from which the n-th token is chosen: of the last ones.
    const auto choose = [&](std::size_t n) -> Result<Token> {
      if (drafted.empty()) {
        PLIMSOLL_ASSIGN(const std::span<const float> row, step.outputs->next_token_row(i));
        return sampler_.sample(row, state.sampling, tokens.id(), tokens.size_tokens());
      }
      if (!rows) return tl::unexpected(rows.error());
      const std::size_t vocab = step.outputs->vocab(), behind = drafted.size() - n + 1;
      if (rows->size() < behind * vocab)
        return fail(ErrorCode::kInternal, fmt::format("the model gave {} logits for {} rows of {}", rows->size(), behind, vocab));
      return sampler_.sample(rows->subspan(rows->size() - behind * vocab, vocab), state.sampling, tokens.id(), tokens.size_tokens() + n);
    };
    auto token = choose(0);
    step.next.push_back(token.value_or(0));
    if (!token) state.give_up(std::move(token.error()));
    for (std::size_t n = 0; token && n < drafted.size() && *token == drafted[n]; ++n) {
      token = choose(n + 1);
      if (token) further.push_back(*token); // else the next step says so, whose first row it is
    }
  }
}

Result<void> TextGenerationPipeline::Impl::add_log_probabilities(PipelineModel& model, Step& step) {
  std::vector<std::int32_t> top_n;
  std::vector<std::uint8_t> echo;
  for (TextGenerationContext* const context : step.batch) {
    State& state = context->state();
    if (state.top_n > 0 && static_cast<std::uint64_t>(state.top_n) > step.outputs->vocab())
      state.give_up(
          {ErrorCode::kBadRequest, fmt::format("is {}; the model has {} tokens", state.top_n, step.outputs->vocab()), "log_probabilities"});
    const WantedRows wanted = wanted_rows(state);
    top_n.push_back(wanted.any ? state.top_n : 0);
    echo.push_back(wanted.earlier ? 1 : 0);
  }
  if (std::all_of(top_n.begin(), top_n.end(), [](std::int32_t n) { return n == 0; })) return {};
  PLIMSOLL_ASSIGN(std::vector<LogProbabilitiesAnswer> answers,
                  model.compute_log_probabilities(*step.inputs, *step.outputs, step.next, top_n, echo));
  for (std::size_t i = 0; i < step.batch.size() && i < answers.size(); ++i) {
    State& state = step.batch[i]->state();
    const WantedRows wanted = wanted_rows(state);
    if (!wanted.any || !answers[i].values) continue;
    append_rows(state.rows, *answers[i].values, wanted.skipped);
    state.next_row = state.tokens.current_position();
  }
  return {};
}

// A head that drafts runs over what the pass computed and is kept: every token beside the one that follows it.
Result<void> TextGenerationPipeline::Impl::follow(Replica& replica, Step& step) const {
  DraftHead* const head = replica.model->draft_head();
  if (head == nullptr || !replica.cache || step.batch.empty()) return {};
  std::vector<std::vector<Token>> next;
  for (std::size_t i = 0; i < step.batch.size(); ++i) {
    const std::span<const Token> active = step.batch[i]->tokens().active_tokens();
    std::vector<Token>& behind = next.emplace_back(active.begin() + 1, active.end());
    behind.push_back(step.next[i]);
    behind.insert(behind.end(), step.further[i].begin(), step.further[i].end());
  }
  PLIMSOLL_ASSIGN(step.expected, head->follow(*step.inputs, next));
  return {};
}

// All replicas at the same time; those of other processes do so there.
Result<void> TextGenerationPipeline::Impl::follow_all(std::vector<Step>& steps) {
  std::vector<Result<void>> followed(steps.size());
  threads_->run([&](std::uint32_t i) { followed[i] = follow(replicas[i], steps[i]); });
  for (const Result<void>& of_replica : followed) {
    if (of_replica) continue;
    if (parts.processes && steps.size() > 1) parts.processes->fail(of_replica.error());
    return of_replica;
  }
  return {};
}

TextGenerationPipeline::Impl::Batches TextGenerationPipeline::Impl::of_replicas(Batch batch) const {
  Batches batches(replicas.size());
  for (TextGenerationContext* const context : batch) {
    std::size_t replica = 0; // also of who has no claim, which the manager says
    for (std::size_t i = 0; i < managers.size() && context != nullptr; ++i)
      if (managers[i]->contains(context->id())) replica = i;
    batches[replica].push_back(context);
  }
  return batches;
}

Result<void> TextGenerationPipeline::Impl::compute_all(std::vector<Step>& steps) {
  std::vector<Result<void>> computed(steps.size());
  threads_->run([&](std::uint32_t i) {
    computed[i] = steps[i].batch.empty() ? Result<void>() : draft(replicas[i], steps[i]);
    if (computed[i]) computed[i] = step_one(replicas[i], steps[i]);
    if (!computed[i] && parts.group) parts.group->abort(computed[i].error()); // nobody waits for it
  });
  const bool failed = std::any_of(computed.begin(), computed.end(), [](const Result<void>& of_replica) { return !of_replica; });
  if (failed && parts.group) parts.group->reset();
  for (const Result<void>& of_replica : computed) PLIMSOLL_TRY(of_replica);
  return {};
}

// A replica's part of a step of all.
Result<void> TextGenerationPipeline::Impl::step_one(Replica& replica, Step& step) const {
  if (!step.batch.empty()) return compute(replica, step);
  if (replica.model->shares_experts()) PLIMSOLL_TRY(replica.model->execute_idle());
  return {};
}

// Every replica's proposals, in the order of its batch, as its first process says them: how many, then which.
Result<void> TextGenerationPipeline::Impl::share_drafts(std::vector<Step>& steps, std::size_t own) const {
  std::string mine;
  for (const Proposal& proposal : steps[own].proposals) {
    mine += fmt::format("{} ", proposal.tokens.size());
    for (const Token token : proposal.tokens) mine += fmt::format("{} ", token);
  }
  PLIMSOLL_ASSIGN(const std::vector<std::string> all, parts.processes->gather(mine));
  for (std::size_t replica = 0; replica < steps.size(); ++replica) {
    if (replica == own) continue;
    std::istringstream said(all[replica * (all.size() / steps.size())]);
    for (TextGenerationContext* const context : steps[replica].batch) {
      std::uint64_t count = 0;
      said >> count;
      std::vector<Token> tokens(said ? std::min(count, draft_tokens()) : 0);
      for (Token& token : tokens) said >> token;
      if (!said) return fail(ErrorCode::kInternal, fmt::format("what replica {} drafted cannot be read", replica));
      PLIMSOLL_ASSIGN(Proposal proposal, adopt(context->state().tokens, tokens));
      steps[replica].proposals.push_back(std::move(proposal));
    }
  }
  return {};
}

// This process's replica computes with its ranks; once all have, everybody reads what the others say.
Result<void> TextGenerationPipeline::Impl::compute_among_processes(std::vector<Step>& steps) {
  Processes::Impl& with = parts.processes->impl();
  std::uint64_t hash = 0;
  for (const Step& step : steps)
    for (TextGenerationContext* const context : step.batch) {
      const TextContext& tokens = context->tokens();
      const std::array<std::uint64_t, 2> at{tokens.id(), tokens.processed_length()};
      hash = step_hash(step_hash(hash, std::as_bytes(std::span(at))), std::as_bytes(tokens.active_tokens()));
    }
  PLIMSOLL_TRY(with.meet_for(hash));
  const std::size_t own = with.rank() / (with.size() / steps.size());
  Result<void> computed;
  if (!steps[own].batch.empty()) computed = draft(replicas[own], steps[own]);
  if (computed && draft_tokens() > 0) computed = share_drafts(steps, own);
  if (computed) computed = step_one(replicas[own], steps[own]);
  if (!computed) {
    parts.processes->fail(computed.error());
    return computed;
  }
  PLIMSOLL_TRY(with.meet_all());
  for (std::size_t i = 0; i < steps.size(); ++i)
    if (i != own && !steps[i].batch.empty()) PLIMSOLL_TRY(compute(replicas[i], steps[i]));
  return {};
}

Result<TextGenerationPipeline::Impl::Outputs> TextGenerationPipeline::Impl::execute(const Batches& batches) {
  Outputs outputs;
  std::set<RequestId> ids;
  std::vector<Step> steps(batches.size());
  for (std::size_t i = 0; i < batches.size(); ++i) {
    PLIMSOLL_TRY(check_batch(batches[i], ids));
    steps[i].batch = batches[i];
  }
  if (auto computed = parts.processes && steps.size() > 1 ? compute_among_processes(steps) : compute_all(steps); !computed) {
    for (Step& step : steps) step.take_back_drafts();
    return tl::unexpected(std::move(computed.error()));
  }
  for (std::size_t replica = 0; replica < steps.size(); ++replica) {
    Step& step = steps[replica];
    if (step.batch.empty()) continue;
    choose_tokens(step);
    PLIMSOLL_TRY(add_log_probabilities(*replicas[replica].model, step));
  }
  PLIMSOLL_TRY(follow_all(steps));
  for (std::size_t replica = 0; replica < steps.size(); ++replica) {
    Step& step = steps[replica];
    if (step.batch.empty()) continue;
    const bool keeps_states = has_states(manager(static_cast<std::uint32_t>(replica)));
    for (std::size_t i = 0; i < step.batch.size(); ++i) {
      State& state = step.batch[i]->state();
      PLIMSOLL_ASSIGN(std::optional<TextGenerationOutput> output,
                      advance(state, step.next[i], step.further[i], step.drafted[i], keeps_states));
      if (output && step.expected)
        expect_next(state, sampler_, *replicas[replica].model->draft_head(), *step.expected, static_cast<std::uint32_t>(i));
      if (output) outputs.emplace(output->id, std::move(*output));
    }
    if (PagedKvManager* const kv = manager(static_cast<std::uint32_t>(replica))) PLIMSOLL_TRY(kv->step(step.contexts));
  }
  return outputs;
}

} // namespace plimsoll
