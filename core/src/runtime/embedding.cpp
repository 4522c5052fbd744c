// EmbeddingPipeline: texts are packed into passes, each of them whole where the model has no cache. Replicas have texts of their own and
// compute them at the same time; what one that is other processes computed is told.
#include "plimsoll/embedding.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fmt/format.h>
#include <optional>
#include <utility>

#include "runtime/load_replica.hpp"
#include "runtime/rank_threads.hpp"

namespace plimsoll {

double Embedding::norm() const {
  double sum = 0;
  for (const float x : vector) sum += static_cast<double>(x) * static_cast<double>(x);
  return std::sqrt(sum);
}

// One copy of the model, which packs the texts that it is given.
class EmbeddingReplica {
public:
  EmbeddingReplica(std::uint32_t number, std::unique_ptr<PipelineModel> model, std::optional<KvCache> cache)
      : model_(std::move(model)), cache_(std::move(cache)), limits_(model_->step_limits()), number_(number) {}

  std::uint32_t number() const { return number_; }
  PipelineModel& model() const { return *model_; }
  const StepLimits& limits() const { return limits_; }
  bool has_cache() const { return cache_.has_value(); }
  std::uint64_t passes() const { return passes_; }

  // Those of `tokens` that `own` names.
  Result<void> embed(std::span<const std::vector<Token>> tokens, std::span<const std::size_t> own, std::span<Embedding> out) {
    for (std::size_t next = 0; next < own.size();) {
      Batch batch;
      while (next + batch.running.size() < own.size()) {
        PLIMSOLL_ASSIGN(const bool taken, take(tokens[own[next + batch.running.size()]], batch));
        if (!taken) break;
      }
      if (batch.running.empty()) return fail(ErrorCode::kInsufficientBlocks, shortage_, fmt::format("requests[{}]", own[next]));
      PLIMSOLL_TRY(compute(batch, own.subspan(next, batch.running.size()), out));
      next += batch.running.size();
    }
    for (std::uint64_t others = 1; model_->shares_experts() && others > 0;) {
      PLIMSOLL_ASSIGN(others, model_->execute_idle()); // until all have done theirs
    }
    return {};
  }

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
    if (batch.running.size() >= std::min(limits_.sequences, limits_.output_rows) ||
        (!alone && tokens.size() > limits_.tokens - std::min(limits_.tokens, batch.tokens)))
      return false;
    TextContextOptions options;
    options.id = next_id_++;
    options.prompt = tokens;
    options.max_length = tokens.size();
    PLIMSOLL_ASSIGN(TextContext context, TextContext::create(std::move(options)));
    Running request{std::move(context), std::nullopt};
    if (cache_) {
      auto claim = KvClaim::take(cache_->manager(), request.context.id());
      if (!claim && claim.error().code != ErrorCode::kInsufficientBlocks) return tl::unexpected(std::move(claim.error()));
      if (claim) request.claim.emplace(std::move(*claim));
      request.context.set_chunk_limit(limits_.tokens);
      auto pages = claim ? cache_->manager().alloc(request.context) : tl::unexpected(claim.error());
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

  Result<void> compute(Batch& batch, std::span<const std::size_t> texts, std::span<Embedding> out) {
    std::vector<const TextContext*> contexts;
    for (const Running& request : batch.running) contexts.push_back(&request.context);
    while (true) {
      std::optional<KvCacheInputs> kv;
      if (cache_) {
        PLIMSOLL_ASSIGN(kv, cache_->runtime_inputs(contexts));
      }
      PLIMSOLL_ASSIGN(const std::unique_ptr<ModelInputs> inputs, model_->prepare_initial_token_inputs(contexts, std::move(kv), 1));
      PLIMSOLL_ASSIGN(const ModelOutputs outputs, model_->execute(*inputs));
      ++passes_;
      if (contexts.front()->reaches_end()) {
        for (std::size_t i = 0; i < texts.size(); ++i) {
          PLIMSOLL_ASSIGN(const std::span<const float> row, outputs.next_token_row(i));
          out[texts[i]].vector.assign(row.begin(), row.end());
        }
        break;
      }
      TextContext& context = batch.running.front().context; // alone
      PLIMSOLL_TRY(context.advance_chunk());
      PLIMSOLL_TRY(cache_->manager().alloc(context));
    }
    for (Running& request : batch.running) {
      const RequestId id = request.context.id();
      if (request.claim) PLIMSOLL_TRY(request.claim->release());
      model_->release(id);
    }
    return {};
  }

  std::unique_ptr<PipelineModel> model_;
  std::optional<KvCache> cache_;
  StepLimits limits_;
  std::uint32_t number_;
  std::uint64_t passes_ = 0;
  RequestId next_id_ = 0;
  std::string shortage_ = "a pass has no room for a single request";
};

namespace {

// Texts of each replica: the next one goes to who has the fewest tokens to read.
std::vector<std::vector<std::size_t>> deal_texts(std::span<const std::vector<Token>> tokens, std::size_t replicas) {
  std::vector<std::vector<std::size_t>> out(replicas);
  std::vector<std::uint64_t> sums(replicas, 0);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const auto fewest = std::min_element(sums.begin(), sums.end());
    *fewest += tokens[i].size();
    out[static_cast<std::size_t>(fewest - sums.begin())].push_back(i);
  }
  return out;
}

} // namespace

class EmbeddingPipeline::Impl {
public:
  Impl(Plan plan, std::vector<EmbeddingReplica> replicas, std::shared_ptr<ReplicaGroup> group, std::shared_ptr<Processes> processes,
       std::unique_ptr<Tokenizer> tokenizer)
      : plan(std::move(plan)), replicas(std::move(replicas)), group(std::move(group)), processes(std::move(processes)),
        tokenizer(std::move(tokenizer)), limits(this->replicas.front().limits()) {}

