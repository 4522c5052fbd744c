#include "plan/profile_items.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "base/checked.hpp"

namespace plimsoll {
namespace {

// Images whose rows one forward pass encodes.
std::uint64_t images_of_a_pass(const Settled& s, std::uint64_t sequences) {
  const MediaEntry* const entry = s.model().declared.largest_entry();
  if (entry == nullptr) return 0;
  const std::uint64_t rows = entry->rows;
  std::uint64_t images = s.profile().batch.images;
  if (s.profile().vision_cache.rule == VisionRule::kTokens) images = std::max<std::uint64_t>(1, s.max_batch_input_tokens / rows);
  if (const auto given = s.request().images_per_request) images = std::min(images, (Checked(*given) * sequences).saturated());
  return images;
}

Quantities quantities_of(const Settled& s, const Device& device, std::uint64_t sequences) {
  const plimsoll_facts& facts = s.model().declared.facts;
  const MediaEntry* const largest = s.model().declared.largest_entry();
  const MediaEntry entry = largest == nullptr ? MediaEntry{} : *largest;
  Quantities q{};
  const auto set = [&](Quantity which, std::uint64_t value) { q[static_cast<std::size_t>(which)] = value; };
  set(Quantity::kInputTokens, s.max_batch_input_tokens);
  set(Quantity::kSequences, sequences);
  set(Quantity::kSampledRows, std::min(sequences, s.max_batch_input_tokens));
  set(Quantity::kGraphBatch, s.profile().batch.graph_batch);
  set(Quantity::kLength, s.max_length);
  set(Quantity::kVocab, facts.vocab_tokens);
  set(Quantity::kHidden, facts.hidden_elements);
  set(Quantity::kQueryHeads, facts.query_heads);
  set(Quantity::kKvHeads, facts.kv_heads);
  set(Quantity::kLayers, facts.n_layers);
  set(Quantity::kExperts, facts.experts);
  set(Quantity::kExpertsPerToken, facts.experts_per_token);
  set(Quantity::kTp, s.layout.tp);
  set(Quantity::kPp, s.layout.pp);
  set(Quantity::kDp, s.layout.dp);
  set(Quantity::kEp, s.layout.ep);
  set(Quantity::kRanks, s.layout.ranks());
  set(Quantity::kVisionRows, entry.rows);
  set(Quantity::kTowerTokens, entry.encoder_tokens);
  set(Quantity::kTowerElements, entry.encoder_elements);
  set(Quantity::kImages, images_of_a_pass(s, sequences));
  set(Quantity::kCardBytes, device.total_bytes);
  return q;
}

bool alike(const Device& a, const Device& b) {
  return a.total_bytes == b.total_bytes && a.name == b.name && a.arch == b.arch && a.compute_capability == b.compute_capability;
}

} // namespace

ProfileFacts profile_facts(const Model::Data& model, const PlanRequest& request, const RankLayout& layout, const Device& device) {
  ProfileFacts facts;
  facts.card_bytes = device.total_bytes;
  facts.card = device.card.empty() ? device.name : device.card;
  facts.arch = device.arch;
  facts.compute_capability = device.compute_capability;
  facts.tp = layout.tp;
  facts.pp = layout.pp;
  facts.dp = layout.dp;
  facts.ep = layout.ep;
  facts.architecture = model.info.architecture;
  facts.model_type = model.info.model_type;
  if (request.kv_dtype) {
    const auto type = find_dtype(*request.kv_dtype);
    facts.kv_dtype = type ? std::string(type->name) : *request.kv_dtype;
  }
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
  if (!model.declared.entries.empty()) facts.has.push_back("vision");
  if (request.num_draft_tokens > 0 || request.draft) facts.has.push_back("draft");
  return facts;
}

double utilization_beside_reserve(const Settled& s) {
  const EngineProfile::Budget& budget = s.profile().budget;
  const Device& device = s.devices().front();
  const Quantities q = quantities_of(s, device, s.sequences(s.batch));
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
    while (last < ranks && alike(s.devices()[last], device)) ++last;
    std::shared_ptr<const EngineProfile> profile = s.engine;
    if (first > 0) {
      PLIMSOLL_ASSIGN(profile, s.input.engine->settle(profile_facts(s.model(), s.request(), s.layout, device)));
    }
    const Quantities q = quantities_of(s, device, s.sequences(batch));
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
          made.bytes.assign(ranks, 0);
          if (s.explains()) made.formula = item.formula(q);
          found.emplace_back(&item, std::move(made));
          categories.push_back(category);
        }
        const std::uint64_t bytes = item.bytes(q);
        for (std::uint32_t rank = first; rank < last; ++rank) found[at].second.bytes[rank] = bytes;
      }
    kept.push_back(std::move(profile));
    first = last;
  }
  for (std::size_t i = 0; i < found.size(); ++i) collector.add(categories[i], found[i].first->phase, std::move(found[i].second));
  return {};
}

} // namespace plimsoll
