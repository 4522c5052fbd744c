// EmbeddingPipeline: texts are packed into passes, each of them whole where the model has no cache.
#include "plimsoll/embedding.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <optional>
#include <utility>

#include "runtime/load_replica.hpp"

namespace plimsoll {

double Embedding::norm() const {
  double sum = 0;
  for (const float x : vector) sum += static_cast<double>(x) * static_cast<double>(x);
  return std::sqrt(sum);
}

class EmbeddingPipeline::Impl {
public:
  Impl(Plan plan, std::unique_ptr<PipelineModel> model, std::optional<KvCache> cache, std::unique_ptr<Tokenizer> tokenizer)
      : plan(std::move(plan)), model(std::move(model)), cache(std::move(cache)), tokenizer(std::move(tokenizer)),
        limits(this->model->step_limits()) {}

  // Without a cache a pass reads its texts whole.
  std::uint64_t longest_tokens() const { return cache ? plan.limits.max_length : std::min(plan.limits.max_length, limits.tokens); }

  Result<std::vector<Token>> tokens_of(const EmbeddingRequest& request, const std::string& where) const {
    if (!request.text.empty() && !request.tokens.empty())
      return fail(ErrorCode::kBadRequest, "a text and ids were given; one of them was expected", where);
    std::vector<Token> tokens = request.tokens;
    if (tokens.empty()) {
      if (tokenizer == nullptr) return fail(ErrorCode::kBadRequest, "this pipeline has no tokenizer; ids were expected", where);
      PLIMSOLL_ASSIGN(tokens, tokenizer->encode(request.text));
    }
    for (const Token id : tokens)
      if (id < 0 || static_cast<std::uint64_t>(id) >= limits.vocab_tokens)
        return fail(ErrorCode::kBadRequest, fmt::format("token {} is none of the {} that the model has", id, limits.vocab_tokens), where);
    if (tokens.empty() || tokens.size() > longest_tokens())
      return fail(ErrorCode::kBadRequest,
                  fmt::format("the text has {} tokens; 1 to {} were expected. A longer one needs a larger --max-length{}", tokens.size(),
                              longest_tokens(), cache ? "" : ", and a --max-batch-input-tokens of as much"),
                  where);
    return tokens;
  }

  Result<std::vector<Embedding>> embed(std::span<const EmbeddingRequest> requests) {
    std::vector<Embedding> out(requests.size());
    std::vector<std::vector<Token>> tokens;
    for (std::size_t i = 0; i < requests.size(); ++i) {
      PLIMSOLL_ASSIGN(std::vector<Token> of_one, tokens_of(requests[i], fmt::format("requests[{}]", i)));
      out[i].tokens = of_one.size();
      tokens.push_back(std::move(of_one));
    }
    for (std::size_t next = 0; next < tokens.size();) {
      Batch batch;
      while (next + batch.running.size() < tokens.size()) {
        PLIMSOLL_ASSIGN(const bool taken, take(tokens[next + batch.running.size()], batch));
        if (!taken) break;
      }
      if (batch.running.empty()) return fail(ErrorCode::kInsufficientBlocks, shortage_, fmt::format("requests[{}]", next));
      PLIMSOLL_TRY(compute(batch, std::span(out).subspan(next, batch.running.size())));
      next += batch.running.size();
    }
    return out;
  }

  Plan plan;
  std::unique_ptr<PipelineModel> model;
  std::optional<KvCache> cache;
  std::unique_ptr<Tokenizer> tokenizer;
  StepLimits limits;
  std::uint64_t passes = 0;

private:
  struct Running {
    TextContext context;
    std::optional<KvClaim> claim;
  };
  struct Batch {
    std::vector<Running> running;
    std::uint64_t tokens = 0;
  };

  // Whether the text has room in the pass. One that is longer than a pass is alone, and comes in chunks.
  Result<bool> take(const std::vector<Token>& tokens, Batch& batch) {
    const bool alone = batch.running.empty();
    if (batch.running.size() >= std::min(limits.sequences, limits.output_rows) ||
        (!alone && tokens.size() > limits.tokens - std::min(limits.tokens, batch.tokens)))
      return false;
    TextContextOptions options;
    options.id = next_id_++;
    options.prompt = tokens;
    options.max_length = tokens.size();
    PLIMSOLL_ASSIGN(TextContext context, TextContext::create(std::move(options)));
    Running request{std::move(context), std::nullopt};
    if (cache) {
      auto claim = KvClaim::take(cache->manager(), request.context.id());
      if (!claim && claim.error().code != ErrorCode::kInsufficientBlocks) return tl::unexpected(std::move(claim.error()));
      if (claim) request.claim.emplace(std::move(*claim));
      request.context.set_chunk_limit(limits.tokens);
      auto pages = claim ? cache->manager().alloc(request.context) : tl::unexpected(claim.error());
      if (!pages) {
        if (pages.error().code != ErrorCode::kInsufficientBlocks) return tl::unexpected(std::move(pages.error()));
        shortage_ = pages.error().message;
        return false;
      }
    }
    batch.tokens += tokens.size();
    batch.running.push_back(std::move(request));
    return true;
  }

