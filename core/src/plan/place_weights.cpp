#include "plan/place_weights.hpp"

#include <fmt/format.h>

#include "base/checked.hpp"
#include "placement/placement.hpp"
#include "plan/expert_padding.hpp"
#include "plan/lora_slots.hpp"
#include "plan/weight_formula.hpp"

namespace plimsoll {
namespace {

// One model: the planned one, or a draft model under a prefix.
struct Placing {
  const Model::Data& model;
  const RankLayout& layout;
  std::string_view prefix;
  bool own_head; // the drafting layers of the model itself are loaded
};

RunTimeTypes run_time_types(const Settled& s) { return {s.cast ? &*s.cast : nullptr, s.unpacked ? &*s.unpacked : nullptr}; }

// What is stored of a class; of a tied one, of the input embedding that it is a copy of.
const StoredClass* stored_of(const Model::Data& m, std::size_t i) {
  const WeightClass& c = m.declared.weights[i];
  if (c.role != PLIMSOLL_ROLE_TIED) return m.stored_class(i);
  for (std::size_t other = 0; other < m.declared.weights.size(); ++other) {
    const WeightClass& embedding = m.declared.weights[other];
    if (embedding.aspect == PLIMSOLL_ASPECT_EMBED && embedding.stage == PLIMSOLL_STAGE_FIRST && embedding.dims == c.dims)
      return m.stored_class(other);
  }
  return nullptr;
}

// One process has all that lies there.
Result<void> add_on_host(Item like, std::uint64_t bytes, std::string formula, Ledger& ledger) {
  if (bytes == 0) return {};
  like.memory = MemoryKind::kHost;
  like.bytes.assign(ledger.n_ranks(), 0);
  like.bytes.front() = bytes;
  like.formula = std::move(formula);
  like.rank_formulas.clear();
  return ledger.add(Category::kWeights, std::move(like));
}

Result<void> place_classes(const Settled& s, const Placing& p, Ledger& ledger) {
  const Model::Data& m = p.model;
  for (std::size_t i = 0; i < m.declared.weights.size(); ++i) {
    const WeightClass& c = m.declared.weights[i];
    if (c.role == PLIMSOLL_ROLE_UNUSED || (c.role == PLIMSOLL_ROLE_DRAFT && !p.own_head)) continue;
    if (is_shared_end(c, s.profile(), p.layout)) continue;
    if (c.aspect == PLIMSOLL_ASPECT_VISION && s.leaves_out_towers()) continue;
    if (c.aspect == PLIMSOLL_ASPECT_VISION && s.input.projector != nullptr) continue; // its file has it
    const StoredClass* const stored = stored_of(m, i);
    Item item;
    item.bytes.assign(p.layout.ranks(), 0);
    PLIMSOLL_TRY(place_weight(c, p.layout, run_time_types(s), stored, item.bytes));
    item.label = std::string(p.prefix) + c.label;
    item.planner = c.planner;
    item.memory = c.memory;
    if (!p.layout.row_shares.empty()) item.basis = Basis::kBound;
    if (!m.supposed.empty() && m.supposed[i]) item.basis = Basis::kHeuristic;
    PLIMSOLL_ASSIGN(const std::uint64_t on_host, weight_on_host(c, p.layout, run_time_types(s), stored));
    std::string host_formula;
    if (s.explains()) {
      const WeightFormula formula{c, p.layout, run_time_types(s), stored};
      PLIMSOLL_TRY(formula.put_on(item));
      PLIMSOLL_ASSIGN(host_formula, formula.of_host());
    }
    PLIMSOLL_TRY(add_on_host(item, on_host, std::move(host_formula), ledger));
    PLIMSOLL_TRY(ledger.add(Category::kWeights, std::move(item)));
  }
  return {};
}

// What a checkpoint stores beside the classes, and where the two differ.
Result<void> place_inventory(const Settled& s, const Placing& p, Ledger& ledger, Findings& findings) {
  const Model::Data& m = p.model;
  if (!m.inventory) return {};
  if (m.inventory->kv_scale_bytes > 0)
    PLIMSOLL_TRY(ledger.add_all(Category::kWeights, std::string(p.prefix) + "attention.kv_scales", Basis::kExact, "",
                                s.explains() ? "replicated" : "", m.inventory->kv_scale_bytes));
  if (m.inventory->table_bytes > 0)
    PLIMSOLL_TRY(ledger.add_all(Category::kWeights, std::string(p.prefix) + "rotary_tables", Basis::kExact, "",
                                s.explains() ? "replicated" : "", m.inventory->table_bytes));
  for (Warning& warning : checkpoint_warnings(*m.inventory, p.own_head)) findings.warnings.push_back(std::move(warning));
  const UnknownTensors& unknown = m.inventory->unknown;
  if (unknown.count() == 0) return {};
  Item item;
  item.bytes.assign(p.layout.ranks(), 0);
  PLIMSOLL_TRY(place_unknown(unknown, m.declared.facts, p.layout, s.cast ? &*s.cast : nullptr, item.bytes));
  item.label = std::string(p.prefix) + "unclaimed";
  item.basis = Basis::kBound;
  PLIMSOLL_ASSIGN(const std::uint64_t on_host, unknown_on_host(unknown, p.layout, s.cast ? &*s.cast : nullptr));
  if (s.explains())
    item.formula = fmt::format("{} tensors that no planner claims; large matrices of layers split over the ranks, others on every rank",
                               unknown.count());
  PLIMSOLL_TRY(add_on_host(item, on_host, item.formula, ledger));
  return ledger.add(Category::kWeights, std::move(item));
}

// The head of an embedder, which engines that make its whole class have room for though nothing is loaded into it. Tensors that nobody
// claims may be that head, and count as they are stored.
Result<void> place_pooled_heads(const Settled& s, const Placing& p, Ledger& ledger) {
  const Model::Data& m = p.model;
  if (s.profile().weights.drops_pooled_head || (m.inventory && m.inventory->unknown.count() > 0)) return {};
  for (const WeightClass& c : m.pooled_heads) {
    Item item;
    item.bytes.assign(p.layout.ranks(), 0);
    PLIMSOLL_TRY(place_weight(c, p.layout, run_time_types(s), nullptr, item.bytes));
    item.label = std::string(p.prefix) + c.label + ".unused";
    item.planner = c.planner;
    item.basis = Basis::kBound;
    if (s.explains()) item.formula = "a head that nothing is loaded into";
    PLIMSOLL_TRY(ledger.add(Category::kWeights, std::move(item)));
  }
  return {};
}

Result<void> place(const Settled& s, const Placing& p, Ledger& ledger, Findings& findings) {
  PLIMSOLL_TRY(place_classes(s, p, ledger));
  PLIMSOLL_TRY(place_pooled_heads(s, p, ledger));
  return place_inventory(s, p, ledger, findings);
}

// A total that was given: the same on every rank of a replica, or a share for every layer where an engine deals these.
Result<void> place_given(const Settled& s, std::uint64_t total, Ledger& ledger) {
  Item item;
  item.label = "weights.given";
  const std::uint64_t parts = static_cast<std::uint64_t>(s.layout.tp) * s.layout.pp;
  item.bytes.assign(s.layout.ranks(), ceil_div(total, parts));
  if (s.explains()) item.formula = fmt::format("{} B / {} ranks of a replica", total, parts);
  if (!s.deals_layers) return ledger.add(Category::kWeights, std::move(item));
  const std::vector<std::uint32_t>& begin = s.layout.stage_begin;
  const std::uint64_t layers = std::max(1U, begin.back());
  for (std::uint32_t rank = 0; rank < s.layout.ranks(); ++rank) {
    const std::uint32_t stage = s.layout.stage_of_rank(rank);
    item.bytes[rank] = ceil_div(mul_div_up(total, begin[stage + 1] - begin[stage], layers), s.layout.tp);
  }
  if (s.explains()) item.formula = fmt::format("{} B / {} layers x those of a device", total, layers);
  PLIMSOLL_TRY(add_on_host(item, mul_div_up(total, s.layout.host_layers(), layers), item.formula, ledger));
  return ledger.add(Category::kWeights, std::move(item));
}

// What each rank's files hold.
Result<void> place_saved(const Settled& s, Ledger& ledger) {
  PLIMSOLL_TRY(check_saved_ranks(s.model(), s.layout));
  Item item;
  item.label = "weights.saved";
  for (std::uint32_t rank = 0; rank < s.layout.ranks(); ++rank) item.bytes.push_back(s.model().saved_rank_bytes[rank % s.layout.tp]);
  if (s.explains()) item.formula = "all tensors of the rank's files";
  return ledger.add(Category::kWeights, std::move(item));
}

// All of a projector file, on the first device.
Result<void> place_projector(const Settled& s, Ledger& ledger) {
  if (s.input.projector == nullptr) return {};
  Item item;
  item.label = "projector";
  item.bytes.assign(ledger.n_ranks(), 0);
  item.bytes.front() = s.input.projector->weights_bytes;
  if (s.explains()) item.formula = fmt::format("all tensors of {}", s.input.projector->name);
  return ledger.add(Category::kWeights, std::move(item));
}

} // namespace

// A draft that has no embedding looks into the target's, so both have one width.
static Result<void> check_draft(const Settled& s) {
  const std::uint64_t width = s.model().declared.facts.hidden_elements;
  for (const WeightClass& c : s.input.draft->declared.weights)
    if (c.role == PLIMSOLL_ROLE_TIED && c.aspect == PLIMSOLL_ASPECT_EMBED && c.n_dims == 2 && width != 0 && c.dims[1] != width)
      return fail(
          ErrorCode::kBadRequest,
          fmt::format("{} was made for a model of width {}; {} has {}", s.input.draft->info.path, c.dims[1], s.model().info.path, width),
          "--draft");
  return {};
}

Result<void> check_saved_ranks(const Model::Data& model, const RankLayout& layout) {
  const std::size_t saved = model.saved_rank_bytes.size();
  if (saved == 0 || (layout.tp == saved && layout.pp == 1)) return {};
  return fail(
      ErrorCode::kBadRequest,
      fmt::format("the checkpoint is cut for {} ranks, and loads on no other number: tp {}, pp {}; give --tp {}, or the model that it "
                  "was saved from",
                  saved, layout.tp, layout.pp, saved),
      "--tp");
}

bool is_shared_end(const WeightClass& c, const EngineProfile& profile, const RankLayout& layout) {
  return profile.weights.draft_ends_shared && c.role == PLIMSOLL_ROLE_DRAFT && c.placement == PLIMSOLL_PLACE_VOCAB && layout.pp == 1;
}

bool is_loaded(const Settled& s, const WeightClass& c) {
  if (c.role == PLIMSOLL_ROLE_MODEL) return true;
  return c.role == PLIMSOLL_ROLE_DRAFT && s.draft == DraftSource::kOwnHead && !is_shared_end(c, s.profile(), s.layout);
}

Result<void> place_weights(const Settled& s, Ledger& ledger, Findings& findings) {
  if (!s.layout.row_shares.empty())
    findings.warn(
        WarningCode::kPlacementIsABound,
        "how the engine rounds matrices that it cuts by rows is not known to the row; what each device has of them is a safe upper "
        "bound, and earlier builds kept caches and what is not cut on the first device");
  for (const Model::Data* model : {s.input.model, s.input.draft})
    if (model != nullptr) findings.warnings.insert(findings.warnings.end(), model->load_warnings.begin(), model->load_warnings.end());
  if (s.request().weights_bytes) {
    PLIMSOLL_TRY(place_given(s, *s.request().weights_bytes, ledger));
  } else if (!s.model().saved_rank_bytes.empty()) {
    PLIMSOLL_TRY(place_saved(s, ledger));
  } else {
    PLIMSOLL_TRY(place(s, {s.model(), s.layout, "", s.draft == DraftSource::kOwnHead}, ledger, findings));
    PLIMSOLL_TRY(pad_experts(s, ledger, findings));
  }
  PLIMSOLL_TRY(place_lora_slots(s, ledger));
  PLIMSOLL_TRY(place_projector(s, ledger));
  if (s.draft != DraftSource::kModel) return {};
  PLIMSOLL_TRY(check_draft(s));
  return place(s, {*s.input.draft, s.draft_layout, "draft.", false}, ledger, findings);
}

} // namespace plimsoll
