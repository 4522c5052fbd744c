#include "runtime/exercise.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <optional>
#include <set>
#include <utility>

#include "base/checked.hpp"
#include "runtime/philox.hpp"

namespace plimsoll {
namespace {

constexpr std::uint64_t kDecodeTokens = 100; // that each request of the full batch is given one by one
constexpr std::uint64_t kMostEntries = 2;    // of the vision cache that are filled: encoding takes its time

// A request under way. Its tokens are computed until there are as many as it may have.
struct Running {
  TextContext context;
  std::optional<KvClaim> claim;
  std::optional<LoraClaim> adapter;
  bool done = false;
  bool waiting = false; // without a claim, for one of the others to end
};

class Exercise {
public:
  Exercise(PipelineModel& model, KvCache* cache, const ExerciseOptions& options)
      : model_(model), cache_(cache), options_(options), limits_(model.step_limits()),
        rows_each_(1 + (model.draft() != nullptr || model.draft_head() != nullptr ? model.plan().request.num_draft_tokens : 0)),
        all_rows_(model.return_logits() == ReturnLogits::kAll ||
                  limits_.output_rows > (Checked(limits_.sequences) * rows_each_).saturated()) {
    if (all_rows_) limits_.tokens = std::min(limits_.tokens, limits_.output_rows);
    limits_.sequences = std::min({limits_.sequences, limits_.tokens, limits_.output_rows});
  }

  Result<Exercised> run() {
    const Plan& plan = model_.plan();
    if (limits_.tokens == 0 || limits_.sequences == 0)
      return fail(ErrorCode::kBadRequest, "the model takes steps of no tokens; one at least was expected");
    // Without a cache a pass holds its requests whole, so none is longer than a pass, and a full batch shares one.
    const std::uint64_t longest = cache_ != nullptr ? plan.limits.max_length : std::min(plan.limits.max_length, limits_.tokens);
    const std::uint64_t in_batch = cache_ != nullptr ? longest : std::min(longest, limits_.tokens / limits_.sequences);
    const std::uint64_t one_by_one = cache_ != nullptr ? std::min(kDecodeTokens, in_batch / 2) : 0;
    const std::uint64_t prompt_tokens = in_batch - one_by_one;
    done_.due_longest_tokens = longest;
    done_.due_full_requests = limits_.sequences;
    done_.due_sequences = sequences_at_once(std::min(prompt_tokens, limits_.tokens / limits_.sequences));
    const bool hold_all_prompts = sequences_at_once(prompt_tokens) == limits_.sequences;
    done_.due_tokens = std::min(limits_.tokens, hold_all_prompts ? std::max(longest, limits_.sequences * prompt_tokens) : longest);
    done_.due_tokens = std::min(done_.due_tokens, tokens_of_windows());
    // Where tokens are drafted each request has a row for all of them.
    const std::uint64_t rows_each = std::min({rows_each_, prompt_tokens, limits_.tokens / limits_.sequences});
    done_.due_output_rows = all_rows_ ? done_.due_tokens : done_.due_sequences * rows_each;
    total_tokens_ = longest + limits_.sequences * in_batch;

    PLIMSOLL_TRY(fill_adapter_slots());
    PLIMSOLL_TRY(start(prompt(0, longest), longest, 0));
    PLIMSOLL_TRY(run_to_end());
    done_.longest_tokens = longest_;
    end_all();

    for (std::uint64_t i = 0; i < limits_.sequences; ++i) PLIMSOLL_TRY(start(prompt(1 + i, prompt_tokens), in_batch, i));
    PLIMSOLL_TRY(run_to_end());
    for (const Running& request : requests_) done_.full_requests += request.context.size_tokens() == in_batch ? 1U : 0U;
    end_all();

    PLIMSOLL_TRY(use_further_adapters());
    if (cache_ != nullptr && cache_->manager().prefix_caching())
      PLIMSOLL_TRY(share_a_prefix(prompt_tokens, std::min(prompt_tokens + 1, in_batch)));
    PLIMSOLL_TRY(show_images());
    PLIMSOLL_TRY(unload_adapters());
    return std::move(done_);
  }

private:
  // How many of the batch have pages for so many tokens each, all at once.
  std::uint64_t sequences_at_once(std::uint64_t tokens) const {
    std::uint64_t most = limits_.sequences;
    if (cache_ == nullptr) return most;
    const PagedKvManager& manager = cache_->manager();
    const KvGeometry& geometry = manager.geometry();
    for (std::size_t group = 0; group < geometry.n_groups(); ++group) {
      const KvGroupGeometry& layout = geometry.group(0, group);
      if (is_windowed(layout.kind)) continue; // its pages move on
      const std::uint64_t units =
          layout.kind == CacheKind::kState ? layout.rows_per_sequence : ceil_div(tokens, std::max<std::uint64_t>(layout.page_tokens, 1));
      const std::uint64_t free = manager.free_pages(group) / (geometry.shared_blocks ? std::uint64_t{geometry.n_groups()} : 1U);
      most = std::min(most, free / std::max<std::uint64_t>(units, 1));
    }
    return most;
  }

