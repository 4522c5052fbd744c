// The reference model: executes the pipeline that a model's planners describe, on one rank, in the memory that its plan sets aside and no
// other. Made by PipelineModel::load. The executor waits for the pages, which come with load_kv_manager. Threads: see pipeline_model.hpp.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "backend/backend.hpp"
#include "plimsoll/kv_cache_model.hpp"
#include "plimsoll/pipeline_model.hpp"
#include "runtime/executor.hpp"

namespace plimsoll {

class ReferenceModel : public PipelineModel, public KvCacheModel {
public:
  static Result<std::unique_ptr<PipelineModel>> create(Program program, PipelineModelOptions options, const LoadProgress& progress);

  Result<std::unique_ptr<ModelInputs>> prepare_initial_token_inputs(std::span<const TextContext* const> batch,
                                                                    std::optional<KvCacheInputs> kv,
                                                                    std::uint64_t return_n_logits) override;
  Result<std::unique_ptr<ModelInputs>> prepare_next_token_inputs(const Tensor& next_tokens, std::unique_ptr<ModelInputs> previous) override;
  Result<ModelOutputs> execute(const ModelInputs& inputs) override;
  StepLimits step_limits() const override;
  // Tables for the largest pass of the program, which is what the plan counts; then the executor.
  Result<KvCache> load_kv_manager(const Plan& plan, std::span<Arena> arenas, const KvCacheOptions& options) override;

private:
  ReferenceModel(Program program, PipelineModelOptions options);
  Result<void> take_memory();
  Result<void> load_weights(const LoadProgress& progress);
  Result<void> count_blas();
  Result<std::unique_ptr<ModelInputs>> text_inputs(std::uint64_t tokens, std::uint64_t sequences);

  Program program_;
  std::shared_ptr<Backend> backend_;
  std::vector<Buffer> weights_; // of program_.weights.tensors
  Buffer slab_;
  Tensor tokens_, row_offsets_, return_n_logits_; // of the largest pass
  std::vector<std::uint32_t> logit_offsets_;      // of the last pass
  std::vector<const std::byte*> pools_;           // of each group, as the executor has them
  std::optional<Executor<float>> executor_;
};

} // namespace plimsoll
