#include "plan/place_weights.hpp"

#include <fmt/format.h>

#include "base/checked.hpp"
#include "placement/placement.hpp"

namespace plimsoll {
namespace {

std::string_view placement_text(const WeightClass& c) {
  switch (c.placement) {
  case PLIMSOLL_PLACE_TP: return "split over tp";
  case PLIMSOLL_PLACE_VOCAB: return "vocabulary split over tp";
  case PLIMSOLL_PLACE_EXPERT: return "experts over ep";
  case PLIMSOLL_PLACE_ONE: return "on one rank of each tp group";
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
  return out + fmt::format(", {}{}", placement_text(c), c.memory == MemoryKind::kHost ? ", in host memory" : "");
}

// One model: the planned one, or a draft model under a prefix.
struct Placing {
  const Model::Data& model;
  const RankLayout& layout;
  std::string_view prefix;
  bool own_head; // the drafting layers of the model itself are loaded
};

Result<void> place_classes(const Settled& s, const Placing& p, Ledger& ledger) {
  const Model::Data& m = p.model;
  for (std::size_t i = 0; i < m.declared.weights.size(); ++i) {
    const WeightClass& c = m.declared.weights[i];
    if (c.role == PLIMSOLL_ROLE_UNUSED || (c.role == PLIMSOLL_ROLE_DRAFT && !p.own_head)) continue;
    Item item;
    item.bytes.assign(p.layout.ranks(), 0);
    PLIMSOLL_TRY(
        place_weight(c, p.layout, s.cast ? &*s.cast : nullptr, m.stored_class(i), item.bytes, s.unpacked ? &*s.unpacked : nullptr));
    item.label = std::string(p.prefix) + c.label;
    item.planner = c.planner;
    item.memory = c.memory;
    if (s.explains()) item.formula = weight_formula(c);
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
  if (s.explains())
    item.formula = fmt::format("{} tensors that no planner claims; large matrices of layers split over the ranks, others on every rank",
                               unknown.count());
  return ledger.add(Category::kWeights, std::move(item));
}

Result<void> place(const Settled& s, const Placing& p, Ledger& ledger, Findings& findings) {
  PLIMSOLL_TRY(place_classes(s, p, ledger));
  return place_inventory(s, p, ledger, findings);
}

} // namespace

Result<void> place_weights(const Settled& s, Ledger& ledger, Findings& findings) {
  for (const Model::Data* model : {s.input.model, s.input.draft})
    if (model != nullptr) findings.warnings.insert(findings.warnings.end(), model->load_warnings.begin(), model->load_warnings.end());
  if (s.request().weights_bytes) {
    const std::uint64_t total = *s.request().weights_bytes, parts = static_cast<std::uint64_t>(s.layout.tp) * s.layout.pp;
    PLIMSOLL_TRY(ledger.add_all(Category::kWeights, "weights.given", Basis::kExact, "",
                                s.explains() ? fmt::format("{} B / {} ranks of a replica", total, parts) : "", ceil_div(total, parts)));
  } else {
    PLIMSOLL_TRY(place(s, {s.model(), s.layout, "", s.draft == DraftSource::kOwnHead}, ledger, findings));
  }
  if (s.draft != DraftSource::kModel) return {};
  return place(s, {*s.input.draft, s.draft_layout, "draft.", false}, ledger, findings);
}

} // namespace plimsoll
