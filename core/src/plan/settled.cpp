#include "plan/settled.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>

#include "base/checked.hpp"
#include "base/exact_fraction.hpp"
#include "plan/place_layers.hpp"
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
  PLIMSOLL_TRY(positive(r.kv_blocks, kMaxTokens, "--num-gpu-blocks-override"));
  PLIMSOLL_TRY(positive(r.kv_offload_bytes, kMaxBytes, "--kv-offload-bytes"));
  if (r.kv_blocks && r.kv_cache_bytes)
    return fail(ErrorCode::kBadRequest, "gives the KV memory in blocks, but it is given in bytes too; keep one",
                "--num-gpu-blocks-override");
  for (const auto& [limit, option] : {std::pair{r.images_per_request, "--images-per-request"},
                                      {r.videos_per_request, "--limit-mm-per-prompt"},
                                      {r.audios_per_request, "--limit-mm-per-prompt"}})
    if (limit.value_or(0) > kMaxSequences)
      return fail(ErrorCode::kBadRequest, fmt::format("is {}; a number from 0 to {} was expected", *limit, kMaxSequences), option);
  PLIMSOLL_TRY(positive(r.max_loras, kMaxLoras, "--max-loras"));
  PLIMSOLL_TRY(positive(r.max_lora_rank, kMaxLoraRank, "--max-lora-rank"));
  PLIMSOLL_TRY(positive(r.weights_bytes, kMaxBytes, "--weights-bytes"));
  PLIMSOLL_TRY(positive(r.host_bytes, kMaxBytes, "--host"));
  return positive(r.kv_cache_bytes, kMaxBytes, "--kv-cache-bytes");
}

void warn(Settled& s, WarningCode code, std::string message) { s.warnings.push_back({code, std::move(message)}); }

const std::optional<std::uint64_t>& asked_limit(const PlanRequest& r, Modality modality) {
  switch (modality) {
  case Modality::kImage: return r.images_per_request;
  case Modality::kVideo: return r.videos_per_request;
  case Modality::kAudio: return r.audios_per_request;
  }
  return r.images_per_request;
}

// What requests may bring, which is no more than the model takes.
Result<void> settle_entries(Settled& s) {
  for (const MediaEntry& entry : s.model().declared.entries) {
    if (!takes_modality(s.request(), entry.modality)) continue;
    s.entries.push_back(&entry);
    const std::optional<std::uint64_t>& asked = asked_limit(s.request(), entry.modality);
    if (asked && entry.most_per_request != 0 && *asked > entry.most_per_request)
      return fail(
          ErrorCode::kBadRequest,
          fmt::format("is {}; the model takes at most {} {}s in a request", *asked, entry.most_per_request, modality_name(entry.modality)),
          entry.modality == Modality::kImage ? "--images-per-request" : "--limit-mm-per-prompt");
  }
  return {};
}

// Devices that the engine runs on, and a release that its profile knows.
Result<void> check_engine(Settled& s) {
  const EngineProfile& profile = s.profile();
  if (profile.newer_than_known)
    warn(s, WarningCode::kReleaseUnknown,
         fmt::format("{} is newer than any release of {} that is described; the newest rules that are known are used", profile.version,
                     profile.name));
  std::string first;
  for (std::uint32_t rank = 0; rank < s.layout.ranks(); ++rank) {
    const std::string& vendor = s.devices()[rank].vendor;
    if (vendor.empty()) continue;
    const std::vector<std::string>& vendors = profile.start.vendors;
    if (!vendors.empty() && std::find(vendors.begin(), vendors.end(), vendor) == vendors.end())
      return fail(ErrorCode::kBadRequest,
                  fmt::format("{} is of {}; {} runs on devices of {}", s.device_name(rank), vendor, profile.name, fmt::join(vendors, ", ")),
                  "--devices");
    if (first.empty()) first = vendor;
    if (vendor != first && !profile.start.mixed_vendors)
      return fail(ErrorCode::kBadRequest,
                  fmt::format("{} is of {}, others are of {}; {} runs on devices of one vendor at a time", s.device_name(rank), vendor,
                              first, profile.name),
                  "--devices");
  }
  return {};
}