  // Without a cache a pass reads its texts whole.
  std::uint64_t longest_tokens() const { return has_cache() ? plan.limits.max_length : std::min(plan.limits.max_length, limits.tokens); }
  bool has_cache() const { return replicas.front().has_cache(); }

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
                              longest_tokens(), has_cache() ? "" : ", and a --max-batch-input-tokens of as much"),
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
    const std::vector<std::vector<std::size_t>> texts = deal_texts(tokens, std::max<std::uint32_t>(plan.request.dp, 1));
    std::vector<Result<void>> done(replicas.size());
    threads_.run([&](std::uint32_t i) {
      done[i] = replicas[i].embed(tokens, texts[replicas[i].number()], out);
      if (!done[i] && group) group->abort(done[i].error());
    });
    const auto failed = std::find_if(done.begin(), done.end(), [](const Result<void>& one) { return !one; });
    if (failed != done.end()) {
      if (group) group->reset();
      if (processes) processes->fail(failed->error());
      return tl::unexpected(failed->error());
    }
    if (processes && texts.size() > 1) PLIMSOLL_TRY(tell(texts, out));
    return out;
  }

  Plan plan;
  // Of all replicas that are here.
  std::uint64_t passes() const {
    std::uint64_t sum = 0;
    for (const EmbeddingReplica& replica : replicas) sum += replica.passes();
    return sum + told_passes_;
  }

  std::vector<EmbeddingReplica> replicas; // in processes that of this one alone
  std::shared_ptr<ReplicaGroup> group;
  std::shared_ptr<Processes> processes;
  std::unique_ptr<Tokenizer> tokenizer;
  StepLimits limits;

