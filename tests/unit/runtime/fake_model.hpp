// A model that a host derives by itself, as small as can be: its pages keep each token's id, and a row of logits follows from all ids
// that its request's pages hold. So a token that stands in a wrong page, or in none, changes what is generated. For the tests of steps
// and scheduling; no executor, no weights. One thread.
#pragma once

#include <algorithm>
#include <cstring>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "plimsoll/runtime.hpp"
#include "schedule/tables.hpp"

namespace plimsoll::testing {

inline constexpr std::uint64_t kFakeVocab = 41, kFakePageTokens = 4;

inline std::uint64_t mixed(std::uint64_t state, std::uint64_t word) {
  state = (state ^ word) * 0x9E3779B97F4A7C15ULL;
  return state ^ (state >> 29);
}

// The logits after `tokens`.
inline std::vector<float> fake_logits(std::span<const Token> tokens) {
  std::uint64_t state = 7;
  for (const Token token : tokens) state = mixed(state, static_cast<std::uint64_t>(token) + 1);
  std::vector<float> row;
  for (std::uint64_t id = 0; id < kFakeVocab; ++id) row.push_back(static_cast<float>(mixed(state, id) % 1024) / 128);
  return row;
}

inline Token fake_next(std::span<const Token> tokens) {
  const std::vector<float> row = fake_logits(tokens);
  return static_cast<Token>(std::max_element(row.begin(), row.end()) - row.begin());
}

// What a request of its own gives, each token by the last `window` ones before it; 0: by all.
inline std::vector<Token> fake_tokens(std::vector<Token> prompt, std::size_t count, std::size_t window = 0) {
  std::vector<Token> generated;
  for (; generated.size() < count; prompt.push_back(generated.back())) {
    const std::span<const Token> all(prompt);
    generated.push_back(fake_next(window == 0 ? all : all.last(std::min(window, all.size()))));
  }
  return generated;
}

struct FakePlanOptions {
  std::uint64_t pages = 64, batch = 4, batch_tokens = 16, max_length = 100;
  CacheKind kind = CacheKind::kFull;
  std::uint64_t window_tokens = 0;
};

// A plan for one device, as a planner would have made it: pages, and the tables of a step.
inline Plan fake_plan(const FakePlanOptions& options) {
  Plan plan;
  plan.model.architecture = "FakeForCausalLM";
  plan.request.max_length = plan.limits.max_length = options.max_length;
  plan.request.max_batch_size = plan.limits.max_batch_size = options.batch;
  plan.request.max_batch_input_tokens = options.batch_tokens;
  plan.request.dtype = "float32";
  KvGroupGeometry group;
  group.label = "attention";
  group.kind = options.kind;
  group.window_tokens = options.window_tokens;
  group.n_layers = 1;
  group.page_tokens = kFakePageTokens;
  group.page_bytes = kFakePageTokens * sizeof(Token);
  const std::uint64_t pages = options.pages + 1; // and the null page
  plan.kv_geometry.stages.push_back({{group}, 0});
  plan.kv_geometry.stage_of_rank = {0};
  plan.kv_geometry.pools.push_back({pages, 1, 0, pages * group.page_bytes});
  plan.devices.resize(1);
  const PassShape pass{options.batch_tokens, options.batch, options.batch, options.max_length};
  const std::uint64_t tables = (step_input_bytes(pass) + lookup_table_bytes(pass, kFakePageTokens)).value();
  const auto add = [&](Category category, const char* label, std::uint64_t bytes) {
    Item item;
    item.category = category;
    item.label = label;
    item.bytes = {bytes};
    plan.items.push_back(item);
  };
  add(Category::kKvCache, "kv_cache.attention", pages * group.page_bytes);
  add(Category::kActivation, "activation.tables", tables);
  return plan;
}

template <class T>
Result<Tensor> filled(const std::vector<T>& from) {
  PLIMSOLL_ASSIGN(Tensor tensor, Tensor::zeros({from.size()}, *kElementTypeOf<T>));
  PLIMSOLL_ASSIGN(const std::span<T> to, tensor.values<T>());
  std::copy(from.begin(), from.end(), to.begin());
  return tensor;
}

// Without a cache: every step is handed all tokens.
class CachelessModel : public PipelineModel {
public:
  explicit CachelessModel(PipelineModelOptions options) : PipelineModel(std::move(options)) {}

