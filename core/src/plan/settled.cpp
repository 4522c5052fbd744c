#include "plan/settled.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>

#include "base/checked.hpp"
#include "base/exact_fraction.hpp"
#include "plan/profile_items.hpp"
#include "plimsoll/limits.hpp"

namespace plimsoll {
namespace {

constexpr std::uint64_t kUnknownLengthTokens = 131072; // where neither the model nor the user says

Result<void> check_ranges(const PlanRequest& r) {
  const auto positive = [](const std::optional<std::uint64_t>& value, std::uint64_t most, const char* option) -> Result<void> {
    if (value && (*value == 0 || *value > most))
      return fail(ErrorCode::kBadRequest, fmt::format("is {}; a number from 1 to {} was expected", *value, most), option);
    return {};
  };
  PLIMSOLL_TRY(positive(r.max_length, kMaxTokens, "--max-length"));
  PLIMSOLL_TRY(positive(r.max_batch_size, kMaxSequences, "--max-batch-size"));
  PLIMSOLL_TRY(positive(r.max_batch_input_tokens, kMaxTokens, "--max-batch-input-tokens"));
  PLIMSOLL_TRY(positive(r.max_batch_total_tokens, kMaxTokens, "--max-batch-total-tokens"));
  PLIMSOLL_TRY(positive(r.page_tokens, kMaxPageTokens, "--page-tokens"));
  PLIMSOLL_TRY(positive(r.images_per_request, kMaxSequences, "--images-per-request"));
  PLIMSOLL_TRY(positive(r.max_loras, kMaxLoras, "--max-loras"));
  PLIMSOLL_TRY(positive(r.max_lora_rank, kMaxLoraRank, "--max-lora-rank"));
  PLIMSOLL_TRY(positive(r.weights_bytes, kMaxBytes, "--weights-bytes"));
  return positive(r.kv_cache_bytes, kMaxBytes, "--kv-cache-bytes");
}

// A request brings no more images than the model takes.
Result<void> check_images(const Settled& s) {
  const MediaEntry* const image = s.model().declared.entry_of(Modality::kImage);
  const std::optional<std::uint64_t>& asked = s.request().images_per_request;
  if (!asked || image == nullptr || image->most_per_request == 0 || *asked <= image->most_per_request) return {};
  return fail(ErrorCode::kBadRequest, fmt::format("is {}; the model takes at most {} images in a request", *asked, image->most_per_request),
              "--images-per-request");
}

void warn(Settled& s, WarningCode code, std::string message) { s.warnings.push_back({code, std::move(message)}); }

void settle_length(Settled& s) {
  const PlanRequest& r = s.request();
  const std::uint64_t own = s.model().declared.facts.max_length;
  s.max_length_given = r.max_length.has_value() && !r.max_length_auto;
  s.max_length = r.max_length.value_or(own);
  if (s.max_length == 0) {
    s.max_length = kUnknownLengthTokens;
    warn(s, WarningCode::kMaxLengthUnknown,
         fmt::format("the configuration does not say how long a request may be; at most {} tokens are planned, give --max-length for more",
                     kUnknownLengthTokens));
  }
  if (r.max_length_auto && own != 0) s.max_length = std::min(s.max_length, own);
  if (s.max_length_given && own != 0 && s.max_length > own)
    warn(s, WarningCode::kMaxLengthBeyondModel, fmt::format("{} tokens were asked for; the model was made for {}", s.max_length, own));
}

void settle_batch(Settled& s) {
  const PlanRequest& r = s.request();
  const std::uint64_t usual = s.profile().batch.max_batch_input_tokens;
  s.batch.reset();
  s.max_batch_input_tokens = r.max_batch_input_tokens.value_or(s.profile().batch.whole_prompts ? std::max(s.max_length, usual) : usual);
  if (!r.max_batch_size) return;
  s.batch = std::min(*r.max_batch_size, s.max_batch_input_tokens);
  if (*s.batch < *r.max_batch_size && r.accounting == Accounting::kPerDevice)
    warn(s, WarningCode::kBatchCapped,
         fmt::format("a batch of {} exceeds the {} tokens of one forward pass; it is planned as {}", *r.max_batch_size,
                     s.max_batch_input_tokens, *s.batch));
}

Result<void> settle_utilization(Settled& s) {
  const PlanRequest& r = s.request();
  const EngineProfile::Budget& budget = s.profile().budget;
  s.utilization = r.device_memory_utilization.value_or(budget.reserve.empty() ? budget.utilization * budget.utilization_factor
                                                                              : utilization_beside_reserve(s));
  if (!(s.utilization > 0 && s.utilization <= 1) && r.accounting == Accounting::kPerDevice)
    return fail(ErrorCode::kBadRequest, fmt::format("is {}; a fraction above 0 and up to 1 was expected", s.utilization),
                "--device-memory-utilization");
  s.vision_utilization = r.vision_cache_utilization.value_or(s.profile().vision_cache.vision_utilization);
  if (!(s.vision_utilization >= 0 && s.vision_utilization <= 1))
    return fail(ErrorCode::kBadRequest, fmt::format("is {}; a fraction from 0 to 1 was expected", s.vision_utilization),
                "--vision-cache-utilization");
  return {};
}

// What each device gives to the plan, before anything is placed.
void settle_budgets(Settled& s) {
  s.memory_bytes.clear();
  s.budget_bytes.clear();
  const EngineProfile::Budget& budget = s.profile().budget;
  for (const Device& d : s.devices()) {
    std::uint64_t memory = d.free_bytes;
    if (budget.of == BudgetOf::kTotal)
      memory = budget.in_use == MemoryInUse::kSubtracted ? d.total_bytes - d.in_use_bytes() : d.total_bytes;
    const std::uint64_t room = memory > budget.margin_bytes ? memory - budget.margin_bytes : 0;
    s.memory_bytes.push_back(memory);
    s.budget_bytes.push_back(s.request().kv_cache_bytes || budget.covers != BudgetCovers::kAll
                                 ? room
                                 : bounded_count(share_of(static_cast<Wide>(room), exact_fraction(s.utilization))));
  }
}

class Settler {
public:
  explicit Settler(const PlanInput& input, SettledLayout layout) {
    s_.input = input;
    s_.layout = std::move(layout.layout);
    s_.engine = std::move(layout.engine);
  }