private:
  // What the first process of each replica computed, to all: how many passes, then numbers as they lie in memory.
  Result<void> tell(const std::vector<std::vector<std::size_t>>& texts, std::span<Embedding> out) {
    const std::uint64_t before = std::exchange(computed_passes_, replicas.front().passes());
    const std::uint64_t own_passes = computed_passes_ - before;
    std::string mine(reinterpret_cast<const char*>(&own_passes), sizeof(own_passes)); // NOLINT: processes of one machine
    for (const std::size_t i : texts[replicas.front().number()])
      mine.append(reinterpret_cast<const char*>(out[i].vector.data()), out[i].vector.size() * sizeof(float)); // NOLINT
    PLIMSOLL_ASSIGN(const std::vector<std::string> all, processes->gather(mine));
    const std::size_t vector_bytes = limits.vector_elements * sizeof(float);
    for (std::size_t replica = 0; replica < texts.size(); ++replica) {
      if (replica == replicas.front().number()) continue;
      const std::string& said = all[replica * (all.size() / texts.size())];
      std::uint64_t their_passes = 0;
      if (said.size() != sizeof(their_passes) + texts[replica].size() * vector_bytes)
        return fail(ErrorCode::kInternal, fmt::format("replica {} said {} B of {} vectors", replica, said.size(), texts[replica].size()));
      std::memcpy(&their_passes, said.data(), sizeof(their_passes));
      told_passes_ += their_passes;
      for (std::size_t n = 0; n < texts[replica].size(); ++n) {
        std::vector<float>& vector = out[texts[replica][n]].vector;
        vector.resize(limits.vector_elements);
        std::memcpy(vector.data(), said.data() + sizeof(their_passes) + n * vector_bytes, vector_bytes);
      }
    }
    return {};
  }

  std::uint64_t computed_passes_ = 0, told_passes_ = 0;
  RankThreads threads_{static_cast<std::uint32_t>(replicas.size())}; // goes first
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
    PLIMSOLL_ASSIGN(const Program program, context.program(model, request, 0)); // before weights are loaded
    if (program.vector_elements == 0)
      return fail(ErrorCode::kBadRequest,
                  "this model gives words and no vectors; an embedder has a class without a head, or modules.json beside it",
                  model.info().path);
    std::vector<EmbeddingReplica> replicas;
    std::shared_ptr<ReplicaGroup> group;
    if (!options.processes) group = ReplicaGroup::of(plan);
    const std::uint32_t n_replicas = std::max<std::uint32_t>(plan.request.dp, 1);
    for (std::uint32_t number = 0; number < n_replicas; ++number) {
      if (options.processes && options.processes->rank() / (options.processes->size() / n_replicas) != number) continue;
      PLIMSOLL_ASSIGN(std::unique_ptr<PipelineModel> loaded, load_replica(context, model, request, plan, number, options, group));
      std::optional<KvCache> cache;
      if (auto* const cached = dynamic_cast<KvCacheModel*>(loaded.get())) {
        KvCacheOptions of_cache;
        of_cache.manager.prefix_caching = false; // a text is read once
        PLIMSOLL_ASSIGN(cache, cached->load_kv_manager(loaded->plan(), loaded->arenas(), of_cache));
      }
      replicas.emplace_back(number, std::move(loaded), std::move(cache));
    }
    std::unique_ptr<Tokenizer> tokenizer;
    if (options.load_tokenizer) {
      PLIMSOLL_ASSIGN(tokenizer, load_tokenizer(model.info().path, replicas.front().limits().vocab_tokens));
    }
    return EmbeddingPipeline(
        std::make_unique<Impl>(std::move(plan), std::move(replicas), std::move(group), options.processes, std::move(tokenizer)));
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
std::uint64_t EmbeddingPipeline::passes() const { return impl_->passes(); }
const Tokenizer* EmbeddingPipeline::tokenizer() const { return impl_->tokenizer.get(); }
const Plan& EmbeddingPipeline::plan() const { return impl_->plan; }

std::array<Usage, kCategories> EmbeddingPipeline::usage() const {
  std::array<Usage, kCategories> sums;
  for (const EmbeddingReplica& replica : impl_->replicas) add_usage(replica.model().arenas(), sums);
  return sums;
}

std::vector<UsageRow> EmbeddingPipeline::usage_rows() const {
  std::vector<UsageRow> rows;
  for (const EmbeddingReplica& replica : impl_->replicas) {
    const auto first = static_cast<std::uint32_t>(replica.number() * replica.model().plan().devices.size());
    for (const Arena& arena : replica.model().arenas())
      for (const Usage& of : arena.usage_by_category())
        rows.push_back({first + arena.rank(), of.category, of.planned_bytes, of.peak_bytes});
  }
  return rows;
}

} // namespace plimsoll
