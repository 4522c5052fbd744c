#include "runtime/drafting.hpp"

#include <algorithm>

namespace plimsoll {
namespace {

using State = TextGenerationContext::State;

// Nothing where what drafts computes nonsense.
std::optional<Token> guess(Sampler& sampler, const State& state, std::span<const float> logits) {
  const auto token = sampler.sample(logits, state.sampling, state.tokens.id(), state.tokens.size_tokens());
  return token ? std::optional(*token) : std::nullopt;
}

// What a step's requests are proposed, pass by pass, on contexts that are as they were afterwards but for the proposals.
class Drafting {
public:
  Drafting(KvCache& cache, std::span<State* const> batch)
      : cache_(cache), batch_(batch), proposals_(batch.size()), processed_(batch.size()) {
    for (std::size_t i = 0; i < batch.size(); ++i) {
      processed_[i] = batch[i]->tokens.processed_length();
      proposals_[i].chunk_limit = batch[i]->tokens.chunk_limit();
    }
  }
  Drafting(const Drafting&) = delete;
  Drafting& operator=(const Drafting&) = delete;
  virtual ~Drafting() = default;

  Result<std::vector<Proposal>> run() {
    Result<void> passed;
    while (passed && !under_way_.empty()) passed = pass();
    for (std::size_t i = 0; i < batch_.size(); ++i) {
      TextContext& context = batch_[i]->tokens;
      static_cast<void>(context.rewind_processing(context.processed_length() - processed_[i])); // what was processed here
      if (!passed) take_back(context, proposals_[i]);
    }
    if (!passed) return tl::unexpected(std::move(passed.error()));
    return std::move(proposals_);
  }

protected:
  virtual Result<void> pass() = 0;

  std::vector<const TextContext*> contexts(std::span<const std::size_t> of) const {
    std::vector<const TextContext*> out;
    for (const std::size_t i : of) out.push_back(&batch_[i]->tokens);
    return out;
  }
  Result<std::optional<Token>> sample(std::size_t i, const ModelOutputs& outputs, std::size_t row) {
    PLIMSOLL_ASSIGN(const std::span<const float> logits, outputs.next_token_row(row));
    return guess(sampler_, *batch_[i], logits);
  }
  Result<void> add(std::size_t i, Token token) {
    batch_[i]->tokens.set_chunk_limit(0);
    PLIMSOLL_TRY(batch_[i]->tokens.update(token));
    proposals_[i].tokens.push_back(token);
    return {};
  }

  KvCache& cache_;
  std::span<State* const> batch_;
  std::vector<Proposal> proposals_;
  std::vector<std::uint64_t> processed_; // of each context before
  std::vector<std::size_t> under_way_;   // of the batch: has a part in the next pass

private:
  Sampler sampler_;
};

// A pass over what is active, then one for each token that was proposed: the last one's gives no token, but its part of the cache.
class ModelDrafting final : public Drafting {
public:
  ModelDrafting(PipelineModel& draft, KvCache& cache, std::span<State* const> batch) : Drafting(cache, batch), draft_(draft) {
    for (std::size_t i = 0; i < batch.size(); ++i) under_way_.push_back(i);
  }

private:
  Result<void> pass() override {
    const std::vector<const TextContext*> drafted = contexts(under_way_);
    PLIMSOLL_ASSIGN(KvCacheInputs kv, cache_.runtime_inputs(drafted));
    PLIMSOLL_ASSIGN(const std::unique_ptr<ModelInputs> inputs, draft_.prepare_initial_token_inputs(drafted, std::move(kv), 1));
    PLIMSOLL_ASSIGN(const ModelOutputs outputs, draft_.execute(*inputs));
    std::vector<std::size_t> further;
    for (std::size_t row = 0; row < under_way_.size(); ++row) {
      const std::size_t i = under_way_[row];
      if (proposals_[i].tokens.size() >= batch_[i]->draft_tokens || !batch_[i]->tokens.reaches_end()) continue;
      PLIMSOLL_ASSIGN(const std::optional<Token> token, sample(i, outputs, row));
      if (!token) continue;
      PLIMSOLL_TRY(add(i, *token));
      further.push_back(i);
    }
    under_way_ = std::move(further);
    return {};
  }

