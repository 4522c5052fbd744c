// plimsoll/pipeline_model.hpp - a model that can be stepped: PipelineModel, to be derived from, and the reference model, which executes
// what planners describe. Whoever schedules requests (plimsoll/text_generation.hpp, a host's own server) calls it. It takes memory from the
// arenas it is given and nowhere else. Threads: static functions from any thread; a model is [serial], but for signal_buffers.
//
// One step: prepare_initial_token_inputs -> execute -> sample -> compute_log_probabilities where wanted; for further steps of the
// same batch prepare_next_token_inputs in place of the first.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "plimsoll/arena.hpp"
#include "plimsoll/export.hpp"
#include "plimsoll/gpus.hpp"
#include "plimsoll/host.hpp"
#include "plimsoll/lora_manager.hpp"
#include "plimsoll/model_io.hpp"
#include "plimsoll/processes.hpp"
#include "plimsoll/program.hpp"
#include "plimsoll/result.hpp"
#include "plimsoll/text_context.hpp"

namespace plimsoll {

// `value` where given, else the bound. kBadRequest: a value above the bound (the message names both), or below 1.
Result<std::uint64_t> PLIMSOLL_API upper_bounded_default(std::uint64_t upper_bound, std::optional<std::uint64_t> value);

// ---- Log-probabilities ----------------------------------------------------------------------------------------------------

// Of the rows of one request: natural logarithms of the softmax of the raw logits, before temperature and masks.
struct LogProbabilities {
  std::vector<Token> sampled; // the token that follows each row: sampled or, with echo, the prompt's
  std::vector<float> token;   // its log-probability
  // The top_n best tokens, best first, equal ones by id; then the sampled token where it is not among them.
  std::vector<std::vector<std::pair<Token, float>>> top;
};
enum class LogProbabilitiesCode : std::uint8_t {
  kComputed,
  kNotAsked,          // top_n is 0
  kEchoNeedsAllLogits // echo was asked for, and the outputs do not have a row for every input token
};
struct LogProbabilitiesAnswer {
  LogProbabilitiesCode code = LogProbabilitiesCode::kNotAsked;
  std::optional<LogProbabilities> values; // where computed
};

// ---- Estimates ------------------------------------------------------------------------------------------------------------

struct BatchChoice {
  std::uint64_t chosen = 1;        // between 1 and kMostBatch
  std::uint64_t planned = 0;       // what the plan holds, at most the engine's default where none was asked for
  std::uint64_t at_max_length = 0; // requests of the largest length at once: the worst case
};
inline constexpr std::uint64_t kMostBatch = 4096;

struct BatchQuery {
  std::uint64_t available_cache_memory = 0; // bytes on each device
  bool one_host_device = false;             // the only device is the host itself: the documented answer is 1
};

// ---- Model ----------------------------------------------------------------------------------------------------------------

// The largest step that a model takes; a scheduler stays within it.
struct StepLimits {
  std::uint64_t tokens = 0, sequences = 0; // of all requests together
  std::uint64_t output_rows = 0;           // that want logits
  std::uint64_t vocab_tokens = 0;          // ids are below; 0: not known
  // Of a model that gives a vector of each request in place of logits: its elements, how it is made, and whether its length is 1. 0:
  // logits.
  std::uint64_t vector_elements = 0;
  RowPooling pooling = RowPooling::kNone;
  bool normalised = false;
};

// What a model takes of images: their rules, the blocks of its vision cache, which hold all images of a step at once, and the tokens of the
// longest request.
struct ImageLimits {
  ProgramImages rules;
  std::uint64_t cache_blocks = 0, most_tokens = 0;
};

// The part of a plan that one of its replicas is: its ranks, numbered from 0, and its pages. It still says how many replicas there are
// (request.dp); a plan of one replica is itself. kBadRequest: no such replica, or a plan that does not fit.
Result<Plan> PLIMSOLL_API replica_plan(const Plan& plan, std::uint32_t replica);

// Where replicas meet that share experts (--ep beside --dp, where they are threads of one process): made once for all models of a plan.
// Threads: any.
class PLIMSOLL_API ReplicaGroup {
public:
  // Null for a plan of one replica.
  static std::shared_ptr<ReplicaGroup> of(const Plan& whole);
  ~ReplicaGroup();
  // One of them cannot compute its pass: those that wait for it get its error.
  void abort(const Error& error) noexcept;
  // Once a pass that was aborted has ended on all: the next one is whole.
  void reset() noexcept;

