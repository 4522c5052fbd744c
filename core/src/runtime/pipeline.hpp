// TextGenerationPipeline behind its face: the parts of a pipeline and what they do in a step. new_context.cpp makes requests,
// pipeline_step.cpp computes a step, text_generation.cpp puts pipelines together. Threads: [serial].
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "plimsoll/text_generation.hpp"
#include "runtime/active_request.hpp"
#include "runtime/sampler.hpp"

namespace plimsoll {

class TextGenerationPipeline::Impl {
public:
  using Batch = std::span<TextGenerationContext* const>;
  using Outputs = std::map<RequestId, TextGenerationOutput>;

  static Result<std::shared_ptr<Impl>> create(PipelineParts parts);

  Result<TextGenerationContext> new_context(const TextGenerationRequest& request, RequestId id) const;
  Result<Outputs> execute(Batch batch);
  void release(RequestId request) noexcept;
  PagedKvManager* manager() const { return managers.empty() ? nullptr : managers.front(); }

  PipelineParts parts;
  StepLimits limits; // of the model
  std::optional<KvCache> cache;
  std::vector<PagedKvManager*> managers;      // that of the cache
  std::map<RequestId, ActiveRequest*> active; // those of all generations

private:
  struct Step;
  Result<void> compute(Batch batch, Step& step);
  void choose_tokens(Batch batch, Step& step);
  Result<void> add_log_probabilities(Batch batch, Step& step);

  Sampler sampler_;
};

} // namespace plimsoll
