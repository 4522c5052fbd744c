// Faces of TextGenerationPipeline, and how one is put together.
#include "plimsoll/text_generation.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "runtime/generation.hpp"
#include "runtime/load_replica.hpp"
#include "runtime/pipeline.hpp"

namespace plimsoll {
Result<std::shared_ptr<TextGenerationPipeline::Impl>> TextGenerationPipeline::Impl::create(PipelineParts parts) {
  if (!parts.model) return fail(ErrorCode::kBadRequest, "a pipeline without a model; give PipelineParts::model");
  const Plan& plan = parts.model->plan();
  if (plan.error) return tl::unexpected(*plan.error);
  const std::size_t n_replicas = 1 + parts.replicas.size();
  if (plan.request.dp != n_replicas)
    return fail(ErrorCode::kBadRequest,
                fmt::format("the plan has {} replicas and the pipeline {}; give a model for each, in PipelineParts::replicas",
                            plan.request.dp, n_replicas));
  auto impl = std::make_shared<Impl>();
  impl->limits = parts.model->step_limits();
  const StepLimits& limits = impl->limits;
  if (limits.tokens == 0 || limits.sequences == 0 || limits.output_rows == 0)
    return fail(ErrorCode::kBadRequest,
                fmt::format("steps of {} tokens, {} requests and {} rows of logits; one of each was expected at least", limits.tokens,
                            limits.sequences, limits.output_rows));
  if (limits.vector_elements != 0)
    return fail(ErrorCode::kBadRequest, "this model gives vectors of texts and writes none; embed with it (plimsoll run --embed)",
                plan.model.path);
  impl->parts = std::move(parts);
  impl->replicas.reserve(n_replicas); // addresses of their managers stay
  PLIMSOLL_TRY(impl->add_replica(std::move(impl->parts.model)));
  for (std::unique_ptr<PipelineModel>& model : impl->parts.replicas) PLIMSOLL_TRY(impl->add_replica(std::move(model)));
  if (impl->model().shares_experts() && !impl->parts.processes && !impl->parts.group)
    return fail(ErrorCode::kBadRequest, "the replicas share experts; give the ReplicaGroup of their models in PipelineParts::group");
  impl->threads_ = std::make_unique<RankThreads>(static_cast<std::uint32_t>(n_replicas));
  return impl;
}

Result<void> TextGenerationPipeline::Impl::add_replica(std::unique_ptr<PipelineModel> model) {
  if (!model) return fail(ErrorCode::kBadRequest, "a replica without a model");
  Replica& replica = replicas.emplace_back();
  replica.model = std::move(model);
  if (auto* const cached = dynamic_cast<KvCacheModel*>(replica.model.get())) {
    PLIMSOLL_ASSIGN(replica.cache, cached->load_kv_manager(replica.model->plan(), replica.model->arenas(), parts.kv));
    managers.push_back(&replica.cache->manager());
  }
  if (!managers.empty() && managers.size() != replicas.size())
    return fail(ErrorCode::kBadRequest, "some replicas keep a KV cache and some do not; replicas are alike");
  return {};
}

std::uint64_t TextGenerationPipeline::Impl::draft_tokens() const {
  const auto drafts = [](const Replica& replica) {
    const bool any = replica.model->draft() != nullptr || replica.model->draft_head() != nullptr;
    return any && replica.cache && replica.model->return_logits() != ReturnLogits::kLastToken;
  };
  return std::any_of(replicas.begin(), replicas.end(), drafts) ? plan().request.num_draft_tokens : 0;
}

void TextGenerationPipeline::Impl::release(RequestId request) noexcept {
  if (const auto found = active.find(request); found != active.end()) {
    found->second->released = true; // its generation tells
    found->second->give_claims_back();
  } else {
    for (PagedKvManager* const kv : managers)
      if (kv->contains(request)) static_cast<void>(kv->release(request));
  }
  for (const Replica& replica : replicas) replica.model->release(request);
}

TextGenerationPipeline::TextGenerationPipeline(std::shared_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
TextGenerationPipeline::TextGenerationPipeline(TextGenerationPipeline&&) noexcept = default;
TextGenerationPipeline& TextGenerationPipeline::operator=(TextGenerationPipeline&&) noexcept = default;
TextGenerationPipeline::~TextGenerationPipeline() = default;

Result<TextGenerationPipeline> TextGenerationPipeline::create(PipelineParts parts) {
  PLIMSOLL_ASSIGN(std::shared_ptr<Impl> impl, Impl::create(std::move(parts)));
  return TextGenerationPipeline(std::move(impl));
}

Result<TextGenerationPipeline> TextGenerationPipeline::create(const Context& context, const Model& model, const PlanRequest& request,
                                                              const PipelineOptions& options) {
  auto made = create_alone(context, model, request, options);
  if (!made && options.processes) options.processes->fail(made.error());
  return made;
}

Result<TextGenerationPipeline> TextGenerationPipeline::create_alone(const Context& context, const Model& model, const PlanRequest& request,
                                                                    const PipelineOptions& options) {
  PLIMSOLL_ASSIGN(Plan plan, context.plan(model, request));
  if (options.processes) PLIMSOLL_TRY(options.processes->check(plan));
  if (plan.error) return tl::unexpected(std::move(*plan.error));
  PipelineParts parts;
  parts.config = request;
  parts.kv.manager.prefix_caching = options.prefix_caching;
  parts.kv.manager.key_seed = options.key_seed;
  const std::uint32_t n_replicas = plan.request.dp;
  if (!options.processes) parts.group = ReplicaGroup::of(plan);
  for (std::uint32_t replica = 0; replica < n_replicas; ++replica) {
    PLIMSOLL_ASSIGN(std::unique_ptr<PipelineModel> loaded, load_replica(context, model, request, plan, replica, options, parts.group));
    if (replica == 0) parts.model = std::move(loaded);
    else parts.replicas.push_back(std::move(loaded));
  }
  parts.plan = std::move(plan);
  parts.processes = options.processes;
  if (options.load_tokenizer) {
    PLIMSOLL_ASSIGN(parts.tokenizer, load_tokenizer(model.info().path, parts.model->step_limits().vocab_tokens));
  }
  return create(std::move(parts));
}

ArenaMode usual_arena_mode(const PlanRequest& request) {
  return request.engine.starts_with("reference") ? ArenaMode::kEnforce : ArenaMode::kObserve;
}

Result<Generation> TextGenerationPipeline::generate_async(std::span<const TextGenerationRequest> prompts) {
  auto generation = std::make_unique<Generation::Impl>(impl_, prompts.size());
  for (const TextGenerationRequest& prompt : prompts) PLIMSOLL_TRY(generation->enter(prompt));
  return Generation(std::move(generation));
}

Result<std::vector<TextGenerationOutput>> TextGenerationPipeline::generate(std::span<const TextGenerationRequest> prompts,
                                                                           std::stop_token stop) {
  PLIMSOLL_ASSIGN(Generation generation, generate_async(prompts));
  while (true) {
    PLIMSOLL_ASSIGN(const auto outputs, generation.next(stop));
    if (!outputs) return std::move(generation).finish();
  }
}

Result<std::vector<TextGenerationOutput>> TextGenerationPipeline::generate(std::initializer_list<TextGenerationRequest> prompts) {
  return generate(std::span(prompts.begin(), prompts.size()));
}

Result<TextGenerationOutput> TextGenerationPipeline::generate(const TextGenerationRequest& prompt) {
  PLIMSOLL_ASSIGN(std::vector<TextGenerationOutput> outputs, generate(std::span(&prompt, 1)));
  return std::move(outputs.front());
}

Result<TextGenerationContext> TextGenerationPipeline::new_context(const TextGenerationRequest& request, RequestId id) const {
  return impl_->new_context(request, id);
}

Result<std::map<RequestId, TextGenerationOutput>> TextGenerationPipeline::execute(const TextGenerationInputs& inputs) {
  return impl_->execute(impl_->of_replicas(inputs.batch));
}

void TextGenerationPipeline::release(RequestId request) noexcept { impl_->release(request); }

std::span<PagedKvManager* const> TextGenerationPipeline::kv_managers() const { return impl_->managers; }
const PlanRequest& TextGenerationPipeline::pipeline_config() const { return impl_->parts.config; }
const Tokenizer* TextGenerationPipeline::tokenizer() const { return impl_->parts.tokenizer.get(); }
std::uint32_t TextGenerationPipeline::n_replicas() const { return static_cast<std::uint32_t>(impl_->replicas.size()); }
PipelineModel& TextGenerationPipeline::model(std::uint32_t replica) const { return *impl_->replicas[replica].model; }
const Plan& TextGenerationPipeline::plan() const { return impl_->plan(); }

std::array<Usage, kCategories> TextGenerationPipeline::usage() const {
  std::array<Usage, kCategories> sums;
  for (const Impl::Replica& replica : impl_->replicas) add_usage(replica.model->arenas(), sums);
  return sums;
}

PagedKvManager* get_paged_manager(const TextGenerationPipeline& pipeline) noexcept {
  const std::span<PagedKvManager* const> managers = pipeline.kv_managers();
  return managers.empty() ? nullptr : managers.front();
}

} // namespace plimsoll
