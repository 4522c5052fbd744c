// A draft at work. A model that drafts computes what its target is about to compute, so that the cache has its part of every token, and
// says of some requests which tokens it expects next. A head of the target's own runs behind each of its passes instead, over the same
// tokens, so that it expects one already, and proposes more before the next. Called by a step of the pipeline before the target's pass,
// which verifies them. Sampling is the target's, so a draft that knows as much proposes what is then chosen. Threads: that of the replica.
#pragma once

#include <span>
#include <vector>

#include "plimsoll/kv_cache_model.hpp"
#include "plimsoll/pipeline_model.hpp"
#include "runtime/generation_state.hpp"
#include "runtime/sampler.hpp"

namespace plimsoll {

// What was proposed for one request, and behind which tokens it stands while it is verified.
struct Proposal {
  std::vector<Token> tokens;
  std::uint64_t chunk_limit = 0; // of the context before
};

// For every request of the batch at most as many tokens as its state says. They stand behind its tokens, active with these, until
// take_back. An error leaves all contexts as they were.
Result<std::vector<Proposal>> propose(PipelineModel& draft, KvCache& cache, std::span<TextGenerationContext::State* const> batch);

// The same of a head: of requests that it expects a token of, as they were when it did.
Result<std::vector<Proposal>> propose(DraftHead& head, KvCache& cache, std::span<TextGenerationContext::State* const> batch);

// What the head's last run, behind a step, expects of its request of that number, which has been given what was chosen. `sampler`: any.
void expect_next(TextGenerationContext::State& state, Sampler& sampler, const DraftHead& head, const ModelOutputs& outputs,
                 std::uint32_t request);

// The same of a proposal that was made elsewhere.
Result<Proposal> adopt(TextContext& context, std::span<const Token> tokens);

// None of a proposal is the request's; before the target's choice is added to it.
void take_back(TextContext& context, Proposal& proposal);

} // namespace plimsoll