  PipelineModel& draft_;
};

// What the head expects is proposed; whoever wants more has it go on from there. Its part of the cache of what is proposed last comes with
// the run behind the step, as all of it that is accepted.
class HeadDrafting final : public Drafting {
public:
  HeadDrafting(DraftHead& head, KvCache& cache, std::span<State* const> batch)
      : Drafting(cache, batch), head_(head), expected_(batch.size()) {
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const std::optional<ExpectedToken>& expected = batch[i]->expected;
      TextContext& tokens = batch[i]->tokens;
      if (!expected || expected->run != head.runs() || expected->size_tokens != tokens.size_tokens() || batch[i]->draft_tokens == 0 ||
          expected->processed != tokens.processed_length() || !tokens.reaches_end())
        continue;
      // It has seen all but the newest, also where the model computes some again.
      if (tokens.active_length() > 1) static_cast<void>(tokens.skip_processing(tokens.active_length() - 1));
      expected_[i] = *expected;
      under_way_.push_back(i);
    }
  }

private:
  Result<void> pass() override {
    std::vector<std::size_t> further;
    std::vector<std::uint32_t> before;
    std::vector<Token> tokens;
    for (const std::size_t i : under_way_) {
      if (proposals_[i].tokens.size() + 1 >= batch_[i]->draft_tokens) continue;
      further.push_back(i);
      before.push_back(expected_[i].request);
      tokens.push_back(expected_[i].token);
    }
    std::optional<ModelOutputs> outputs;
    if (!further.empty()) {
      PLIMSOLL_ASSIGN(KvCacheInputs kv, cache_.runtime_inputs(contexts(further)));
      PLIMSOLL_ASSIGN(outputs, head_.go_on(before, tokens, std::move(kv)));
    }
    for (const std::size_t i : under_way_) PLIMSOLL_TRY(add(i, expected_[i].token));
    under_way_.clear();
    for (std::size_t row = 0; row < further.size(); ++row) {
      PLIMSOLL_ASSIGN(const std::optional<Token> token, sample(further[row], *outputs, row));
      if (!token) continue;
      expected_[further[row]].token = *token;
      expected_[further[row]].request = static_cast<std::uint32_t>(row);
      under_way_.push_back(further[row]);
    }
    return {};
  }

  DraftHead& head_;
  std::vector<ExpectedToken> expected_; // of those under way
};

} // namespace

Result<std::vector<Proposal>> propose(PipelineModel& draft, KvCache& cache, std::span<State* const> batch) {
  return ModelDrafting(draft, cache, batch).run();
}

Result<std::vector<Proposal>> propose(DraftHead& head, KvCache& cache, std::span<State* const> batch) {
  return HeadDrafting(head, cache, batch).run();
}

void expect_next(State& state, Sampler& sampler, const DraftHead& head, const ModelOutputs& outputs, std::uint32_t request) {
  state.expected.reset();
  if (state.status != Status::kActive) return;
  const auto row = outputs.next_token_row(request);
  if (!row) return;
  const TextContext& tokens = state.tokens;
  if (const std::optional<Token> token = guess(sampler, state, *row))
    state.expected = ExpectedToken{*token, tokens.size_tokens(), tokens.processed_length(), head.runs(), request};
}

Result<Proposal> adopt(TextContext& context, std::span<const Token> tokens) {
  Proposal proposal;
  proposal.chunk_limit = context.chunk_limit();
  const std::uint64_t processed = context.processed_length();
  if (!tokens.empty()) context.set_chunk_limit(0);
  for (const Token token : tokens) {
    PLIMSOLL_TRY(context.update(token));
    proposal.tokens.push_back(token);
  }
  PLIMSOLL_TRY(context.rewind_processing(context.processed_length() - processed));
  return proposal;
}

void take_back(TextContext& context, Proposal& proposal) {
  if (proposal.tokens.empty()) return;
  static_cast<void>(context.take_back(proposal.tokens.size())); // they were generated, and nothing of them is processed
  context.set_chunk_limit(proposal.chunk_limit);
  proposal.tokens.clear();
}

} // namespace plimsoll