  // The most tokens that pools of windows have pages for: no pass has more.
  std::uint64_t tokens_of_windows() const {
    std::uint64_t most = UINT64_MAX;
    if (cache_ == nullptr) return most;
    const PagedKvManager& manager = cache_->manager();
    for (std::size_t group = 0; group < manager.geometry().n_groups(); ++group) {
      const KvGroupGeometry& layout = manager.geometry().group(0, group);
      if (is_windowed(layout.kind)) most = std::min(most, (Checked(manager.free_pages(group)) * layout.page_tokens).saturated());
    }
    return most;
  }

  // A prompt and a token after it, with which its pages are published; then all of the batch with that prompt: they are still there.
  Result<void> share_a_prefix(std::uint64_t tokens, std::uint64_t max_length) {
    PLIMSOLL_TRY(start(prompt(limits_.sequences + 1, tokens), max_length, 0));
    PLIMSOLL_TRY(run_to_end());
    end_all();
    const PagedKvManager& manager = cache_->manager();
    const std::uint64_t unit = manager.hit_alignment_tokens();
    bool windows = false; // of which pages that nobody sees any more may be gone
    for (std::size_t group = 0; group < manager.geometry().n_groups(); ++group)
      windows = windows || is_windowed(manager.geometry().group(0, group).kind);
    if (unit > 0 && !windows) done_.due_hit_tokens = (tokens - 1) / unit * unit;
    for (std::uint64_t i = 0; i < limits_.sequences; ++i) PLIMSOLL_TRY(start(prompt(limits_.sequences + 1, tokens), max_length, 0));
    PLIMSOLL_TRY(run_to_end());
    end_all();
    return {};
  }

  // One after another, so that the last one takes the place of another.
  Result<void> show_images() {
    const std::optional<ImageLimits> limits = model_.image_limits();
    if (!limits) return {};
    const std::uint64_t rows = limits->rules.most_rows, blocks = ceil_div(rows, limits->rules.block_rows);
    const std::uint64_t longest =
        cache_ != nullptr ? model_.plan().limits.max_length : std::min(model_.plan().limits.max_length, limits_.tokens);
    if (rows >= longest) return {}; // no request is long enough for it
    done_.image_rows = rows;
    done_.due_images = std::min(limits->cache_blocks / blocks, kMostEntries) + 1;
    for (std::uint64_t i = 0; i < done_.due_images; ++i) {
      const MediaSpan span = drawn_image(limits->rules, i);
      std::vector<Token> tokens(static_cast<std::size_t>(rows), static_cast<Token>(limits->rules.token));
      tokens.push_back(0);
      PLIMSOLL_TRY(start(std::move(tokens), rows + 1, 0, {span}));
      PLIMSOLL_TRY(run_to_end());
      end_all();
      done_.images += done_.cut_short.empty() ? 1U : 0U;
    }
    return {};
  }

