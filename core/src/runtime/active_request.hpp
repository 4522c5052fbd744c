// A request of a generation: its context, its claim, and what it gave so far. Generations own them, the scheduler moves them, the pipeline
// knows them by id. Threads: [serial].
#pragma once

#include <optional>

#include "plimsoll/text_generation.hpp"
#include "runtime/generation_state.hpp"

namespace plimsoll {

struct ActiveRequest {
  std::optional<TextGenerationContext> context; // absent where the request was refused
  std::optional<KvClaim> claim;                 // while it is in a batch
  std::optional<LoraClaim> adapter;             // likewise, where it has one
  bool released = false;                        // by who owns the pipeline; its generation ends it
  std::uint32_t replica = 0;                    // that serves it, for good
  TextGenerationOutput merged;                  // of all steps

  void give_claims_back() {
    claim.reset();
    adapter.reset();
  }
  TextGenerationContext::State& state() { return context->state(); }
  TextContext& tokens() { return context->state().tokens; }
};

} // namespace plimsoll