  Result<std::unique_ptr<ModelInputs>> prepare_initial_token_inputs(std::span<const TextContext* const> batch,
                                                                    std::optional<KvCacheInputs> kv,
                                                                    std::uint64_t return_n_logits) override {
    std::vector<std::int64_t> tokens;
    std::vector<std::uint32_t> offsets{0};
    for (const TextContext* const context : batch) {
      tokens.insert(tokens.end(), context->active_tokens().begin(), context->active_tokens().end());
      offsets.push_back(static_cast<std::uint32_t>(tokens.size()));
    }
    if (tokens.size() > plan().request.max_batch_input_tokens) return fail(ErrorCode::kOverPlan, "more tokens than are planned");
    auto inputs = std::make_unique<TextInputs>();
    PLIMSOLL_ASSIGN(inputs->tokens, filled<std::int64_t>(tokens));
    PLIMSOLL_ASSIGN(inputs->input_row_offsets, filled<std::uint32_t>(offsets));
    PLIMSOLL_ASSIGN(inputs->return_n_logits, filled<std::int64_t>({static_cast<std::int64_t>(return_n_logits)}));
    inputs->kv_cache_inputs = std::move(kv);
    most_batch = std::max<std::uint64_t>(most_batch, batch.size());
    return inputs;
  }

  Result<std::unique_ptr<ModelInputs>> prepare_next_token_inputs(const Tensor&, std::unique_ptr<ModelInputs>) override {
    return fail(ErrorCode::kInternal, "steps are made one by one here");
  }

  Result<ModelOutputs> execute(const ModelInputs& inputs) override {
    ++steps;
    if (steps == failing_step) return fail(ErrorCode::kInternal, "the device fell off the bus");
    PLIMSOLL_ASSIGN(const auto tokens, inputs.find("tokens").values<std::int64_t>());
    PLIMSOLL_ASSIGN(const auto offsets, inputs.find("input_row_offsets").values<std::uint32_t>());
    PLIMSOLL_ASSIGN(const auto wanted, inputs.find("return_n_logits").values<std::int64_t>());
    std::vector<float> rows;
    std::vector<std::uint32_t> row_offsets{0};
    for (std::size_t i = 0; i + 1 < offsets.size(); ++i) {
      const std::size_t active = offsets[i + 1] - offsets[i];
      const std::size_t count =
          return_logits() == ReturnLogits::kAll ? active : std::min<std::size_t>(active, static_cast<std::size_t>(wanted[0]));
      std::vector<Token> seen;
      PLIMSOLL_ASSIGN(const std::size_t cached, read_pages(inputs, i, seen));
      for (std::size_t n = 0; n < active; ++n) {
        seen.push_back(static_cast<Token>(tokens[offsets[i] + n]));
        PLIMSOLL_TRY(write_page(inputs, i, cached + n, seen.back()));
        if (n + count < active) continue;
        const std::span<const Token> all(seen);
        const std::vector<float> row = fake_logits(all.last(std::min<std::size_t>(window(), all.size())));
        rows.insert(rows.end(), row.begin(), row.end());
      }
      row_offsets.push_back(row_offsets.back() + static_cast<std::uint32_t>(count));
    }
    most_rows = std::max<std::uint64_t>(most_rows, row_offsets.back());
    if (broken_row) std::fill(rows.begin(), rows.begin() + kFakeVocab, std::numeric_limits<float>::quiet_NaN());
    PLIMSOLL_ASSIGN(Tensor logits, Tensor::zeros({row_offsets.back(), kFakeVocab}, ElementType::kFloat32));
    PLIMSOLL_ASSIGN(const std::span<float> values, logits.values<float>());
    std::copy(rows.begin(), rows.end(), values.begin());
    PLIMSOLL_ASSIGN(Tensor output_offsets, filled<std::uint32_t>(row_offsets));
    return ModelOutputs::create(logits, std::nullopt, output_offsets);
  }