  // The largest one, as near a square as its rows allow.
  MediaSpan drawn_image(const ProgramImages& rules, std::uint64_t number) const {
    std::uint64_t high = 1;
    for (std::uint64_t side = 1; side * side <= rules.most_rows; ++side)
      if (rules.most_rows % side == 0) high = side;
    auto image = std::make_shared<Image>();
    image->height = static_cast<std::uint32_t>(high * rules.step_pixels());
    image->width = static_cast<std::uint32_t>(rules.most_rows / high * rules.step_pixels());
    image->pixels.resize(std::size_t{image->height} * image->width * rules.channels);
    for (std::size_t i = 0; i < image->pixels.size(); ++i)
      image->pixels[i] = static_cast<float>(uniform_draw(options_.seed + number, limits_.sequences + 3, i)) * 2 - 1;
    MediaSpan span;
    span.length_tokens = rules.most_rows;
    span.rows = static_cast<std::uint32_t>(high);
    span.columns = static_cast<std::uint32_t>(rules.most_rows / high);
    span.hash_low = options_.seed;
    span.hash_high = number;
    span.image = std::move(image);
    return span;
  }

  std::vector<Token> prompt(std::uint64_t stream, std::uint64_t tokens) const {
    return drawn_tokens(options_.seed, stream, tokens, limits_.vocab_tokens);
  }

  // As many as there are slots, each in one.
  Result<void> fill_adapter_slots() {
    LoraManager* const manager = model_.lora_manager();
    if (manager == nullptr) return {};
    done_.due_adapters = manager->slots();
    for (std::uint64_t i = 0; i < manager->slots(); ++i) {
      const std::string name = fmt::format("drawn-{}", i);
      for (LoraAnswer answer : {manager->load_drawn(name, options_.seed + i), manager->activate(name)})
        if (!answer.ok()) return tl::unexpected(std::move(*answer.error));
      adapter_names_.push_back(name);
      adapter_keys_.push_back(manager->key(name).value_or(name));
    }
    return {};
  }
  // Of more slots than the full batch has requests: a token through each of the others.
  Result<void> use_further_adapters() {
    for (std::uint64_t next = limits_.sequences; next < adapter_keys_.size();) {
      for (std::uint64_t i = 0; i < limits_.sequences && next < adapter_keys_.size(); ++i, ++next)
        PLIMSOLL_TRY(start(prompt(limits_.sequences + 2, 1), 1, next));
      PLIMSOLL_TRY(run_to_end());
      end_all();
    }
    return {};
  }
  Result<void> unload_adapters() {
    for (const std::string& name : adapter_names_)
      if (LoraAnswer answer = model_.lora_manager()->unload(name); !answer.ok()) return tl::unexpected(std::move(*answer.error));
    done_.adapters = used_adapters_.size();
    return {};
  }

  // `adapter`: which of them, over and over, where there are any.
  Result<void> start(std::vector<Token> tokens, std::uint64_t max_length, std::uint64_t adapter, std::vector<MediaSpan> media = {}) {
    TextContextOptions of;
    of.id = next_id_++;
    of.prompt = std::move(tokens);
    of.max_length = max_length;
    of.media = std::move(media);
    if (!adapter_keys_.empty()) of.adapter = adapter_keys_[adapter % adapter_keys_.size()];
    PLIMSOLL_ASSIGN(TextContext context, TextContext::create(std::move(of)));
    Running& request = requests_.emplace_back(Running{std::move(context), std::nullopt, std::nullopt});
    if (!request.context.adapter().empty()) {
      PLIMSOLL_ASSIGN(request.adapter, model_.lora_manager()->claim(request.context.adapter()));
    }
    return claim(request);
  }

  // Waits where there is no room for it: who is alone has nobody to wait for.
  Result<void> claim(Running& request) {
    request.waiting = false;
    if (cache_ == nullptr) return {};
    auto claim = KvClaim::take(cache_->manager(), request.context.id());
    if (claim) {
      request.claim.emplace(std::move(*claim));
      return {};
    }
    if (claim.error().code != ErrorCode::kInsufficientBlocks) return tl::unexpected(std::move(claim.error()));
    shortage_ = claim.error().message;
    request.waiting = true;
    return {};
  }

  void end(Running& request) {
    request.claim.reset();
    model_.release(request.context.id());
  }
  void end_all() {
    for (Running& request : requests_) end(request);
    requests_.clear();
  }

