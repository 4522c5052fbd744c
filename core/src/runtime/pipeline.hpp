// TextGenerationPipeline behind its face: the parts of a pipeline and what they do in a step. new_context.cpp makes requests,
// pipeline_step.cpp computes a step, text_generation.cpp puts pipelines together. Threads: [serial]; in a step each replica's model and
// cache are a thread's own, all else is the caller's.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "plimsoll/text_generation.hpp"
#include "runtime/active_request.hpp"
#include "runtime/rank_threads.hpp"
#include "runtime/sampler.hpp"

namespace plimsoll {

class TextGenerationPipeline::Impl {
public:
  using Batch = std::span<TextGenerationContext* const>;
  using Batches = std::vector<std::vector<TextGenerationContext*>>; // of each replica
  using Outputs = std::map<RequestId, TextGenerationOutput>;

  static Result<std::shared_ptr<Impl>> create(PipelineParts parts);

  Result<TextGenerationContext> new_context(const TextGenerationRequest& request, RequestId id) const;
  // Each replica its batch, all at the same time; a replica without requests does nothing but its part of shared experts.
  Result<Outputs> execute(const Batches& batches);
  // The requests with who claimed them.
  Batches of_replicas(Batch batch) const;
  void release(RequestId request) noexcept;
  PipelineModel& model() const { return *replicas.front().model; }
  PagedKvManager* manager(std::uint32_t replica) const { return managers.empty() ? nullptr : managers[replica]; }
  // That a request is drafted in a step; 0: none are.
  std::uint64_t draft_tokens() const;
  const Plan& plan() const { return parts.plan ? *parts.plan : model().plan(); }

  // One copy of the model, with pages of its own. Replicas share experts or nothing.
  struct Replica {
    std::unique_ptr<PipelineModel> model;
    std::optional<KvCache> cache;
  };
  PipelineParts parts; // without the models
  StepLimits limits;   // of each model
  std::vector<Replica> replicas;
  std::vector<PagedKvManager*> managers;      // those of the caches
  std::map<RequestId, ActiveRequest*> active; // those of all generations

private:
  struct Step;
  Result<void> add_replica(std::unique_ptr<PipelineModel> model);
  Result<void> step_one(Replica& replica, Step& step) const;
  Result<void> draft(Replica& replica, Step& step) const;
  Result<void> compute(Replica& replica, Step& step) const;
  Result<void> share_drafts(std::vector<Step>& steps, std::size_t own) const;
  Result<void> compute_all(std::vector<Step>& steps);
  Result<void> compute_among_processes(std::vector<Step>& steps);
  void choose_tokens(Step& step);
  Result<void> follow(Replica& replica, Step& step) const;
  Result<void> follow_all(std::vector<Step>& steps);
  Result<void> add_log_probabilities(PipelineModel& model, Step& step);

  Sampler sampler_;
  std::unique_ptr<RankThreads> threads_; // of the replicas; goes first
};

} // namespace plimsoll
