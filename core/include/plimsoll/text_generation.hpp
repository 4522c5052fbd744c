// plimsoll/text_generation.hpp - text from a model inside its plan: a pipeline that owns model, pages and tokenizer and steps batches of
// requests. Servers and `plimsoll run` use it. It never takes memory that the plan does not count. Errors are values; a request that
// fails does not disturb others. Replicas of a data-parallel plan share the requests out and step at the same time, each in threads of its
// own. Threads: [serial] per pipeline and the generations made from it.
//
//   auto pipeline = TextGenerationPipeline::create(context, model, request).value();
//   auto outputs = pipeline.generate({{.prompt = "And the LORD said unto ", .max_new_tokens = 64}}).value();
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "plimsoll/arena.hpp"
#include "plimsoll/export.hpp"
#include "plimsoll/host.hpp"
#include "plimsoll/image.hpp"
#include "plimsoll/kv_cache.hpp"
#include "plimsoll/kv_cache_model.hpp"
#include "plimsoll/pipeline_model.hpp"
#include "plimsoll/result.hpp"
#include "plimsoll/text_context.hpp"
#include "plimsoll/tokenizer.hpp"

namespace plimsoll {

// ---- Requests and outputs -------------------------------------------------------------------------------------------------

// How the next token is chosen. Draws depend on the seed, the request's id and the position only, never on who else is in the batch.
struct SamplingOptions {
  double temperature = 0;  // 0: greedy, the lowest id of equal ones
  std::uint64_t top_k = 0; // of the most probable so many; 0: all
  double top_p = 1;        // of the fewest most probable that have together so much probability, after top_k
  std::uint64_t seed = 0;
};

struct TextGenerationRequest {
  std::string prompt;               // text, for which the pipeline needs a tokenizer; or
  std::vector<Token> prompt_tokens; // ids
  std::optional<RequestId> id;      // unlike those of all requests that are under way; absent: its place in the list of prompts
  std::optional<std::uint64_t> max_new_tokens;
  std::optional<std::uint64_t> max_length; // tokens, prompt included; at most the plan's
  SamplingOptions sampling;
  std::vector<Token> stop_tokens;        // end it, beside those of the tokenizer
  std::vector<std::string> stop_strings; // end it; the text ends before them
  bool ignore_end = false;               // the tokenizer's own do not
  std::int32_t log_probabilities = 0;    // so many best tokens of each place; 0: none
  bool echo = false;                     // log-probabilities of the prompt's tokens too; they are then not taken from the prefix cache
  std::string cache_salt;                // requests share cached pages only where it is equal
  std::string adapter;                   // name of a LoRA adapter that is loaded; empty: the base model. Pages are not shared with others
  // In the order of their placeholders in the prompt: one for each image, or one for each of its rows.
  std::vector<std::shared_ptr<const Image>> images;
};

enum class Status : std::uint8_t { kActive, kEndOfSequence, kMaximumLength, kCancelled };
std::string_view PLIMSOLL_API status_name(Status status) noexcept; // "active", "end_of_sequence", ...

// What a step, or all steps together, gave one request.
struct TextGenerationOutput {
  RequestId id = 0;
  std::vector<Token> tokens; // with the one that ended it
  std::string text;          // without it; empty where there is no tokenizer
  Status status = Status::kActive;
  std::optional<LogProbabilities> log_probabilities; // a row for each of `tokens`, before the first those of the prompt where echoed
  std::optional<Error> error;                        // why it was given up; the status is then kCancelled
  std::uint64_t drafted_tokens = 0;                  // that a draft proposed
  std::uint64_t accepted_tokens = 0;                 // of those, that are among `tokens`
  bool is_done() const { return status != Status::kActive; }
};

// One request under way: its tokens, and what is wanted of it. Made by TextGenerationPipeline::new_context.
class PLIMSOLL_API TextGenerationContext {
public:
  TextGenerationContext(TextGenerationContext&&) noexcept;
  TextGenerationContext& operator=(TextGenerationContext&&) noexcept;
  ~TextGenerationContext();

  RequestId id() const;
  TextContext& tokens();
  const TextContext& tokens() const;
  Status status() const;

  struct State; // the library's own
  explicit TextGenerationContext(std::unique_ptr<State> state) noexcept;
  State& state() { return *state_; }

private:
  std::unique_ptr<State> state_;
};

// ---- Generation -----------------------------------------------------------------------------------------------------------

// Requests under way, a step at a time. More than the batch holds wait; where pages run out the youngest is put back and computed again
// later; a request that could never fit ends with an error of its own. The destructor releases whatever is still claimed.
class PLIMSOLL_API Generation {
public:
  Generation(Generation&&) noexcept;
  Generation& operator=(Generation&&) noexcept;
  ~Generation();

  // One step: outputs of the requests that have any, in the order of the prompts; none at all while long prompts are being computed.
  // nullopt: all are done. Once `stop` asks for it, every request that is left ends as cancelled and no page stays taken. An error ends
  // nothing by itself: kInsufficientBlocks where other requests of the pipeline hold what is needed, and it may be called again.
  Result<std::optional<std::vector<TextGenerationOutput>>> next(std::stop_token stop = {});
  // Ends one request as cancelled; the next step tells so.
  void cancel(RequestId request) noexcept;
  // All outputs so far, merged by request, in the order of the prompts. Requests that are not done are cancelled.
  std::vector<TextGenerationOutput> finish() &&;