// A KV type and a page that the engine offers.
Result<void> check_kv_options(const Settled& s) {
  const EngineProfile::Kv& rules = s.profile().kv;
  const PlanRequest& r = s.request();
  const auto taken = [&](std::string_view text, const Dtype& type) {
    return rules.takes.empty() || type.name == s.kv_types.model.name ||
           std::any_of(rules.takes.begin(), rules.takes.end(), [&](const std::string& one) { return one == type.name || one == text; });
  };
  if (r.kv_dtype) {
    const std::string_view text = *r.kv_dtype;
    const auto slash = text.find('/');
    const std::string_view k = text.substr(0, slash), v = slash == std::string_view::npos ? k : text.substr(slash + 1);
    if (!taken(k, s.kv_types.k) || !taken(v, s.kv_types.v) || (k != v && !rules.types_apart))
      return fail(ErrorCode::kBadRequest,
                  fmt::format("{} {} keeps no KV cache as '{}' here; it takes {}", s.profile().name, s.profile().version,
                              text.substr(0, 64), fmt::join(rules.takes, ", ")),
                  "--kv-dtype");
  }
  if (!r.page_tokens) return {};
  const bool listed =
      rules.page_sizes.empty() || std::find(rules.page_sizes.begin(), rules.page_sizes.end(), *r.page_tokens) != rules.page_sizes.end();
  if (listed && *r.page_tokens % rules.page_multiple == 0) return {};
  const std::string wanted = rules.page_sizes.empty() ? fmt::format("a multiple of {} was expected", rules.page_multiple)
                                                      : fmt::format("it takes {}", fmt::join(rules.page_sizes, ", "));
  return fail(ErrorCode::kBadRequest,
              fmt::format("{} {} has no pages of {} tokens here; {}", s.profile().name, s.profile().version, *r.page_tokens, wanted),
              "--page-tokens");
}

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
  const bool grows = s.profile().batch.whole_prompts || (s.whole_requests() && !s.profile().batch.pass_limits_length);
  s.max_batch_input_tokens = r.max_batch_input_tokens.value_or(grows ? std::max(s.max_length, usual) : usual);
  if (s.whole_requests() && s.max_length > s.max_batch_input_tokens) {
    warn(s, WarningCode::kCapacityClamped,
         fmt::format("no KV cache keeps a part of a request, so it runs in one pass; the length of {} is cut to the {} tokens of a pass, "
                     "give --max-batch-input-tokens for more",
                     s.max_length, s.max_batch_input_tokens));
    s.max_length = s.max_batch_input_tokens;
  }
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
    s.budget_bytes.push_back(s.kv_given() || budget.covers != BudgetCovers::kAll
                                 ? room
                                 : bounded_count(share_of(static_cast<Wide>(room), exact_fraction(s.utilization))));
  }
}

// The engine's slots share one stream of cells where nobody said how many there are.
std::shared_ptr<const EngineProfile> with_default_slots(std::shared_ptr<const EngineProfile> engine, const PlanRequest& request) {
  if (!engine->kv.cells.unified_by_default || request.max_batch_size || request.engine_overrides.contains("kv_unified") ||
      request.engine_overrides.contains("kv.cells.kv_unified"))
    return engine;
  auto unified = std::make_shared<EngineProfile>(*engine);
  unified->kv.cells.kv_unified = true;
  return unified;
}

class Settler {
public:
  explicit Settler(const PlanInput& input, SettledLayout layout) {
    s_.input = input;
    s_.layout = std::move(layout.layout);
    s_.layout.host_tensors = input.host_tensors;
    s_.engine = std::move(layout.engine);
    s_.split_mode = layout.split_mode;
    s_.deals_layers = layout.deals_layers;
  }