  StepLimits step_limits() const override {
    StepLimits limits = PipelineModel::step_limits();
    limits.output_rows = output_rows == 0 ? limits.output_rows : output_rows;
    limits.vocab_tokens = kFakeVocab;
    return limits;
  }

  void release(RequestId request) noexcept override { ++released[request]; }

  std::uint64_t output_rows = 0;                          // of a step; 0: one for each token
  std::uint64_t steps = 0, most_batch = 0, most_rows = 0; // seen
  std::uint64_t failing_step = 0;                         // 0: none
  bool broken_row = false;                                // the first row of a step is no number
  std::map<RequestId, int> released;

protected:
  // How many of the last tokens a row follows from.
  std::uint64_t window() const {
    const std::uint64_t tokens = plan().kv_geometry.stages.front().groups.front().window_tokens;
    return tokens == 0 ? UINT64_MAX : tokens;
  }
  // The ids that the cache has of request `i`; their number.
  virtual Result<std::size_t> read_pages(const ModelInputs&, std::size_t, std::vector<Token>&) { return std::size_t{0}; }
  virtual Result<void> write_page(const ModelInputs&, std::size_t, std::size_t, Token) { return {}; }
};

class FakeModel : public CachelessModel, public KvCacheModel {
public:
  using CachelessModel::CachelessModel;

protected:
  Result<std::size_t> read_pages(const ModelInputs& inputs, std::size_t i, std::vector<Token>& seen) override {
    PLIMSOLL_ASSIGN(const auto lengths, inputs.find("kv.cache_lengths").values<std::uint32_t>());
    // What is behind the window may have no page any more.
    const std::uint64_t first = lengths[i] - std::min<std::uint64_t>(lengths[i], window() - 1);
    for (std::uint64_t at = first; at < lengths[i]; ++at) {
      PLIMSOLL_ASSIGN(const std::span<std::uint8_t> slot, slot_of(inputs, i, at));
      Token token = 0;
      std::memcpy(&token, slot.data(), sizeof(token));
      seen.push_back(token);
    }
    return std::size_t{lengths[i]};
  }
  Result<void> write_page(const ModelInputs& inputs, std::size_t i, std::size_t at, Token token) override {
    PLIMSOLL_ASSIGN(const std::span<std::uint8_t> slot, slot_of(inputs, i, at));
    std::memcpy(slot.data(), &token, sizeof(token));
    return {};
  }

private:
  static Result<std::span<std::uint8_t>> slot_of(const ModelInputs& inputs, std::size_t i, std::size_t at) {
    const Tensor blocks = inputs.find("kv.blocks"), table = inputs.find("kv.lookup_table");
    PLIMSOLL_ASSIGN(const auto bytes, blocks.values<std::uint8_t>());
    PLIMSOLL_ASSIGN(const auto cells, table.values<std::uint32_t>());
    const std::size_t page = cells[i * table.shape()[1] + at / kFakePageTokens];
    if (page + 1 >= blocks.shape()[0]) return fail(ErrorCode::kInternal, "a token has no page");
    return bytes.subspan(page * blocks.shape()[1] + at % kFakePageTokens * sizeof(Token), sizeof(Token));
  }
};

inline Result<TextGenerationPipeline> fake_pipeline(const FakePlanOptions& options = {}, bool prefix_caching = false,
                                                    std::unique_ptr<Tokenizer> tokenizer = nullptr,
                                                    ReturnLogits return_logits = ReturnLogits::kVariable) {
  const Plan plan = fake_plan(options);
  PLIMSOLL_ASSIGN(const Arena arena, Arena::create(plan, 0));
  PipelineParts parts;
  parts.model = std::make_unique<FakeModel>(PipelineModelOptions{plan, {arena}, return_logits});
  parts.tokenizer = std::move(tokenizer);
  parts.kv.manager.prefix_caching = prefix_caching;
  parts.kv.manager.key_seed = 1;
  return TextGenerationPipeline::create(std::move(parts));
}
inline CachelessModel& fake_model(const TextGenerationPipeline& pipeline) { return dynamic_cast<CachelessModel&>(pipeline.model()); }

} // namespace plimsoll::testing