  class Impl;
  Impl& impl() { return *impl_; }

private:
  explicit ReplicaGroup(std::unique_ptr<Impl> impl) noexcept;
  std::unique_ptr<Impl> impl_;
};

// What a model is made with: the plan it lives in (that of its replica, where there are several), and an arena for each of its ranks.
struct PipelineModelOptions {
  Plan plan;
  std::vector<Arena> arenas;
  ReturnLogits return_logits = ReturnLogits::kVariable;
  std::shared_ptr<Processes> processes = nullptr; // ranks are processes, and the one arena is that of this one's; null: ranks are threads
  // Which replica it is. Where ranks are processes: of one that this process has no rank of there are no arenas, and what is made computes
  // nothing: it shows what its processes have computed.
  std::uint32_t replica = 0;
  std::vector<std::shared_ptr<Backend>> backends = {}; // of each arena, which gives memory of it; empty: the processors
  std::shared_ptr<ReplicaGroup> group = nullptr;       // of all replicas, where they share experts and are threads
};
using LoadProgress = std::function<void(std::uint64_t done_bytes, std::uint64_t total_bytes)>;

// A head of a model's own that drafts for it (multi-token prediction), in groups of the same KV cache. For a token it reads the next one
// and what the model, or the head itself, made of it, and says what follows that one. Threads: those of its model.
class PLIMSOLL_API DraftHead {
public:
  virtual ~DraftHead();
  // Behind a pass of the model, with its inputs, and before its next: next[i] are the tokens behind the first rows of request i, one for
  // each row that is kept, one at least. Its part of the cache then has these rows. Outputs: a row of logits for each request, of the
  // token behind the last of next[i]. kBadRequest: other requests than the pass had, or more tokens than rows.
  virtual Result<ModelOutputs> follow(const ModelInputs& of_pass, std::span<const std::vector<Token>> next) = 0;
  // A token further: request i goes on from the last row of request before[i] of the run before, which proposed tokens[i]. `kv` is what
  // the cache says of requests with one active token each, in this order; it gets its rows.
  virtual Result<ModelOutputs> go_on(std::span<const std::uint32_t> before, std::span<const Token> tokens, KvCacheInputs kv) = 0;
  // How often it ran. Requests go on from the last run alone.
  virtual std::uint64_t runs() const noexcept = 0;
};

class PLIMSOLL_API PipelineModel {
public:
  // ---- before anything is allocated; the planner's answers. A class may have functions of these names of its own ----

  // The longest request: the one asked for, or what the model was made for. kBadRequest with both where more is asked for.
  static Result<std::uint64_t> calculate_max_seq_len(const Context& context, const Model& model, const PlanRequest& request);
  // Bytes on each rank, as the plan counts them.
  static Result<std::vector<std::uint64_t>> estimate_weights_size(const Context& context, const Model& model, const PlanRequest& request);
  static Result<std::vector<std::uint64_t>> estimate_activation_memory(const Context& context, const Model& model,
                                                                       const PlanRequest& request);
  // How many requests a batch should have. 1 for a model without KV cache and for one host device.
  static Result<BatchChoice> infer_optimal_batch_size(const Context& context, const Model& model, const PlanRequest& request,
                                                      const BatchQuery& query);

  // ---- making one ----

  // The reference model: executes the pipeline that the model's planners describe, with weights loaded into the arenas. Ranks are threads
  // of this process, or processes where the options name them: those of a tensor-parallel group join their results in the plan's signal
  // buffers, those of a pipeline stage hand on to the next through them; a rank that cannot go on ends the step of all with its error. A
  // model is one replica: the plan is what replica_plan says, and where replicas share experts PipelineModelOptions::group is needed.
  // kBadRequest where the plan does not fit; kUnsupportedArchitecture where no pipeline is described, or one that ranks cannot share.
  static Result<std::unique_ptr<PipelineModel>> load(const Context& context, const Model& model, const PlanRequest& request,
                                                     PipelineModelOptions options, const LoadProgress& progress = {});
  virtual ~PipelineModel();

