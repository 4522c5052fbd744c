// One rank of the reference model: its program, its weights and everything else that lies in its arena, and the executor. Made by
// reference_model.cpp, one for each rank of a plan. Threads: [serial]; ranks share nothing but what their communicator joins.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "backend/backend.hpp"
#include "plimsoll/kv_cache_model.hpp"
#include "plimsoll/pipeline_model.hpp"
#include "runtime/executor.hpp"
#include "runtime/lora_manager.hpp"

namespace plimsoll {

// What a step computes, in memory of the host's.
struct StepInputs {
  // An image that is encoded before the step, and the blocks of the vision cache that its rows fill.
  struct Encoded {
    const Image* image = nullptr;
    std::span<const std::uint32_t> blocks;
  };
  std::span<const std::int64_t> tokens;
  std::span<const std::uint32_t> row_offsets;
  std::uint64_t logits_per_sequence = 1;
  std::span<const std::int32_t> adapters;    // slot of each sequence's adapter, -1 for none; empty: none has one
  std::span<const std::uint32_t> positions;  // three of each token; empty: all are its place
  std::span<const std::uint32_t> image_rows; // of each token; empty: none has one
  std::span<const Encoded> images;
  // Of the head that drafts, in place of the model: a row of hidden states for each token, of the model's last pass or of its own.
  struct Head {
    std::span<const std::uint32_t> rows;
    bool of_model = true;
    std::uint64_t most = 0;
  };
  std::optional<Head> head;
};

class ModelRank {
public:
  // `backend`: null for the processors. `prefix`: of the plan's labels; a draft model's begin with "draft.".
  explicit ModelRank(Program program, std::shared_ptr<Backend> backend = nullptr, std::string prefix = {});
  ModelRank(ModelRank&&) noexcept;
  ~ModelRank();

  // The slab, with a guard behind it unless other processes read its logits; and what a step is handed, which says who has which adapter
  // where the program has slots for any, and where images stand where it takes any. `vision_bytes`: of the cache of encoded images.
  Result<void> take_memory(Arena& arena, bool others_read, std::uint64_t vision_bytes);
  Result<void> load_weights(Arena& arena, const LoadProgress& progress);
  // What a device's BLAS works in.
  Result<void> take_workspace(Arena& arena);
  // The slots of the program's adapters, whose manager must outlive the executor.
  void use_slots(const ExecutorAdapters& slots) { slots_ = slots; }
  // The executor, over the pages of a cache.
  Result<void> bind(KvCache& cache, const KvGeometry& geometry, Communicator* communicator);
  // The same for a model without a cache: each pass reads its requests whole.
  Result<void> bind_alone(Arena& arena, Communicator* communicator);
  // One pass; what is not in the rank's own memory yet is copied there. `kv` is null for a model without a cache. kBadRequest: pages of
  // another cache, or none.
  Result<ForwardOutputs<float>> run(const StepInputs& step, const KvDeviceInputs* kv, const KvGeometry& geometry);
  // Its part of what other replicas compute, where it shares experts with them and has no tokens itself. How many these have.
  Result<std::uint64_t> run_idle() { return executor_->run_idle(); }

  bool has_head() const { return program_.head != nullptr; }

  // The same with the logits in memory of the host, until the next pass.
  Result<ForwardOutputs<float>> on_host(ForwardOutputs<float> outputs);
  // Where a device's logits are copied to, so that other processes see them; it outlives this.
  void show_logits(std::span<float> memory) { shown_logits_ = memory; }

  const Program& program() const { return program_; }
  const std::shared_ptr<Backend>& backend() const { return backend_; }
  bool on_device() const { return !backend_->on_host(); }
  const void* slab() const { return slab_.data(); }
  bool is_bound() const { return executor_.has_value(); }
  // For the largest pass.
  const Tensor& tokens() const { return tokens_; }
  const Tensor& row_offsets() const { return row_offsets_; }
  const Tensor& return_n_logits() const { return return_n_logits_; }
  const Tensor& lora_ids() const { return lora_ids_; }
  const Tensor& lora_ranks() const { return lora_ranks_; }
  const Tensor& position_ids() const { return position_ids_; }
  const Tensor& head_tokens() const { return head_tokens_; }
  const Tensor& head_row_offsets() const { return head_row_offsets_; }

private:
  Result<std::span<std::byte>> stage(std::uint64_t bytes);
  Result<void> take_head_memory(Arena& arena);
  Result<void> take_image_memory(Arena& arena, std::uint64_t vision_bytes);
  Result<void> encode(const StepInputs::Encoded& image);
  Result<void> make_executor(std::vector<ExecutorKvGroup> groups, Communicator* communicator);

  Program program_;
  std::string prefix_;
  std::shared_ptr<Backend> backend_;
  std::vector<std::uint64_t> staged_; // a weight on its way to a device; aligned for every type
  std::vector<float> logits_;         // of a device's last pass, where there is no place to show them
  std::span<float> shown_logits_;
  Buffer workspace_;
  std::vector<Buffer> weights_; // of program_.weights.tensors
  Buffer slab_;
  ExecutorAdapters slots_;                             // of the model's manager
  Tensor tokens_, row_offsets_, return_n_logits_;      // of the largest pass
  Tensor lora_ids_, lora_ranks_;                       // likewise, where there are adapters
  Tensor cache_lengths_, max_lengths_;                 // likewise, where there is no cache that has them: zeros
  std::vector<const std::byte*> pools_;                // of each group, as the executor has them
  Tensor position_ids_, image_rows_, patch_positions_; // likewise, where images are taken; the last two where they are encoded
  Buffer head_slab_;                                   // where a head drafts
  Tensor head_tokens_, head_row_offsets_;              // likewise
  Buffer vision_cache_;                                // rows of encoded images
  std::optional<Executor<float>> executor_, encoder_, head_;
};

} // namespace plimsoll