  Result<void> run_to_end() {
    while (true) {
      std::vector<Running*> left, waiting;
      for (Running& request : requests_)
        if (!request.done) (request.waiting ? waiting : left).push_back(&request);
      if (left.empty() && waiting.empty()) return {};
      if (left.empty() || (!waiting.empty() && std::exchange(ended_one_, false))) {
        PLIMSOLL_TRY(claim(*waiting.front()));
        if (!waiting.front()->waiting) left.push_back(waiting.front());
      }
      PLIMSOLL_ASSIGN(const std::vector<Running*> batch, next_batch(left));
      if (!batch.empty()) {
        PLIMSOLL_TRY(pass(batch, batch.size() == left.size()));
      } else if (left.size() > 1) { // nobody can go on: the youngest makes room, and is computed again
        TextContext& context = left.back()->context;
        PLIMSOLL_TRY(context.rewind_processing(context.processed_length()));
        end(*left.back());
        left.back()->waiting = true;
      } else { // not even one alone
        done_.cut_short = shortage_;
        Running& given_up = left.empty() ? *waiting.front() : *left.front();
        given_up.done = true;
        given_up.waiting = false;
        end(given_up);
      }
    }
  }

  // Every request with a fair part of a full pass, so that a pass is full in both. Who has no pages now waits for those that end.
  Result<std::vector<Running*>> next_batch(const std::vector<Running*>& left) {
    std::vector<Running*> batch;
    std::uint64_t tokens = limits_.tokens;
    for (std::size_t i = 0; i < left.size(); ++i) {
      const std::uint64_t share = tokens / (left.size() - i);
      if (share == 0) continue;
      PLIMSOLL_ASSIGN(const bool taken, take_pages(left[i]->context, share));
      if (!taken) continue;
      tokens -= left[i]->context.active_length();
      batch.push_back(left[i]);
    }
    return batch;
  }

  Result<bool> take_pages(TextContext& context, std::uint64_t most_tokens) {
    if (cache_ == nullptr) {
      PLIMSOLL_TRY(context.rewind_processing(context.processed_length()));
      return context.active_length() <= most_tokens;
    }
    PagedKvManager& manager = cache_->manager();
    context.set_chunk_limit(most_tokens);
    auto taken = manager.alloc(context);
    if (!taken && taken.error().code == ErrorCode::kInsufficientBlocks) {
      shortage_ = taken.error().message;
      PLIMSOLL_ASSIGN(const std::uint64_t fitting, manager.fitting_tokens(context));
      if (fitting == 0) return false;
      context.set_chunk_limit(std::min(fitting, most_tokens));
      taken = manager.alloc(context);
    }
    if (!taken) return tl::unexpected(std::move(taken.error()));
    done_.hit_tokens = std::max(done_.hit_tokens, taken->hit_tokens);
    return true;
  }

