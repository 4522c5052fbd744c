// A replica whose ranks are other processes, as this one sees it: the same decisions are made for it here, and its logits are read where
// they were computed. Made by PipelineModel::load beside the one replica that this process has a rank of. Takes no memory of the plan's.
// Threads: see pipeline_model.hpp.
#pragma once

#include <memory>
#include <vector>

#include "plimsoll/kv_cache_model.hpp"
#include "plimsoll/pipeline_model.hpp"
#include "runtime/lora_manager.hpp"

namespace plimsoll {

class RemoteReplica : public PipelineModel, public KvCacheModel {
public:
  // `program`: of the rank that has the logits, that process `process`. `find`: adapters in directories.
  static Result<std::unique_ptr<PipelineModel>> create(Program program, std::uint32_t process, PipelineModelOptions options,
                                                       LoraManager::Impl::FindSources find);

  // What log-probabilities are computed with, in memory of this object's.
  Result<std::unique_ptr<ModelInputs>> prepare_initial_token_inputs(std::span<const TextContext* const> batch,
                                                                    std::optional<KvCacheInputs> kv,
                                                                    std::uint64_t return_n_logits) override;
  Result<std::unique_ptr<ModelInputs>> prepare_next_token_inputs(const Tensor& next_tokens, std::unique_ptr<ModelInputs> previous) override;
  // Nothing is computed: the other process has, and all have met since. Its logits, until all meet again.
  Result<ModelOutputs> execute(const ModelInputs& inputs) override;
  bool shares_experts() const noexcept override { return program_.replicas > 1; }
  StepLimits step_limits() const override;
  LoraManager* lora_manager() noexcept override { return adapters_.get(); }
  // Numbers of pages, and no pages.
  Result<KvCache> load_kv_manager(const Plan& plan, std::span<Arena> arenas, const KvCacheOptions& options) override;

private:
  RemoteReplica(Program program, std::uint32_t process, PipelineModelOptions options);

  Program program_;
  std::uint32_t process_;
  std::unique_ptr<LoraManager> adapters_;    // who has which slot there; null where the plan has none
  std::vector<std::uint32_t> logit_offsets_; // of the last pass
};

} // namespace plimsoll
