#include "plan/make_plan.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "base/checked.hpp"
#include "base/exact_fraction.hpp"
#include "base/human.hpp"
#include "placement/placement.hpp"
#include "plan/plan_state.hpp"
#include "plimsoll/limits.hpp"
#include "plugin/manifest.hpp"

namespace plimsoll {
namespace {

constexpr std::uint64_t kUnknownLengthTokens = 131072; // where neither the model nor the user says

Result<void> settle_request(PlanState& s) {
  const PlanRequest& r = s.request();
  const EngineProfile& p = s.profile();
  const Model::Data& m = s.model();
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
  PLIMSOLL_TRY(positive(r.weights_bytes, kMaxBytes, "--weights-bytes"));
  PLIMSOLL_TRY(positive(r.kv_cache_bytes, kMaxBytes, "--kv-cache-bytes"));
  s.utilization = r.device_memory_utilization.value_or(p.budget.utilization * p.budget.utilization_factor);
  if (!(s.utilization > 0 && s.utilization <= 1) && r.accounting == Accounting::kPerDevice)
    return fail(ErrorCode::kBadRequest, fmt::format("is {}; a fraction above 0 and up to 1 was expected", s.utilization),
                "--device-memory-utilization");
  s.vision_utilization = r.vision_cache_utilization.value_or(p.vision_cache.vision_utilization);
  if (!(s.vision_utilization >= 0 && s.vision_utilization <= 1))
    return fail(ErrorCode::kBadRequest, fmt::format("is {}; a fraction from 0 to 1 was expected", s.vision_utilization),
                "--vision-cache-utilization");

  if (r.dtype) {
    s.cast = find_dtype(*r.dtype);
    if (!s.cast || s.cast->safetensors.empty())
      return fail(ErrorCode::kBadRequest,
                  fmt::format("'{}' is not a run-time type; try bfloat16, float16 or float32", r.dtype->substr(0, 64)), "--dtype");
  }
  // The engine's "auto": the model's own floating-point type.
  const Dtype& own = s.cast ? *s.cast : m.dtype;
  const bool floating = own.block_elements == 1 && own.block_bytes >= 2 && own.name.find("float") != std::string_view::npos;
  const std::string fallback = p.kv.dtype == "auto" ? std::string(floating ? own.name : "bfloat16") : p.kv.dtype;
  PLIMSOLL_ASSIGN(s.kv_types, parse_kv_types(r.kv_dtype.value_or(fallback), r.kv_dtype ? "--kv-dtype" : "engine profile: /kv/dtype"));
  s.kv_types.model = floating ? own : *find_dtype("bfloat16");
  const auto own_type = [&](const std::string& name, const char* key, std::optional<Dtype>& out) -> Result<void> {
    if (name == "auto") return {};
    out = name == "model" ? s.kv_types.model : find_dtype(name);
    if (!out)
      return fail(ErrorCode::kBadRequest, fmt::format("'{}' is not a type", name.substr(0, 64)), std::string("engine profile: /kv/") + key);
    return {};
  };
  PLIMSOLL_TRY(own_type(p.kv.state_dtype, "state_dtype", s.kv_types.state));
  PLIMSOLL_TRY(own_type(p.kv.conv_dtype, "conv_dtype", s.kv_types.conv));
  PLIMSOLL_TRY(own_type(p.kv.window_dtype, "window_dtype", s.kv_types.window));
  s.kv_types.latent = p.kv.mla_cache, s.kv_types.packed_latent = p.kv.packed_latent;
  s.page_tokens = r.page_tokens.value_or(p.kv.page_tokens);
  s.speculative = r.num_draft_tokens > 0 || s.input.draft != nullptr;
  if (r.num_draft_tokens > kMaxDraftTokens)
    return fail(ErrorCode::kBadRequest, fmt::format("is {}; a number from 0 to {} was expected", r.num_draft_tokens, kMaxDraftTokens),
                "--num-draft-tokens");
  if (r.num_draft_tokens > 0 && s.input.draft == nullptr && m.declared.facts.draft_layers == 0)
    return fail(ErrorCode::kBadRequest,
                fmt::format("{} has no multi-token-prediction layers of its own; give --draft MODEL", m.info.architecture),
                "--num-draft-tokens");

  const std::uint64_t own_length = m.declared.facts.max_length;
  s.max_length_given = r.max_length.has_value() && !r.max_length_auto;
  s.max_length = r.max_length.value_or(own_length);
  if (s.max_length == 0) {
    s.max_length = kUnknownLengthTokens;
    s.warn(
        "max_length_unknown",
        fmt::format("the configuration does not say how long a request may be; at most {} tokens are planned, give --max-length for more",
                    kUnknownLengthTokens));
  }
  if (r.max_length_auto && own_length != 0) s.max_length = std::min(s.max_length, own_length);
  if (s.max_length_given && own_length != 0 && s.max_length > own_length)
    s.warn("max_length_beyond_model", fmt::format("{} tokens were asked for; the model was made for {}", s.max_length, own_length));
  s.max_batch_input_tokens = r.max_batch_input_tokens.value_or(
      p.batch.whole_prompts ? std::max(s.max_length, p.batch.max_batch_input_tokens) : p.batch.max_batch_input_tokens);
  if (r.max_batch_size && *r.max_batch_size > s.max_batch_input_tokens && r.accounting == Accounting::kPerDevice)
    s.warn("batch_capped", fmt::format("a batch of {} exceeds the {} tokens of one forward pass; it is planned as {}", *r.max_batch_size,
                                       s.max_batch_input_tokens, s.max_batch_input_tokens));
  s.max_batch_given = r.max_batch_size.has_value();
  s.max_batch_size = std::min(r.max_batch_size.value_or(0), s.max_batch_input_tokens);
  if (m.dtype_assumed && !m.inventory) s.warn("dtype_assumed", "the configuration names no torch_dtype; bfloat16 is assumed");

  return {};
}

// What each device gives to the plan, before anything is placed.
void settle_budgets(PlanState& s) {
  const EngineProfile& p = s.profile();
  for (const Device& d : s.devices()) {
    const std::uint64_t whole = p.budget.of == BudgetOf::kTotal ? d.total_bytes : d.free_bytes;
    const std::uint64_t room = whole > p.budget.margin_bytes ? whole - p.budget.margin_bytes : 0;
    s.budget.push_back(s.request().kv_cache_bytes || p.budget.covers != BudgetCovers::kAll
                           ? room
                           : bounded_count(share_of(static_cast<Wide>(room), exact_fraction(s.utilization))));
  }
}

std::string_view placement_text(const WeightClass& c) {
  switch (c.placement) {
  case PLIMSOLL_PLACE_TP: return "split over tp";
  case PLIMSOLL_PLACE_VOCAB: return "vocabulary split over tp";
  case PLIMSOLL_PLACE_EXPERT: return "experts over ep";
  default: return "replicated";
  }
}

std::string weight_formula(const WeightClass& c) {
  std::string shape;
  for (std::uint32_t i = 0; i < c.n_dims; ++i) shape += fmt::format("{}{}", i == 0 ? "" : " x ", c.dims[i]);
  std::string storage;
  for (const WeightVariant& v : c.variants) {
    const std::string name = v.storage->is_plain() ? std::string(c.dtype.name) : v.storage->name();
    if (storage.find(name) == std::string::npos) storage += (storage.empty() ? "" : " or ") + name;
  }
  std::string out = fmt::format("{} [{}] {}", c.layers.empty() ? 1 : c.layers.size(), shape, storage);
  if (c.experts != 0) out += fmt::format(" x {} experts", c.experts);
  return out + fmt::format(", {}", placement_text(c));
}

Result<void> place_model(PlanState& s, const Model::Data& m, const RankLayout& layout, std::string_view prefix, bool with_draft_role) {
  for (std::size_t i = 0; i < m.declared.weights.size(); ++i) {
    const WeightClass& c = m.declared.weights[i];
    if (c.role == PLIMSOLL_ROLE_UNUSED || (c.role == PLIMSOLL_ROLE_DRAFT && !with_draft_role)) continue;
    Item item;
    item.bytes.assign(layout.ranks(), 0);
    PLIMSOLL_TRY(place_weight(c, layout, s.cast ? &*s.cast : nullptr, m.stored_class(i), item.bytes));
    item.label = std::string(prefix) + c.label;
    item.basis = "exact";
    item.planner = c.planner;
    if (s.explains()) item.formula = weight_formula(c);
    PLIMSOLL_TRY(s.ledger.add(Category::kWeights, std::move(item)));
  }
  if (!m.inventory) return {};
  if (m.inventory->kv_scale_bytes > 0)
    PLIMSOLL_TRY(s.ledger.add_all(Category::kWeights, std::string(prefix) + "attention.kv_scales", PLIMSOLL_BASIS_EXACT, "",
                                  s.explains() ? "replicated" : "", m.inventory->kv_scale_bytes));
  if (m.inventory->table_bytes > 0)
    PLIMSOLL_TRY(s.ledger.add_all(Category::kWeights, std::string(prefix) + "rotary_tables", PLIMSOLL_BASIS_EXACT, "",
                                  s.explains() ? "replicated" : "", m.inventory->table_bytes));
  for (Warning& warning : checkpoint_warnings(*m.inventory, with_draft_role)) s.plan.warnings.push_back(std::move(warning));
  if (m.inventory->unknown.count() == 0) return {};
  Item item;
  item.bytes.assign(layout.ranks(), 0);
  PLIMSOLL_TRY(place_unknown(m.inventory->unknown, m.declared.facts, layout, s.cast ? &*s.cast : nullptr, item.bytes));
  item.label = std::string(prefix) + "unclaimed";
  item.basis = "bound";
  if (s.explains())
    item.formula = fmt::format("{} tensors that no planner claims; large matrices of layers split over the ranks, others on every rank",
                               m.inventory->unknown.count());
  return s.ledger.add(Category::kWeights, std::move(item));
}

Result<void> place_weights(PlanState& s) {
  for (const Model::Data* m : {s.input.model, s.input.draft})
    if (m != nullptr) s.plan.warnings.insert(s.plan.warnings.end(), m->load_warnings.begin(), m->load_warnings.end());
  if (s.request().weights_bytes) {
    const std::uint64_t total = *s.request().weights_bytes, parts = static_cast<std::uint64_t>(s.layout.tp) * s.layout.pp;
    PLIMSOLL_TRY(s.ledger.add_all(Category::kWeights, "weights.given", PLIMSOLL_BASIS_EXACT, "",
                                  s.explains() ? fmt::format("{} B / {} ranks of a replica", total, parts) : "", ceil_div(total, parts)));
  } else {
    PLIMSOLL_TRY(place_model(s, s.model(), s.layout, "", s.speculative && s.input.draft == nullptr));
  }
  if (s.input.draft != nullptr) PLIMSOLL_TRY(place_model(s, *s.input.draft, s.draft_layout, "draft.", false));
  return {};
}

plimsoll_request abi_request(const PlanState& s, const plimsoll_view& engine, const std::vector<std::uint64_t>& free_bytes,
                             const std::vector<std::uint64_t>& used_bytes) {
  const PlanRequest& r = s.request();
  const Model::Data& m = s.model();
  const auto bits = [](const Dtype& t) { return t.block_bytes * 8 / t.block_elements; };
  plimsoll_request req{};
  req.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_request, engine);
  req.aspects = PLIMSOLL_ASPECT_ALL;
  req.n_ranks = s.layout.ranks(), req.tp = s.layout.tp, req.pp = s.layout.pp, req.dp = s.layout.dp, req.ep = s.layout.ep, req.n_nodes = 1;
  req.phase = r.phase == Phase::kPrefill ? PLIMSOLL_PHASE_PREFILL : r.phase == Phase::kDecode ? PLIMSOLL_PHASE_DECODE : PLIMSOLL_PHASE_BOTH;
  req.explain = s.explains() ? 1 : 0;
  req.chunked_prefill = s.profile().batch.chunked_prefill ? 1 : 0;
  req.num_draft_tokens = r.num_draft_tokens;
  req.compute_bits = bits(s.kv_types.model);
  req.kv_bits = bits(s.kv_types.k);
  req.weight_bits = m.quantization.weight_type_bytes(m.dtype) * 8;
  req.weight_is_fp4 = m.quantization.is_fp4() ? 1 : 0;
  req.max_length = s.max_length, req.max_batch_size = s.max_batch_size;
  req.max_batch_input_tokens = s.max_batch_input_tokens;
  req.max_batch_total_tokens = r.max_batch_total_tokens.value_or(0);
  req.images_per_request = r.images_per_request.value_or(0);
  req.free_bytes = free_bytes.data(), req.used_bytes = used_bytes.data();
  req.engine = &engine;
  return req;
}

std::uint32_t signal_policy(const PlanState& s) { return s.model().tree->root().family.signal_policy; }

Result<void> price_requests(PlanState& s) {
  const EngineProfile& p = s.profile();
  std::vector<std::uint64_t> free_bytes, used_bytes;
  for (std::uint32_t rank = 0; rank < s.layout.ranks(); ++rank)
    free_bytes.push_back(s.devices()[rank].free_bytes), used_bytes.push_back(s.ledger.used(rank));
  plimsoll_view engine;
  engine.node = &p.planner;
  plimsoll_request req = abi_request(s, engine, free_bytes, used_bytes);
  const PlannerTree& tree = *s.model().tree;
  if (!s.max_batch_given) {
    PLIMSOLL_ASSIGN(const std::uint64_t batch, tree.max_batch(req));
    s.max_batch_size = req.max_batch_size = std::min(batch, s.max_batch_input_tokens);
  }
  ItemCollector collector(s.layout.ranks());
  PLIMSOLL_TRY(tree.activations(req, collector));
  if (tree.has_signal_buffers()) PLIMSOLL_TRY(tree.signal_buffers(req, collector));
  PLIMSOLL_TRY(price_profile_items(s, collector));
  PLIMSOLL_TRY(collector.settle(s.ledger));

  const std::uint32_t policy = signal_policy(s);
  const bool due = policy == PLIMSOLL_SIGNAL_ALWAYS || (policy == PLIMSOLL_SIGNAL_MULTI_RANK && s.layout.ranks() > 1);
  if (!tree.has_signal_buffers() && due && p.signal_buffers.signal_buffer_bytes > 0) {
    PLIMSOLL_TRY(s.ledger.add_all(
        Category::kSignalBuffer, "signal_buffers", PLIMSOLL_BASIS_EXACT, tree.root().id(),
        s.explains() ? fmt::format("one of {} B per device, policy {}", p.signal_buffers.signal_buffer_bytes, signal_policy_name(policy))
                     : "",
        p.signal_buffers.signal_buffer_bytes));
  }
  return {};
}

// Static parts against the budget, device by device; the worst one is named.
void check_static(PlanState& s) {
  std::uint32_t worst = 0;
  std::int64_t margin = INT64_MAX;
  for (std::uint32_t rank = 0; rank < s.layout.ranks(); ++rank) {
    const std::int64_t here = static_cast<std::int64_t>(s.budget[rank]) - static_cast<std::int64_t>(s.ledger.used(rank));
    if (here < margin) margin = here, worst = rank;
  }
  if (margin >= 0) return;
  const Device& d = s.devices()[worst];
  const std::uint64_t used = s.ledger.used(worst);
  const auto part = [&](Category c) { return human_bytes(s.ledger.sum(c, worst)); };
  const std::string needs = fmt::format("weights {}, activations {}, signal buffers {}, overhead {}", part(Category::kWeights),
                                        part(Category::kActivation), part(Category::kSignalBuffer), part(Category::kOverhead));
  const auto parts = {Category::kWeights, Category::kActivation, Category::kSignalBuffer, Category::kOverhead};
  const Category largest = *std::max_element(parts.begin(), parts.end(),
                                             [&](Category a, Category b) { return s.ledger.sum(a, worst) < s.ledger.sum(b, worst); });
  s.plan.limits.binding = fmt::format("{} on rank {} ({})", category_name(largest), worst, d.name);
  const std::string where = fmt::format("device {} ({})", worst, d.name);
  if (used > d.free_bytes)
    s.does_not_fit(ErrorCode::kModelTooLarge,
                   fmt::format("rank {} needs {} ({}) and its device has {} free: {} short", worst, human_bytes(used), needs,
                               human_bytes(d.free_bytes), human_bytes(used - d.free_bytes)),
                   where);
  else
    s.does_not_fit(ErrorCode::kNoRoomForKv,
                   fmt::format("rank {} needs {} ({}) of a budget of {} ({} of {} {}): {} short before any KV cache", worst,
                               human_bytes(used), needs, human_bytes(s.budget[worst]), s.utilization,
                               human_bytes(s.profile().budget.of == BudgetOf::kTotal ? d.total_bytes : d.free_bytes),
                               s.profile().budget.of == BudgetOf::kTotal ? "in all" : "free",
                               human_bytes(static_cast<std::uint64_t>(-margin))),
                   where);
}

// KV memory that was given as a figure is not cut to what the device has left.
void check_given_kv(PlanState& s) {
  if (!s.request().kv_cache_bytes) return;
  for (std::uint32_t rank = 0; rank < s.layout.ranks(); ++rank) {
    const std::uint64_t used = s.ledger.used(rank);
    if (used <= s.budget[rank]) continue;
    s.does_not_fit(ErrorCode::kOutOfMemory,
                   fmt::format("rank {} needs {} with a KV cache of {}, its device has {}: {} short", rank, human_bytes(used),
                               human_bytes(s.ledger.sum(Category::kKvCache, rank)), human_bytes(s.budget[rank]),
                               human_bytes(used - s.budget[rank])),
                   fmt::format("device {} ({})", rank, s.devices()[rank].name));
    return;
  }
}

void fill_devices(PlanState& s) {
  bool tight = false;
  for (std::uint32_t rank = 0; rank < s.layout.ranks(); ++rank) {
    const Device& d = s.devices()[rank];
    const auto sum = [&](Category c) { return s.ledger.sum(c, rank); };
    DevicePlan out;
    out.rank = rank, out.name = d.name, out.total_bytes = d.total_bytes, out.free_bytes = d.free_bytes, out.budget_bytes = s.budget[rank];
    out.weights_bytes = sum(Category::kWeights), out.activation_bytes = sum(Category::kActivation),
    out.signal_buffer_bytes = sum(Category::kSignalBuffer);
    out.vision_cache_bytes = sum(Category::kVisionCache), out.overhead_bytes = sum(Category::kOverhead),
    out.kv_cache_bytes = sum(Category::kKvCache);
    const std::uint64_t used = s.ledger.used(rank);
    out.unused_bytes = static_cast<std::int64_t>(out.budget_bytes) - static_cast<std::int64_t>(used);
    const std::uint64_t left = d.free_bytes > used ? d.free_bytes - used : 0;
    tight = tight || left < d.free_bytes / 20;
    s.plan.devices.push_back(std::move(out));
  }
  s.plan.verdict = s.plan.error ? Verdict::kDoesNotFit : tight ? Verdict::kTight : Verdict::kFits;
}

void fill_head(PlanState& s) {
  Plan& plan = s.plan;
  const PlanRequest& r = s.request();
  plan.model = s.model().info;
  if (r.weights_bytes) plan.model.weights_source = "given";
  plan.engine = {s.profile().name, s.profile().version};
  EffectiveRequest& e = plan.request;
  e.tp = s.layout.tp, e.pp = s.layout.pp, e.dp = s.layout.dp, e.ep = s.layout.ep;
  e.accounting = r.accounting;
  e.device_memory_utilization = s.utilization;
  e.max_length = plan.limits.max_length, e.max_batch_size = plan.limits.max_batch_size, e.max_batch_input_tokens = s.max_batch_input_tokens;
  e.max_batch_total_tokens = r.max_batch_total_tokens;
  e.kv_dtype = s.kv_types.name, e.dtype = std::string(s.cast ? s.cast->name : s.model().dtype.name), e.phase = r.phase;
  e.page_tokens = s.page_tokens, e.vision_cache_utilization = s.vision_utilization;
  e.num_draft_tokens = r.num_draft_tokens, e.redundant_experts = r.redundant_experts;
  e.engine_overrides = r.engine_overrides;
}

} // namespace

