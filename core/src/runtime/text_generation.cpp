// Faces of TextGenerationPipeline, and how one is put together.
#include "plimsoll/text_generation.hpp"

#include <fmt/format.h>

#include "runtime/generation.hpp"
#include "runtime/pipeline.hpp"

namespace plimsoll {
namespace {

Result<void> load_adapters(PipelineModel& model, const std::vector<std::string>& loras) {
  LoraManager* const adapters = model.lora_manager();
  if (adapters == nullptr && !loras.empty())
    return fail(ErrorCode::kBadRequest, "the plan has no room for adapters; give --max-loras", "--lora");
  for (const std::string& lora : loras)
    if (LoraAnswer answer = adapters->load(lora); !answer.ok()) return tl::unexpected(std::move(*answer.error));
  return {};
}

} // namespace

Result<std::shared_ptr<TextGenerationPipeline::Impl>> TextGenerationPipeline::Impl::create(PipelineParts parts) {
  if (!parts.model) return fail(ErrorCode::kBadRequest, "a pipeline without a model; give PipelineParts::model");
  const Plan& plan = parts.model->plan();
  if (plan.error) return tl::unexpected(*plan.error);
  if (plan.request.dp > 1)
    return fail(ErrorCode::kBadRequest,
                fmt::format("the plan has {} replicas; a pipeline is one of them: plan each with dp 1", plan.request.dp));
  auto impl = std::make_shared<Impl>();
  impl->parts = std::move(parts);
  PipelineModel& model = *impl->parts.model;
  impl->limits = model.step_limits();
  const StepLimits& limits = impl->limits;
  if (limits.tokens == 0 || limits.sequences == 0 || limits.output_rows == 0)
    return fail(ErrorCode::kBadRequest,
                fmt::format("steps of {} tokens, {} requests and {} rows of logits; one of each was expected at least", limits.tokens,
                            limits.sequences, limits.output_rows));
  if (auto* const cached = dynamic_cast<KvCacheModel*>(&model)) {
    PLIMSOLL_ASSIGN(impl->cache, cached->load_kv_manager(model.plan(), model.arenas(), impl->parts.kv));
    impl->managers.push_back(&impl->cache->manager());
  }
  return impl;
}

void TextGenerationPipeline::Impl::release(RequestId request) noexcept {
  if (const auto found = active.find(request); found != active.end()) {
    found->second->released = true; // its generation tells
    found->second->give_claims_back();
  } else if (PagedKvManager* const kv = manager(); kv != nullptr && kv->contains(request)) {
    static_cast<void>(kv->release(request));
  }
  parts.model->release(request);
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
  PLIMSOLL_ASSIGN(Plan plan, context.plan(model, request));
  if (plan.error) return tl::unexpected(std::move(*plan.error));
  PipelineParts parts;
  parts.config = request;
  parts.kv.manager.prefix_caching = options.prefix_caching;
  parts.kv.manager.key_seed = options.key_seed;
  PipelineModelOptions made;
  for (std::uint32_t rank = 0; rank < plan.devices.size(); ++rank) {
    PLIMSOLL_ASSIGN(Arena arena, Arena::create(plan, rank, host_memory(), options.arena_mode));
    made.arenas.push_back(std::move(arena));
  }
  made.plan = std::move(plan);
  PLIMSOLL_ASSIGN(parts.model, PipelineModel::load(context, model, request, std::move(made), options.progress));
  PLIMSOLL_TRY(load_adapters(*parts.model, options.loras));
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
  return impl_->execute(inputs.batch);
}

void TextGenerationPipeline::release(RequestId request) noexcept { impl_->release(request); }

std::span<PagedKvManager* const> TextGenerationPipeline::kv_managers() const { return impl_->managers; }
const PlanRequest& TextGenerationPipeline::pipeline_config() const { return impl_->parts.config; }
const Tokenizer* TextGenerationPipeline::tokenizer() const { return impl_->parts.tokenizer.get(); }
PipelineModel& TextGenerationPipeline::model() const { return *impl_->parts.model; }
const Plan& TextGenerationPipeline::plan() const { return impl_->parts.model->plan(); }

std::array<Usage, kCategories> TextGenerationPipeline::usage() const {
  std::array<Usage, kCategories> sums;
  for (std::size_t i = 0; i < kCategories; ++i) sums[i].category = static_cast<Category>(i);
  for (const Arena& arena : impl_->parts.model->arenas()) {
    const std::array<Usage, kCategories> of_rank = arena.usage_by_category();
    for (std::size_t i = 0; i < kCategories; ++i) {
      sums[i].planned_bytes += of_rank[i].planned_bytes;
      sums[i].live_bytes += of_rank[i].live_bytes;
      sums[i].peak_bytes += of_rank[i].peak_bytes;
    }
  }
  return sums;
}

PagedKvManager* get_paged_manager(const TextGenerationPipeline& pipeline) noexcept {
  const std::span<PagedKvManager* const> managers = pipeline.kv_managers();
  return managers.empty() ? nullptr : managers.front();
}

} // namespace plimsoll