  class Impl; // the library's own

private:
  friend class TextGenerationPipeline;
  explicit Generation(std::unique_ptr<Impl> impl) noexcept;
  std::unique_ptr<Impl> impl_;
};

// ---- Pipeline -------------------------------------------------------------------------------------------------------------

struct PipelineOptions {
  bool load_tokenizer = true; // an error where the model has none; false: requests bring ids
  bool prefix_caching = true;
  std::optional<std::uint64_t> key_seed; // see KvOptions
  // kObserve: also what the plan does not set aside is taken, and stands in usage(). For plans of other engines than `reference`, whose
  // activations are not this runtime's.
  ArenaMode arena_mode = ArenaMode::kEnforce;
  LoadProgress progress;          // of the weights
  std::vector<std::string> loras; // "NAME=DIRECTORY" of adapters to begin with, where the plan has room for any
  // Each is a rank of the plan: all make the pipeline and the same calls, and all are given the same outputs. Null: ranks are threads. A
  // plan that is not every process's is refused. Of several replicas each has a part of one, and model() of the others computes nothing.
  // usage() is then of this one's rank.
  std::shared_ptr<Processes> processes = nullptr;
  OpenBackend backend = {}; // what ranks compute on; empty: the processors
};

// kEnforce for plans of `reference`, kObserve for those of other engines.
PLIMSOLL_API ArenaMode usual_arena_mode(const PlanRequest& request);

// What a host's own model brings: create() makes the same of a model that planners describe.
struct PipelineParts {
  std::unique_ptr<PipelineModel> model; // also a KvCacheModel where it has a cache
  std::unique_ptr<Tokenizer> tokenizer; // may be null
  PlanRequest config;                   // as planned
  KvCacheOptions kv;
  std::vector<std::unique_ptr<PipelineModel>> replicas = {}; // further ones, where the plan has several: each made for its replica_plan
  std::optional<Plan> plan = {};                             // of all of them; absent: that of the model
  // That the ranks of all replicas are: each has one of them, and of the others what their processes show. Null: they are threads.
  std::shared_ptr<Processes> processes = nullptr;
  std::shared_ptr<ReplicaGroup> group = nullptr; // that the models were made with, where they share experts
};

// One step's work: requests that are claimed and have their pages.
struct TextGenerationInputs {
  std::vector<TextGenerationContext*> batch;
};

class PLIMSOLL_API TextGenerationPipeline {
public:
  // Plans, and refuses with the plan's error what does not fit before anything is allocated; then weights, pages, tables, tokenizer.
  static Result<TextGenerationPipeline> create(const Context& context, const Model& model, const PlanRequest& request,
                                               const PipelineOptions& options = {});
  // With a model that exists. Its cache is made here, where it has one.
  static Result<TextGenerationPipeline> create(PipelineParts parts);
  TextGenerationPipeline(TextGenerationPipeline&&) noexcept;
  TextGenerationPipeline& operator=(TextGenerationPipeline&&) noexcept;
  ~TextGenerationPipeline();

  // All requests to their end. Outputs in the order of the prompts. A request that cannot be served has its error in its output;
  // an error of the whole is one of the pipeline, after which nothing is claimed.
  Result<std::vector<TextGenerationOutput>> generate(std::span<const TextGenerationRequest> prompts, std::stop_token stop = {});
  Result<std::vector<TextGenerationOutput>> generate(std::initializer_list<TextGenerationRequest> prompts);
  Result<TextGenerationOutput> generate(const TextGenerationRequest& prompt);
  // The same a step at a time. kBadRequest: two requests of one id.
  Result<Generation> generate_async(std::span<const TextGenerationRequest> prompts);

  // For who schedules by himself. A request's tokens, checked against the plan's length; then claim it with the manager, and for every
  // step alloc its pages and execute. kBadRequest names what is wrong with it.
  Result<TextGenerationContext> new_context(const TextGenerationRequest& request, RequestId id) const;
  // One step of a batch: computes, samples, moves the contexts on, publishes pages. A request whose prompt is not all computed yet has no
  // output. The status of those that ended says so; the caller releases them. Of several replicas each computes those requests that its
  // manager has claimed.
  Result<std::map<RequestId, TextGenerationOutput>> execute(const TextGenerationInputs& inputs);
  // Ends a request wherever it stands: its pages go back, and so does what the model keeps for it. Nothing where there is none.
  void release(RequestId request) noexcept;

  std::span<PagedKvManager* const> kv_managers() const; // one for each replica, or none where the model has no cache
  const PlanRequest& pipeline_config() const;
  const Tokenizer* tokenizer() const; // null where it has none
  std::uint32_t n_replicas() const;
  PipelineModel& model(std::uint32_t replica = 0) const; // below n_replicas
  const Plan& plan() const;                              // of all replicas
  // The proof: of each category what the plan counts, what is taken now and what was taken at most, over all ranks. Line by line it stands
  // in the arenas of each model().
  std::array<Usage, kCategories> usage() const;

  class Impl; // the library's own

private:
  static Result<TextGenerationPipeline> create_alone(const Context& context, const Model& model, const PlanRequest& request,
                                                     const PipelineOptions& options);
  explicit TextGenerationPipeline(std::shared_ptr<Impl> impl) noexcept;
  std::shared_ptr<Impl> impl_; // generations that are under way keep it
};

// The pipeline's paged KV manager, that of the first replica; null where it has none.
PLIMSOLL_API PagedKvManager* get_paged_manager(const TextGenerationPipeline& pipeline) noexcept;

} // namespace plimsoll
