#include "plan/profile_items.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "base/checked.hpp"
#include "plan/profile_quantities.hpp"

namespace plimsoll {
namespace {

// Who asks for the cache's type, and which: "modelopt.float8_e4m3fn".
std::string checkpoint_kv(const Quantization& quantization) {
  if (!quantization.kv_cache_dtype()) return {};
  const std::string& method = quantization.method();
  return fmt::format("{}.{}", method.starts_with("modelopt") ? "modelopt" : method, *quantization.kv_cache_dtype());
}

// The kind of a storage format: "mxfp4" of "mxfp4_packed". Plain ones are their type.
std::string format_kind(const Storage& storage, const Dtype& type) {
  if (storage.is_plain()) return std::string(type.name);
  for (const char* kind : {"mxfp4", "nvfp4", "fp8", "int4", "int8"})
    if (storage.name().find(kind) != std::string::npos) return kind;
  return storage.name();
}

// Of the experts: the format of the class that has most elements.
std::string expert_format(const Declared& declared) {
  const WeightClass* most = nullptr;
  for (const WeightClass& c : declared.weights)
    if (c.experts > 0 && !c.variants.empty() && c.role == PLIMSOLL_ROLE_MODEL &&
        (most == nullptr || most->parameters().saturated() < c.parameters().saturated()))
      most = &c;
  return most == nullptr ? "" : format_kind(*most->variants.front().storage, most->dtype);
}

bool alike(const Device& a, const Device& b) {
  return a.total_bytes == b.total_bytes && a.name == b.name && a.arch == b.arch && a.compute_capability == b.compute_capability;
}

} // namespace

ProfileFacts profile_facts(const Model::Data& model, const PlanRequest& request, const RankLayout& layout, const Device& device) {
  ProfileFacts facts;
  facts.card_bytes = device.total_bytes;
  facts.card = device.card.empty() ? device.name : device.card;
  facts.vendor = device.vendor;
  facts.arch = device.arch;
  facts.compute_capability = device.compute_capability;
  facts.tp = layout.tp;
  facts.pp = layout.pp;
  facts.dp = layout.dp;
  facts.ep = layout.ep;
  facts.nodes = layout.nodes;
  facts.architecture = model.info.architecture;
  facts.model_type = model.info.model_type;
  if (request.kv_dtype) {
    const auto type = find_dtype(*request.kv_dtype);
    facts.kv_dtype = type ? std::string(type->name) : *request.kv_dtype;
  }
  facts.checkpoint_kv = checkpoint_kv(model.quantization);
  facts.expert_format = expert_format(model.declared);
  for (const KvGroup& g : model.declared.kv)
    if (g.kind != CacheKind::kState && g.kind != CacheKind::kLatent) facts.head_elements = std::max(facts.head_elements, g.k_elements);
  bool state = false, window = false, latent = false, indexer = false;
  const bool attends_otherwise = std::any_of(model.declared.kv.begin(), model.declared.kv.end(), [](const KvGroup& g) {
    return g.kind != CacheKind::kState && !(g.kind == CacheKind::kLatent && g.own_type());
  });
  for (const KvGroup& g : model.declared.kv) {
    state = state || g.kind == CacheKind::kState;
    window = window || is_windowed(g.kind);
    // A latent cache of a type of its own beside other attention scores tokens for it.
    if (g.kind != CacheKind::kLatent) continue;
    if (!g.own_type() || !attends_otherwise) latent = true;
    else indexer = true;
  }
  if (indexer) facts.has.push_back("indexer");
  if (state) facts.has.push_back("state");
  if (window) facts.has.push_back("window");
  if (latent) facts.has.push_back("latent");
  if (model.declared.facts.experts > 0) facts.has.push_back("experts");
  const bool sees = std::any_of(model.declared.entries.begin(), model.declared.entries.end(),
                                [&](const MediaEntry& entry) { return takes_modality(request, entry.modality); });
  if (sees) facts.has.push_back("vision");
  if (request.num_draft_tokens > 0 || request.draft) facts.has.push_back("draft");
  return facts;
}

double utilization_beside_reserve(const Settled& s) {
  const EngineProfile::Budget& budget = s.profile().budget;
  const Device& device = s.devices().front();
  const Quantities q = profile_quantities(s, device, s.sequences(s.batch));
  Checked reserved = 0;
  for (const Term& term : budget.reserve) reserved += term.value(q);
  const std::uint64_t bytes = std::min(std::max(reserved.saturated(), budget.reserve_at_least_bytes), device.total_bytes);
  const double rest =
      device.total_bytes == 0 ? 0 : static_cast<double>(device.total_bytes - bytes) / static_cast<double>(device.total_bytes);
  return std::max(0.001, std::round(rest * 1000) / 1000 * budget.utilization_factor);
}

Result<void> price_profile_items(const Settled& s, std::optional<std::uint64_t> batch, ItemCollector& collector) {
  const std::uint32_t ranks = s.layout.ranks();
  // Items in the order of their first appearance; devices that differ may have items of their own.
  std::vector<std::pair<const ProfileItem*, Item>> found;
  std::vector<std::shared_ptr<const EngineProfile>> kept; // items point into these
  std::vector<Category> categories;
  for (std::uint32_t first = 0; first < ranks;) {
    const Device& device = s.devices()[first];
    std::uint32_t last = first + 1;
    const bool alone = first == 0 && s.input.projector != nullptr; // it is on the first device
    while (!alone && last < ranks && alike(s.devices()[last], device)) ++last;
    std::shared_ptr<const EngineProfile> profile = s.engine;
    if (first > 0) {
      PLIMSOLL_ASSIGN(profile, s.input.engine->settle(profile_facts(s.model(), s.request(), s.layout, device)));
    }
    const bool has_items = !profile->activations.empty() || !profile->overheads.empty();
    const Quantities q = has_items ? profile_quantities(s, device, s.sequences(batch), first == 0) : Quantities{};
    for (const auto& [list, category] :
         {std::pair{&profile->activations, Category::kActivation}, {&profile->overheads, Category::kOverhead}})
      for (const ProfileItem& item : *list) {
        std::size_t at = 0;
        while (at < found.size() &&
               !(categories[at] == category && found[at].second.label == item.label && found[at].first->phase == item.phase))
          ++at;
        if (at == found.size()) {
          Item made;
          made.label = item.label;
          made.basis = item.basis;
          made.planner = profile->name;
          made.memory = item.memory;
          made.bytes.assign(ranks, 0);
          if (s.explains()) made.formula = item.formula(q);
          found.emplace_back(&item, std::move(made));
          categories.push_back(category);
        }
        const std::uint64_t bytes = item.bytes(q);
        if (item.memory == MemoryKind::kHost) found[at].second.bytes.front() = std::max(found[at].second.bytes.front(), bytes);
        else
          for (std::uint32_t rank = first; rank < last; ++rank) // nothing on a device without layers
            found[at].second.bytes[rank] = s.layout.is_idle(s.layout.stage_of_rank(rank)) ? 0 : bytes;
      }
    kept.push_back(std::move(profile));
    first = last;
  }
  for (std::size_t i = 0; i < found.size(); ++i) collector.add(categories[i], found[i].first->phase, std::move(found[i].second));
  return {};
}

void warn_of_profile_items(const Settled& s, const Ledger& ledger, Findings& findings) {
  for (const auto* list : {&s.profile().activations, &s.profile().overheads})
    for (const ProfileItem& item : *list) {
      if (item.warning.empty()) continue;
      const bool counts = std::any_of(ledger.items().begin(), ledger.items().end(), [&](const Item& priced) {
        return priced.label == item.label && priced.planner == s.profile().name && priced.counted;
      });
      if (counts) findings.warn(WarningCode::kBufferRuleIsABound, item.warning);
    }
}

} // namespace plimsoll