  Result<void> compute(Batch& batch, std::span<Embedding> out) {
    std::vector<const TextContext*> contexts;
    for (const Running& request : batch.running) contexts.push_back(&request.context);
    while (true) {
      std::optional<KvCacheInputs> kv;
      if (cache) {
        PLIMSOLL_ASSIGN(kv, cache->runtime_inputs(contexts));
      }
      PLIMSOLL_ASSIGN(const std::unique_ptr<ModelInputs> inputs, model->prepare_initial_token_inputs(contexts, std::move(kv), 1));
      PLIMSOLL_ASSIGN(const ModelOutputs outputs, model->execute(*inputs));
      ++passes;
      if (contexts.front()->reaches_end()) {
        for (std::size_t i = 0; i < out.size(); ++i) {
          PLIMSOLL_ASSIGN(const std::span<const float> row, outputs.next_token_row(i));
          out[i].vector.assign(row.begin(), row.end());
        }
        break;
      }
      TextContext& context = batch.running.front().context; // alone
      PLIMSOLL_TRY(context.advance_chunk());
      PLIMSOLL_TRY(cache->manager().alloc(context));
    }
    for (Running& request : batch.running) {
      const RequestId id = request.context.id();
      if (request.claim) PLIMSOLL_TRY(request.claim->release());
      model->release(id);
    }
    return {};
  }

  RequestId next_id_ = 0;
  std::string shortage_ = "a pass has no room for a single request";
};

EmbeddingPipeline::EmbeddingPipeline(std::unique_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
EmbeddingPipeline::EmbeddingPipeline(EmbeddingPipeline&&) noexcept = default;
EmbeddingPipeline& EmbeddingPipeline::operator=(EmbeddingPipeline&&) noexcept = default;
EmbeddingPipeline::~EmbeddingPipeline() = default;

Result<EmbeddingPipeline> EmbeddingPipeline::create(const Context& context, const Model& model, const PlanRequest& request,
                                                    const PipelineOptions& options) {
  const auto make = [&]() -> Result<EmbeddingPipeline> {
    PLIMSOLL_ASSIGN(Plan plan, context.plan(model, request));
    if (options.processes) PLIMSOLL_TRY(options.processes->check(plan));
    if (plan.error) return tl::unexpected(std::move(*plan.error));
    if (plan.request.dp > 1)
      return fail(ErrorCode::kBadRequest, fmt::format("{} replicas; vectors are made by one", plan.request.dp), "--dp");
    PLIMSOLL_ASSIGN(const Program program, context.program(model, request, 0)); // before weights are loaded
    if (program.vector_elements == 0)
      return fail(ErrorCode::kBadRequest,
                  "this model gives words and no vectors; an embedder has a class without a head, or modules.json beside it",
                  model.info().path);
    PLIMSOLL_ASSIGN(std::unique_ptr<PipelineModel> loaded, load_replica(context, model, request, plan, 0, options));
    std::optional<KvCache> cache;
    if (auto* const cached = dynamic_cast<KvCacheModel*>(loaded.get())) {
      KvCacheOptions of_cache;
      of_cache.manager.prefix_caching = false; // a text is read once
      PLIMSOLL_ASSIGN(cache, cached->load_kv_manager(plan, loaded->arenas(), of_cache));
    }
    std::unique_ptr<Tokenizer> tokenizer;
    if (options.load_tokenizer) {
      PLIMSOLL_ASSIGN(tokenizer, load_tokenizer(model.info().path, loaded->step_limits().vocab_tokens));
    }
    return EmbeddingPipeline(std::make_unique<Impl>(std::move(plan), std::move(loaded), std::move(cache), std::move(tokenizer)));
  };
  auto made = make();
  if (!made && options.processes) options.processes->fail(made.error());
  return made;
}

Result<std::vector<Embedding>> EmbeddingPipeline::embed(std::span<const EmbeddingRequest> requests) { return impl_->embed(requests); }
Result<std::vector<Embedding>> EmbeddingPipeline::embed(std::initializer_list<EmbeddingRequest> requests) {
  return impl_->embed(std::span(requests.begin(), requests.size()));
}

std::uint64_t EmbeddingPipeline::width() const { return impl_->limits.vector_elements; }
RowPooling EmbeddingPipeline::pooling() const { return impl_->limits.pooling; }
bool EmbeddingPipeline::normalised() const { return impl_->limits.normalised; }
std::uint64_t EmbeddingPipeline::longest_tokens() const { return impl_->longest_tokens(); }
std::uint64_t EmbeddingPipeline::passes() const { return impl_->passes; }
const Tokenizer* EmbeddingPipeline::tokenizer() const { return impl_->tokenizer.get(); }
const Plan& EmbeddingPipeline::plan() const { return impl_->plan; }

std::array<Usage, kCategories> EmbeddingPipeline::usage() const {
  std::array<Usage, kCategories> sums;
  add_usage(impl_->model->arenas(), sums);
  return sums;
}

std::vector<UsageRow> EmbeddingPipeline::usage_rows() const {
  std::vector<UsageRow> rows;
  for (const Arena& arena : impl_->model->arenas())
    for (const Usage& of : arena.usage_by_category()) rows.push_back({arena.rank(), of.category, of.planned_bytes, of.peak_bytes});
  return rows;
}

} // namespace plimsoll
