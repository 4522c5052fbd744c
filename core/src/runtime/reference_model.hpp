// The reference model: executes the pipeline that a model's planners describe, on every rank of its plan, in the memory that this sets
// aside and no other. Ranks are threads of this process, or it is one of them and the others are processes too. Made by
// PipelineModel::load. The executors wait for the pages, which come with
// load_kv_manager. Threads: see pipeline_model.hpp; it has threads of its own where there are several ranks.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "plimsoll/kv_cache_model.hpp"
#include "plimsoll/pipeline_model.hpp"
#include "runtime/lora_manager.hpp"
#include "runtime/model_rank.hpp"
#include "runtime/nccl_group.hpp"
#include "runtime/process_group.hpp"
#include "runtime/rank_threads.hpp"
#include "runtime/vision_cache.hpp"

namespace plimsoll {

class ReferenceModel : public PipelineModel {
public:
  // Of all ranks: the model's, and those of the model that drafts for it, where there is one.
  struct Programs {
    std::vector<Program> model, draft;
  };
  // `find`: adapters in directories, where the program has slots for them.
  static Result<std::unique_ptr<PipelineModel>> create(Programs programs, PipelineModelOptions options, LoraManager::Impl::FindSources find,
                                                       const LoadProgress& progress);

  Result<std::unique_ptr<ModelInputs>> prepare_initial_token_inputs(std::span<const TextContext* const> batch,
                                                                    std::optional<KvCacheInputs> kv,
                                                                    std::uint64_t return_n_logits) override;
  Result<std::unique_ptr<ModelInputs>> prepare_next_token_inputs(const Tensor& next_tokens, std::unique_ptr<ModelInputs> previous) override;
  Result<ModelOutputs> execute(const ModelInputs& inputs) override;
  bool shares_experts() const noexcept override { return program().replicas > 1; }
  Result<std::uint64_t> execute_idle() override;
  StepLimits step_limits() const override;
  std::optional<ImageLimits> image_limits() const override;
  LoraManager* lora_manager() noexcept override { return adapters_.get(); }
  PipelineModel* draft() noexcept override { return draft_.get(); }
  DraftHead* draft_head() noexcept override;

  ~ReferenceModel() override;

protected:
  // `drafts_for`: the model whose draft this is, and whose memory it has a part of; may be null.
  ReferenceModel(std::vector<Program> programs, PipelineModelOptions options, ReferenceModel* drafts_for = nullptr);
  // Tables for the largest pass of the program, which is what the plan counts; then the executor.
  Result<KvCache> bind_pages(const Plan& plan, std::span<Arena> arenas, const KvCacheOptions& options);

private:
  // The same where there are no pages.
  Result<void> bind_alone();
  Result<void> take_memory();
  // On devices, where several ranks share the model.
  Result<void> join_devices();
  Result<void> take_slots(LoraManager::Impl::FindSources find);
  Result<void> add_draft(std::vector<Program> programs);
  Result<void> bind(KvCache& cache, const KvGeometry& geometry);
  const Program& program() const { return ranks_.front().program(); }
  Result<void> load_weights(const LoadProgress& progress);
  Result<void> count_blas();
  Result<std::span<const std::int32_t>> adapter_slots(const ModelInputs& inputs, std::size_t sequences) const;
  // Where the ranks of this process meet the others: the plan's signal buffers, which a host may have released and taken anew since the
  // step before.
  Result<std::vector<std::span<std::byte>>> exchange_buffers();
  Result<void> begin_step(const StepInputs& step, const KvDeviceInputs* device);
  std::uint32_t n_ranks() const { return program().tensor_ranks * program().stages; }
  // Whether it meets other ranks; its first rank in the group of those.
  bool meets_others() const { return n_ranks() > 1 || shares_experts(); }
  std::uint32_t first_in_group() const { return shares_experts() ? replica_ * n_ranks() : 0; }
  // Of the rank at that place of those here; null: it is alone.
  Communicator* communicator(std::size_t i);
  // Where this process's logits lie for others to read; null: they read none.
  const void* shown_logits() const;
  // Whether somebody reads the logits that a rank here has.
  bool is_heard(std::uint32_t rank) const;
  // On every rank of this process at the same time.
  Result<void> on_ranks(const std::function<Result<void>(std::size_t rank)>& work);
  Result<ForwardOutputs<float>> run_ranks(const StepInputs& step, std::span<const KvDeviceInputs> devices);
  class Head;   // that drafts, of all ranks
  class Inputs; // of a step, with the images that its tokens stand for
  Result<std::unique_ptr<Inputs>> text_inputs(std::uint64_t tokens, std::uint64_t sequences);
  Result<void> add_images(std::span<const TextContext* const> batch, Inputs& inputs) const;
  Result<void> hold_images(const Inputs& inputs, StepInputs& step);

  ReferenceModel* const drafts_for_;
  const std::uint32_t replica_;
  std::unique_ptr<ReferenceModel> draft_;    // null where none drafts; over copies of the arenas' doors
  std::unique_ptr<Head> head_;               // null where none drafts
  std::unique_ptr<LoraManager> adapters_;    // null where the plan has no room for any; it outlives the executors
  std::vector<ModelRank> ranks_;             // those of this process
  std::shared_ptr<ReplicaGroup> replicas_;   // null where it shares no experts, or ranks are processes
  std::shared_ptr<RankGroup> own_group_;     // of all ranks, else; a draft's may be the model's
  RankGroup* group_ = nullptr;               // one of both
  ProcessGroup* among_processes_ = nullptr;  // that group, where ranks are processes
  std::shared_ptr<NcclGroup> devices_;       // what joins them on devices; likewise
  std::shared_ptr<void> shown_logits_;       // of a device, in this process's window, where others read them
  std::uint64_t logits_offset_bytes_ = 0;    // in the slab of the first rank of the last stage
  std::vector<Buffer> own_buffers_;          // where the plan has no signal buffers
  std::vector<std::uint32_t> logit_offsets_; // of the last pass
  // Where images are taken: which are in the cache; what the step at hand encodes, and which row of the cache each of its tokens has.
  std::optional<VisionCache> images_;
  std::vector<StepInputs::Encoded> encoded_;
  std::vector<std::uint32_t> image_rows_;
  RankThreads threads_; // goes first: nothing runs when the rest goes
};

// One whose plan has pages: all but models that read a request whole.
class PagedReferenceModel final : public ReferenceModel, public KvCacheModel {
public:
  PagedReferenceModel(std::vector<Program> programs, PipelineModelOptions options)
      : ReferenceModel(std::move(programs), std::move(options)) {}
  Result<KvCache> load_kv_manager(const Plan& plan, std::span<Arena> arenas, const KvCacheOptions& options) override {
    return bind_pages(plan, arenas, options);
  }
};

} // namespace plimsoll