  Result<Settled> run() {
    PLIMSOLL_TRY(check_ranges(request()));
    PLIMSOLL_TRY(check_images(s_));
    PLIMSOLL_TRY(settle_degrees());
    PLIMSOLL_TRY(settle_draft());
    PLIMSOLL_ASSIGN(s_.cast, settle_cast(request()));
    s_.unpacked = settle_unpacked(s_.profile());
    PLIMSOLL_TRY(settle_types());
    PLIMSOLL_TRY(settle_adapters());
    PLIMSOLL_TRY(settle_sizes(s_));
    if (s_.model().dtype_assumed && !s_.model().inventory)
      warn(s_, WarningCode::kDtypeAssumed, "the configuration names no torch_dtype; bfloat16 is assumed");
    return std::move(s_);
  }

private:
  const PlanRequest& request() const { return s_.request(); }
  const EngineProfile& profile() const { return s_.profile(); }

  Result<void> settle_degrees() {
    if (s_.layout.ep > 1 && s_.model().declared.facts.experts == 0)
      return fail(ErrorCode::kBadRequest,
                  fmt::format("ep {} asks for expert parallelism, but {} has no experts", s_.layout.ep, s_.model().info.architecture),
                  "--ep");
    const std::uint64_t context_ranks = profile().kv.decode_context_parallel;
    if (s_.layout.tp % context_ranks != 0)
      return fail(
          ErrorCode::kBadRequest,
          fmt::format("{} ranks share the context of a request, but tp is {}; a divisor of tp was expected", context_ranks, s_.layout.tp),
          "--set engine.decode_context_parallel");
    return {};
  }

  Result<void> settle_draft() {
    const std::uint32_t drafted = request().num_draft_tokens;
    if (drafted > kMaxDraftTokens)
      return fail(ErrorCode::kBadRequest, fmt::format("is {}; at most {} drafted tokens are planned", drafted, kMaxDraftTokens),
                  "--num-draft-tokens");
    if (s_.input.draft != nullptr) {
      s_.draft = DraftSource::kModel;
      s_.draft_layout = s_.layout;
      std::fill(s_.draft_layout.stage_begin.begin(), s_.draft_layout.stage_begin.end() - 1, 0U);
      s_.draft_layout.stage_begin.back() = UINT32_MAX;
    } else if (drafted > 0) {
      if (s_.model().declared.facts.draft_layers == 0)
        return fail(ErrorCode::kBadRequest,
                    fmt::format("{} has no multi-token-prediction layers of its own; give --draft MODEL", s_.model().info.architecture),
                    "--num-draft-tokens");
      s_.draft = DraftSource::kOwnHead;
    }
    return {};
  }