  Result<Settled> run() {
    const std::optional<Error>& unknown = s_.model().quantization.unknown();
    if (unknown && !s_.model().inventory && !request().weights_bytes) return tl::unexpected(*unknown);
    PLIMSOLL_TRY(check_ranges(request()));
    PLIMSOLL_TRY(check_engine(s_));
    PLIMSOLL_TRY(settle_entries(s_));
    PLIMSOLL_TRY(settle_degrees());
    PLIMSOLL_TRY(settle_draft());
    PLIMSOLL_ASSIGN(s_.cast, settle_cast(request()));
    // An engine that never computes in 32 bits loads such weights in 16.
    if (!s_.cast && profile().weights.float32_as_16_bits && s_.model().dtype.name == "float32") s_.cast = find_dtype("bfloat16");
    s_.unpacked = settle_unpacked(s_.profile());
    PLIMSOLL_TRY(settle_types());
    PLIMSOLL_TRY(check_kv_options(s_));
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
      s_.draft_layout.host_expert_layers = 0;
      s_.draft_layout.host_tensors.reset();
      s_.draft_layout.output_stage.reset();
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
    if (profile().kv.mla_as_stored) {
      const Json* const stored = find_pointer(*s_.model().config, "/latent_cache");
      if (stored != nullptr && *stored == "heads") s_.kv_types.latent = LatentCache::kHeads;
    }
    s_.kv_types.packed_latent = profile().kv.packed_latent;
    if (profile().kv.even_value_rows && !profile().batch.flash_attention)
      for (const KvGroup& group : s_.model().declared.kv)
        if (group.role != PLIMSOLL_ROLE_DRAFT && group.kind != CacheKind::kState)
          s_.kv_types.value_row_elements =
              std::max(s_.kv_types.value_row_elements, (Checked(group.kv_heads) * group.v_elements).saturated());
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
    const bool scheduled = profile().schedule.activations == ActivationRule::kPipeline;
    if (!scheduled && !profile().lora.slots)
      return fail(
          ErrorCode::kBadRequest,
          fmt::format("the profile of engine {} does not say what adapters take; others do, such as --engine reference", profile().name),
          "--max-loras");
    s_.adapters.slots = *r.max_loras;
    s_.adapters.max_rank = r.max_lora_rank.value_or(scheduled ? kDefaultLoraRank : profile().lora.default_rank);
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

bool takes_modality(const PlanRequest& request, Modality modality) {
  return !request.language_model_only && asked_limit(request, modality).value_or(1) > 0;
}

const MediaEntry* Settled::largest_entry() const {
  const auto most =
      std::max_element(entries.begin(), entries.end(), [](const MediaEntry* a, const MediaEntry* b) { return a->rows < b->rows; });
  return most == entries.end() ? nullptr : *most;
}

std::uint64_t Settled::media_limit(const MediaEntry& entry) const {
  const std::uint64_t own = entry.most_per_request == 0 ? kMaxSequences : entry.most_per_request;
  return std::min(own, asked_limit(request(), entry.modality).value_or(own));
}

std::string Settled::device_name(std::uint32_t rank) const {
  return rank == layout.ranks() ? "host" : fmt::format("device {} ({})", rank, devices()[rank].name);
}

std::string Settled::rank_name(std::uint32_t rank) const {
  return rank == layout.ranks() ? "the host" : fmt::format("rank {} ({})", rank, devices()[rank].name);
}

Result<SettledLayout> settle_layout(const Model::Data& model, const PlanRequest& request, const ProfileSource& engine,
                                    const std::vector<Device>& devices) {
  SettledLayout out;
  EngineProfile::Placement rules;
  if (engine.places_layers()) {
    PLIMSOLL_ASSIGN(const auto before, engine.settle(profile_facts(model, request, RankLayout{}, devices.front())));
    rules = before->placement;
  }
  PLIMSOLL_ASSIGN(const PlacedLayers placed, place_layers(model, request, rules, devices));
  PLIMSOLL_ASSIGN(out.layout, make_rank_layout(request, devices.size(), model.declared.facts.n_layers, listed_nodes(devices),
                                               placed.deal ? &*placed.deal : nullptr));
  place_on_host(model, request, rules, placed, out.layout);
  out.split_mode = placed.mode;
  out.deals_layers = placed.deal.has_value() && request.stage_layers.empty();
  PLIMSOLL_ASSIGN(out.engine, engine.settle(profile_facts(model, request, out.layout, devices.front())));
  out.engine = with_default_slots(std::move(out.engine), request);
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