  // ---- steps ----

  // Inputs for the active tokens of a batch, concatenated. `kv` is what the cache says of the same batch in the same order; absent for a
  // model without one. At most `return_n_logits` trailing rows of each request want logits. The inputs may lie in memory of the model's
  // own and are valid until the next call.
  virtual Result<std::unique_ptr<ModelInputs>> prepare_initial_token_inputs(std::span<const TextContext* const> batch,
                                                                            std::optional<KvCacheInputs> kv = std::nullopt,
                                                                            std::uint64_t return_n_logits = 1) = 0;
  // Inputs for the step after: each request of `previous` has one active token, int64 or int32 [batch] of `next_tokens`. Pages must
  // have room for it. Takes `previous` over and changes it in place.
  virtual Result<std::unique_ptr<ModelInputs>> prepare_next_token_inputs(const Tensor& next_tokens,
                                                                         std::unique_ptr<ModelInputs> previous) = 0;
  // One forward pass. Takes no memory beyond the planned activations; outputs are valid until the next call.
  virtual Result<ModelOutputs> execute(const ModelInputs& inputs) = 0;

  // Of every request i of a batch, where batch_top_n[i] > 0: its log-probabilities. With batch_echo[i] one row for each input token,
  // else one for the sampled token. Reads the inputs "tokens" and "input_row_offsets". kBadRequest: a top_n that is negative or larger
  // than the vocabulary, or numbers of requests that differ.
  virtual Result<std::vector<LogProbabilitiesAnswer>> compute_log_probabilities(const ModelInputs& inputs, const ModelOutputs& outputs,
                                                                                std::span<const Token> next_tokens,
                                                                                std::span<const std::int32_t> batch_top_n,
                                                                                std::span<const std::uint8_t> batch_echo);
  // Drops what the model keeps for a request beside its pages.
  virtual void release(RequestId request) noexcept;

  // ---- what it is ----

  const Plan& plan() const { return plan_; }
  std::span<Arena> arenas() { return arenas_; }
  ReturnLogits return_logits() const { return return_logits_; }
  // The type it computes in. kBadRequest where the plan names none that is known.
  Result<ElementType> dtype() const;
  // As the plan says, every token with a row, unless a model knows better.
  virtual StepLimits step_limits() const;
  // What it takes of images; nothing where it takes none, or the plan has no room for any (PlanRequest::vision_cache_utilization).
  virtual std::optional<ImageLimits> image_limits() const;
  // LoRA adapters; null where the plan has no room for any (PlanRequest::max_loras).
  virtual LoraManager* lora_manager() noexcept;
  // The model that drafts tokens for this one, `request.num_draft_tokens` of its plan for each request and step: over the same KV cache, in
  // which it has groups of its own, and over the same batches. It belongs to this one. Null where none does.
  virtual PipelineModel* draft() noexcept;
  // A head of its own that does so, where the plan drafts without a model (PlanRequest::num_draft_tokens). Null where none does.
  virtual DraftHead* draft_head() noexcept;
  // Whether it shares experts with other replicas: then all of them compute each pass at the same time, one without requests idly.
  virtual bool shares_experts() const noexcept;
  // Its part of a pass of the others, instead of execute. How many tokens these compute; 0: all are idle. kBadRequest where it shares none.
  virtual Result<std::uint64_t> execute_idle();
  // One buffer per device for the collectives of several, zero-filled, their slots marked as not written; none where the plan has none:
  // the family's policy decides that, so a model that always reduces has one on a single device too. Allocated when first asked for, the
  // same ones afterwards. Threads: any.
  Result<std::span<const Tensor>> signal_buffers();
  // Gives their memory back; the next call allocates anew. No step may be running.
  void release_signal_buffers() noexcept;

protected:
  explicit PipelineModel(PipelineModelOptions options);
  const std::shared_ptr<Processes>& processes() const { return processes_; }

private:
  Plan plan_;
  std::vector<Arena> arenas_;
  ReturnLogits return_logits_;
  std::shared_ptr<Processes> processes_;
  std::mutex signal_mutex_;
  std::optional<std::vector<Tensor>> signal_buffers_;
};

} // namespace plimsoll