  // The engine's "auto": the model's own floating-point type.
  Result<void> settle_types() {
    const Dtype& own = s_.cast ? *s_.cast : s_.model().dtype;
    const std::string fallback = profile().kv.dtype == "auto" ? std::string(cache_type_of(own).name) : profile().kv.dtype;
    PLIMSOLL_ASSIGN(s_.kv_types,
                    parse_kv_types(request().kv_dtype.value_or(fallback), request().kv_dtype ? "--kv-dtype" : "engine profile: /kv/dtype"));
    s_.kv_types.model = cache_type_of(own);
    PLIMSOLL_TRY(own_type(profile().kv.state_dtype, "state_dtype", s_.kv_types.state));
    PLIMSOLL_TRY(own_type(profile().kv.conv_dtype, "conv_dtype", s_.kv_types.conv));
    PLIMSOLL_TRY(own_type(profile().kv.window_dtype, "window_dtype", s_.kv_types.window));
    s_.kv_types.latent = profile().kv.mla_cache;
    s_.kv_types.packed_latent = profile().kv.packed_latent;
    s_.page_tokens = request().page_tokens.value_or(profile().kv.page_tokens);
    return {};
  }
  Result<void> settle_adapters() {
    const PlanRequest& r = request();
    if (!r.max_loras) {
      const char* const alone = r.max_lora_rank ? "--max-lora-rank" : r.lora_dtype ? "--lora-dtype" : "--lora-targets";
      if (r.max_lora_rank || r.lora_dtype || !r.lora_targets.empty())
        return fail(ErrorCode::kBadRequest, "says how adapters are kept, but there is room for none; give --max-loras N too", alone);
      return {};
    }
    if (profile().schedule.activations != ActivationRule::kPipeline)
      return fail(
          ErrorCode::kBadRequest,
          fmt::format("the profile of engine {} does not say what adapters take; plan them with --engine reference", profile().name),
          "--max-loras");
    if (s_.layout.ranks() != 1)
      return fail(ErrorCode::kBadRequest, fmt::format("adapters are planned for one rank; these are {}", s_.layout.ranks()), "--max-loras");
    s_.adapters.slots = *r.max_loras;
    s_.adapters.max_rank = r.max_lora_rank.value_or(kDefaultLoraRank);
    s_.adapters.targets = r.lora_targets;
    s_.adapters.dtype = s_.cast ? *s_.cast : s_.model().dtype;
    const std::optional<Dtype> asked = r.lora_dtype ? find_dtype(*r.lora_dtype) : s_.adapters.dtype;
    const std::array<std::string_view, 3> plain{"float32", "bfloat16", "float16"};
    if (!asked || std::find(plain.begin(), plain.end(), asked->name) == plain.end())
      return fail(ErrorCode::kBadRequest,
                  fmt::format("adapters are kept as float32, bfloat16 or float16, not as '{}'",
                              r.lora_dtype ? r.lora_dtype->substr(0, 64) : std::string(s_.adapters.dtype.name)),
                  "--lora-dtype");
    s_.adapters.dtype = *asked;
    return {};
  }
  Result<void> own_type(const std::string& name, const char* key, std::optional<Dtype>& out) const {
    if (name == "auto") return {};
    out = name == "model" ? s_.kv_types.model : find_dtype(name);
    if (!out)
      return fail(ErrorCode::kBadRequest, fmt::format("'{}' is not a type", name.substr(0, 64)), std::string("engine profile: /kv/") + key);
    return {};
  }

  Settled s_;
};

} // namespace

std::string Settled::device_name(std::uint32_t rank) const { return fmt::format("device {} ({})", rank, devices()[rank].name); }

Result<SettledLayout> settle_layout(const Model::Data& model, const PlanRequest& request, const ProfileSource& engine,
                                    const std::vector<Device>& devices) {
  SettledLayout out;
  PLIMSOLL_ASSIGN(out.layout, make_rank_layout(request, devices.size(), model.declared.facts.n_layers, listed_nodes(devices)));
  PLIMSOLL_ASSIGN(out.engine, engine.settle(profile_facts(model, request, out.layout, devices.front())));
  out.layout.vocab_padding_rows = out.engine->weights.vocab_padding_rows;
  out.layout.experts_split_over_dp = out.engine->weights.experts_split_over_dp;
  out.layout.vision_split = out.engine->weights.vision == VisionWeights::kSplit;
  return out;
}

Result<std::optional<Dtype>> settle_cast(const PlanRequest& request) {
  if (!request.dtype) return std::optional<Dtype>();
  const auto type = find_dtype(*request.dtype);
  if (!type || type->safetensors.empty())
    return fail(ErrorCode::kBadRequest,
                fmt::format("'{}' is not a run-time type; try bfloat16, float16 or float32", request.dtype->substr(0, 64)), "--dtype");
  return type;
}

std::optional<Dtype> settle_unpacked(const EngineProfile& profile) {
  if (!profile.weights.unpacked) return std::nullopt;
  return find_dtype("float32");
}

Result<void> settle_sizes(Settled& s) {
  settle_length(s);
  settle_batch(s);
  PLIMSOLL_TRY(settle_utilization(s));
  settle_budgets(s);
  return {};
}

Result<Settled> settle(const PlanInput& input) {
  PLIMSOLL_ASSIGN(SettledLayout layout, settle_layout(*input.model, *input.request, *input.engine, *input.devices));
  return Settler(input, std::move(layout)).run();
}

} // namespace plimsoll
