#include "runtime/drafting.hpp"

#include <algorithm>

#include "runtime/sampler.hpp"

namespace plimsoll {
namespace {

using State = TextGenerationContext::State;

class Drafting {
public:
  Drafting(PipelineModel& draft, KvCache& cache, std::span<State* const> batch)
      : draft_(draft), cache_(cache), batch_(batch), proposals_(batch.size()), processed_(batch.size()) {
    for (std::size_t i = 0; i < batch.size(); ++i) {
      TextContext& context = batch[i]->tokens;
      processed_[i] = context.processed_length();
      proposals_[i].chunk_limit = context.chunk_limit();
      under_way_.push_back(i);
    }
  }

  // A pass over what is active, then one for each token that was proposed: the last one's gives no token, but its part of the cache.
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

private:
  Result<void> pass() {
    std::vector<const TextContext*> contexts;
    for (const std::size_t i : under_way_) contexts.push_back(&batch_[i]->tokens);
    PLIMSOLL_ASSIGN(KvCacheInputs kv, cache_.runtime_inputs(contexts));
    PLIMSOLL_ASSIGN(const std::unique_ptr<ModelInputs> inputs, draft_.prepare_initial_token_inputs(contexts, std::move(kv), 1));
    PLIMSOLL_ASSIGN(const ModelOutputs outputs, draft_.execute(*inputs));
    std::vector<std::size_t> further;
    for (std::size_t row = 0; row < under_way_.size(); ++row) {
      const std::size_t i = under_way_[row];
      PLIMSOLL_ASSIGN(const bool proposed, propose_next(i, outputs, row));
      if (proposed) further.push_back(i);
    }
    under_way_ = std::move(further);
    return {};
  }

  Result<bool> propose_next(std::size_t i, const ModelOutputs& outputs, std::size_t row) {
    State& state = *batch_[i];
    Proposal& proposal = proposals_[i];
    if (proposal.tokens.size() >= state.draft_tokens || !state.tokens.reaches_end()) return false;
    PLIMSOLL_ASSIGN(const std::span<const float> logits, outputs.next_token_row(row));
    const auto token = sampler_.sample(logits, state.sampling, state.tokens.id(), state.tokens.size_tokens());
    if (!token) return false; // a draft that computes nonsense proposes nothing
    state.tokens.set_chunk_limit(0);
    PLIMSOLL_TRY(state.tokens.update(*token));
    proposal.tokens.push_back(*token);
    return true;
  }

  PipelineModel& draft_;
  KvCache& cache_;
  std::span<State* const> batch_;
  std::vector<Proposal> proposals_;
  std::vector<std::uint64_t> processed_; // of each context before
  std::vector<std::size_t> under_way_;   // of the batch: has a part in the next pass
  Sampler sampler_;
};

} // namespace

Result<std::vector<Proposal>> propose(PipelineModel& draft, KvCache& cache, std::span<State* const> batch) {
  return Drafting(draft, cache, batch).run();
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