  Result<void> pass(const std::vector<Running*>& batch, bool all_take_part) {
    std::vector<const TextContext*> contexts;
    std::uint64_t tokens = 0, rows = rows_each_;
    bool one_by_one = all_take_part && cache_ != nullptr;
    for (const Running* const request : batch) {
      const TextContext& context = request->context;
      contexts.push_back(&context);
      tokens += context.active_length();
      if (all_rows_) rows = std::max(rows, context.active_length());
      one_by_one = one_by_one && context.generated_length() > 0;
    }
    const std::uint64_t takes = options_.takes();
    if (PipelineModel* const draft = model_.draft(); draft != nullptr && cache_ != nullptr) {
      PLIMSOLL_ASSIGN(KvCacheInputs shared, cache_->runtime_inputs(contexts));
      PLIMSOLL_ASSIGN(const std::unique_ptr<ModelInputs> of_draft, draft->prepare_initial_token_inputs(contexts, std::move(shared), 1));
      PLIMSOLL_TRY(draft->execute(*of_draft));
    }
    std::optional<KvCacheInputs> kv;
    if (cache_ != nullptr) {
      PLIMSOLL_ASSIGN(kv, cache_->runtime_inputs(contexts));
    }
    PLIMSOLL_ASSIGN(const std::unique_ptr<ModelInputs> inputs, model_.prepare_initial_token_inputs(contexts, std::move(kv), rows));
    PLIMSOLL_ASSIGN(const ModelOutputs outputs, model_.execute(*inputs));
    if (outputs.batch() != batch.size())
      return fail(ErrorCode::kInternal, fmt::format("the model gave outputs of {} requests for {}", outputs.batch(), batch.size()));
    PLIMSOLL_TRY(follow(*inputs, contexts));

    ++done_.passes;
    done_.most_tokens = std::max(done_.most_tokens, tokens);
    done_.most_sequences = std::max<std::uint64_t>(done_.most_sequences, batch.size());
    const std::span<const std::uint64_t> shape = outputs.logits().shape();
    done_.most_output_rows = std::max(done_.most_output_rows, shape.empty() ? 0 : shape.front());
    for (const TextContext* const context : contexts)
      if (!context->adapter().empty()) used_adapters_.insert(context->adapter());
    for (Running* const request : batch) PLIMSOLL_TRY(advance(*request));
    if (cache_ != nullptr) PLIMSOLL_TRY(cache_->manager().step(contexts));
    if (one_by_one) {
      ++done_.decode_passes;
      done_.decode_takes += options_.takes() - takes;
    }
    for (Running* const request : batch)
      if (request->done) end(*request);
    for (const Running* const request : batch) ended_one_ = ended_one_ || request->done;
    done_tokens_ = std::min(done_tokens_ + tokens, total_tokens_);
    if (options_.progress) options_.progress(done_tokens_, total_tokens_);
    return {};
  }

  // A head that drafts, over the same tokens.
  Result<void> follow(const ModelInputs& inputs, const std::vector<const TextContext*>& contexts) {
    DraftHead* const head = model_.draft_head();
    if (head == nullptr || cache_ == nullptr) return {};
    std::vector<std::vector<Token>> next;
    for (const TextContext* const context : contexts) {
      const std::span<const Token> active = context->active_tokens();
      next.emplace_back(active.begin() + 1, active.end());
      next.back().push_back(drawn_tokens(options_.seed ^ context->id(), context->current_position(), 1, limits_.vocab_tokens).front());
    }
    PLIMSOLL_TRY(head->follow(inputs, next));
    return {};
  }

  // The next token is drawn, too: what a model says does not change what it takes.
  Result<void> advance(Running& request) {
    TextContext& context = request.context;
    if (!context.reaches_end()) return context.advance_chunk();
    if (context.size_tokens() < context.max_length())
      return context.update(drawn_tokens(options_.seed ^ context.id(), context.size_tokens(), 1, limits_.vocab_tokens).front());
    longest_ = std::max(longest_, context.size_tokens());
    request.done = true;
    return {};
  }

  PipelineModel& model_;
  KvCache* cache_;
  const ExerciseOptions& options_;
  StepLimits limits_;
  std::uint64_t rows_each_ = 1; // of a request, at least: drafted tokens are verified together
  bool all_rows_ = false;
  std::vector<Running> requests_;
  std::vector<std::string> adapter_names_, adapter_keys_;
  std::set<std::string> used_adapters_; // keys
  RequestId next_id_ = 1;
  std::uint64_t done_tokens_ = 0, total_tokens_ = 0, longest_ = 0;
  bool ended_one_ = false; // and nobody who waits has been told
  std::string shortage_;
  Exercised done_;
};

} // namespace

std::vector<Token> drawn_tokens(std::uint64_t seed, std::uint64_t stream, std::uint64_t count, std::uint64_t vocab_tokens) {
  std::vector<Token> out(count);
  const auto most = static_cast<double>(std::min<std::uint64_t>(vocab_tokens, INT32_MAX));
  for (std::uint64_t i = 0; i < count; ++i) out[i] = static_cast<Token>(uniform_draw(seed, stream, i) * most);
  return out;
}

Result<Exercised> exercise(PipelineModel& model, KvCache* cache, const ExerciseOptions& options) {
  return Exercise(model, cache, options).run();
}

} // namespace plimsoll