Result<Plan> make_plan(const PlanInput& input) {
  const Declared& declared = input.model->declared;
  PLIMSOLL_ASSIGN(RankLayout layout, make_rank_layout(*input.request, input.devices->size(), declared.facts.n_layers));
  PLIMSOLL_ASSIGN(std::shared_ptr<const EngineProfile> engine,
                  input.engine->settle(profile_facts(*input.model, *input.request, layout, input.devices->front())));
  layout.vocab_padding_rows = engine->weights.vocab_padding_rows;
  layout.experts_split_over_dp = engine->weights.experts_split_over_dp;
  layout.vision_split = engine->weights.vision == VisionWeights::kSplit;
  if (layout.ep > 1 && declared.facts.experts == 0)
    return fail(ErrorCode::kBadRequest,
                fmt::format("ep {} asks for expert parallelism, but {} has no experts", layout.ep, input.model->info.architecture), "--ep");
  PlanState s(input, std::move(layout), std::move(engine));
  if (input.draft != nullptr) {
    s.draft_layout = s.layout;
    std::fill(s.draft_layout.stage_begin.begin(), s.draft_layout.stage_begin.end() - 1, 0U);
    s.draft_layout.stage_begin.back() = UINT32_MAX;
  }
  PLIMSOLL_TRY(settle_request(s));
  settle_utilization(s);
  settle_budgets(s);
  PLIMSOLL_TRY(place_weights(s));
  PLIMSOLL_TRY(price_requests(s));
  if (input.request->accounting == Accounting::kPooled) {
    PLIMSOLL_TRY(plan_pooled(s));
  } else {
    check_static(s);
    PLIMSOLL_TRY(plan_vision_cache(s));
    PLIMSOLL_TRY(plan_kv_cache(s));
    check_given_kv(s);
  }
  fill_devices(s);
  fill_head(s);
  s.plan.items = std::move(s.ledger.items());
  return std::move(s.plan);
}

} // namespace plimsoll
