// Generation behind its face: requests from their first step to their last. It owns them; the scheduler of the replica that has the fewest
// tokens to serve says when each steps, the pipeline computes. Threads: [serial], with its pipeline.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "plimsoll/text_generation.hpp"
#include "runtime/pipeline.hpp"
#include "runtime/scheduler.hpp"

namespace plimsoll {

class Generation::Impl {
public:
  using PipelineImpl = TextGenerationPipeline::Impl;

  Impl(std::shared_ptr<PipelineImpl> pipeline, std::size_t most_requests);
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl();

  // kBadRequest: an id that a request under way has. Requests that are refused are told of by the first step.
  Result<void> enter(const TextGenerationRequest& prompt);
  Result<std::optional<std::vector<TextGenerationOutput>>> next(const std::stop_token& stop);
  void cancel(RequestId id) noexcept;
  std::vector<TextGenerationOutput> finish();

private:
  Result<void> step();
  void tell(ActiveRequest& request, TextGenerationOutput output);
  void end(ActiveRequest& request, std::optional<Error> error = std::nullopt);
  void end_released();
  void end_all();
  void leave(ActiveRequest& request) noexcept;

  std::shared_ptr<PipelineImpl> pipeline_;
  std::vector<Scheduler> schedulers_;                // of each replica
  std::vector<std::uint64_t> promised_tokens_;       // of each replica's requests that are not done
  std::vector<ActiveRequest> requests_;              // in the order of the prompts; never more than were reserved
  std::map<std::size_t, TextGenerationOutput> told_; // by that order: what this step gave
  std::size_t left_ = 0;                             // that are not done
};

} // namespace plimsoll
