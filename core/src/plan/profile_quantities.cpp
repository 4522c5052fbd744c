#include "plan/profile_quantities.hpp"

#include <algorithm>

#include "base/checked.hpp"
#include "placement/weight_shard.hpp"
#include "plan/copied_weights.hpp"

namespace plimsoll {
namespace {

// Images whose rows one forward pass encodes.
std::uint64_t images_of_a_pass(const Settled& s, std::uint64_t sequences) {
  const MediaEntry* const entry = s.largest_entry();
  if (entry == nullptr) return 0;
  const std::uint64_t rows = std::max<std::uint64_t>(1, entry->rows);
  if (s.profile().vision_cache.rule == VisionRule::kTokens) {
    // As many as the budget of a pass holds, at least one, and no more than all its requests may bring.
    const std::uint64_t of_budget = std::max<std::uint64_t>(1, std::max(s.max_batch_input_tokens, rows) / rows);
    const std::uint64_t of_request = std::max<std::uint64_t>(1, std::min(s.media_limit(*entry), s.max_length / rows));
    return std::min(of_budget, (Checked(sequences) * of_request).saturated());
  }
  std::uint64_t images = s.profile().batch.images;
  if (const auto given = s.request().images_per_request) images = std::min(images, (Checked(*given) * sequences).saturated());
  return images;
}

// Experts as one rank computes with them: their width, and the elements of what they compute first.
struct ExpertWidths {
  std::uint64_t width = 0, gates = 0, local = 0;
};

std::uint64_t local_elements(const WeightClass& c, const RankLayout& layout, std::uint32_t degree, std::uint32_t dim) {
  const auto shape = local_shape(c, layout, 0, degree);
  return shape ? shape->dims[dim] : c.dims[dim];
}

// Of the first layer that has experts. Qwen3-30B-A3B, tp 2: 768 / 2 = 384 wide, gate and up 768.
ExpertWidths expert_widths(const Settled& s) {
  ExpertWidths out;
  const std::vector<WeightClass>& weights = s.model().declared.weights;
  const auto has_experts = [](const WeightClass& c) {
    return c.experts > 0 && c.n_dims == 2 && c.in_dim < 2 && c.role == PLIMSOLL_ROLE_MODEL && !c.layers.empty();
  };
  const auto first = std::find_if(weights.begin(), weights.end(), has_experts);
  if (first == weights.end()) return out;
  for (const WeightClass& c : weights) {
    if (!has_experts(c) || c.layers.front() != first->layers.front()) continue;
    const WeightShare share = weight_share(c, s.layout);
    out.local = std::max(out.local, share.experts_of(0).n);
    if (c.shard_dim == c.in_dim) out.width = std::max(out.width, local_elements(c, s.layout, share.degree, c.in_dim));
    else out.gates += local_elements(c, s.layout, share.degree, 1 - c.in_dim);
  }
  return out;
}

// Of one token, for all query heads of a rank, where latents are expanded: keys but for their rotary part, and values. DeepSeek-V3,
// tp 8: 16 x (128 + 128).
std::uint64_t expanded_elements(const Settled& s) {
  std::uint64_t most = 0;
  for (const KvGroup& group : s.model().declared.kv) {
    if (group.kind != CacheKind::kLatent || group.own_type()) continue;
    const std::uint64_t keys = group.expanded_k_elements - std::min(group.expanded_k_elements, group.rope_elements);
    const Checked of_token = (Checked(keys) + group.expanded_v_elements) * ceil_div(group.query_heads, s.layout.tp);
    most = std::max(most, of_token.saturated());
  }
  return most;
}

void set(Quantities& q, Quantity which, std::uint64_t value) { q[static_cast<std::size_t>(which)] = value; }

// Elements of the widest query row, and of what a row of latents expands to, all heads.
void set_attention(const Settled& s, Quantities& q) {
  const std::uint64_t heads = s.model().declared.facts.query_heads;
  std::uint64_t query = 0, latent = 0;
  for (const KvGroup& g : s.model().declared.kv) {
    query = std::max(query, (Checked(heads) * g.k_elements).saturated());
    if (g.kind != CacheKind::kLatent || s.kv_types.latent == LatentCache::kHeads) continue;
    const Checked expanded = Checked(g.query_heads == 0 ? heads : g.query_heads) * (g.expanded_k_elements + g.expanded_v_elements);
    latent = std::max(latent, expanded.saturated());
  }
  set(q, Quantity::kQueryElements, query);
  set(q, Quantity::kLatentElements, latent);
  set(q, Quantity::kExpandedElements, expanded_elements(s));
  set(q, Quantity::kWholeScores, s.profile().batch.flash_attention ? 0 : 1);
}

// What follows from layers that are dealt to devices and the host.
void set_dealt(const Settled& s, Quantities& q) {
  const bool all_on_devices = s.layout.host_layers() == 0 && s.layout.host_expert_layers == 0 && s.layout.host_tensors == nullptr;
  const bool pipelined = s.deals_layers && s.split_mode == SplitMode::kLayer && s.layout.pp > 1 && all_on_devices;
  set(q, Quantity::kFurtherCopies, pipelined ? s.profile().placement.pipeline_copies - 1 : 0);
  set(q, Quantity::kHostExperts, all_on_devices ? 0 : s.model().declared.facts.experts_per_token);
  const CopiedWeights copied = copied_weights(s);
  set(q, Quantity::kCopiedLayerBytes, copied.layer_bytes);
  set(q, Quantity::kCopiedOutputBytes, copied.output_bytes);
}

// The pass of a projector beside the model over one image.
void set_projector(const Projector& projector, Quantities& q) {
  set(q, Quantity::kProjectorTokens, projector.tokens);
  set(q, Quantity::kProjectorElements, projector.elements);
  set(q, Quantity::kProjectorScores, (Checked(projector.tokens) * projector.tokens * projector.heads).saturated());
}

// Sizes of a step.
void set_step(const Settled& s, std::uint64_t sequences, Quantities& q) {
  const EngineProfile::Batch& rules = s.profile().batch;
  const std::uint64_t drafted = s.request().num_draft_tokens, tokens = s.max_batch_input_tokens;
  const std::uint64_t decoded = (Checked(sequences) * (1 + drafted)).saturated(), captured = rules.graphs_of_drafts ? decoded : sequences;
  const std::uint64_t graph_rows = std::min({(Checked(captured) * 2).saturated(), rules.graph_rows, tokens});
  std::uint64_t moe_tokens = (Checked(tokens) * s.layout.dp).saturated();
  if (rules.expert_chunk_tokens > 0) moe_tokens = std::min(moe_tokens, rules.expert_chunk_tokens);
  set(q, Quantity::kInputTokens, tokens);
  set(q, Quantity::kSequences, sequences);
  set(q, Quantity::kSampledRows, std::min(sequences, tokens));
  set(q, Quantity::kOutputRows, rules.last_rows_only ? std::min(decoded, tokens) : tokens);
  set(q, Quantity::kDraftTokens, drafted);
  set(q, Quantity::kLength, s.max_length);
  set(q, Quantity::kGraphBatch, rules.graph_batch);
  set(q, Quantity::kGraphs, captured_sizes(graph_rows));
  set(q, Quantity::kDecodeGraphs, captured_sizes(std::min(captured, graph_rows)));
  set(q, Quantity::kMoeTokens, moe_tokens);
}

// What the model and the layout are.
void set_model(const Settled& s, Quantities& q) {
  const plimsoll_facts& facts = s.model().declared.facts;
  set(q, Quantity::kVocab, facts.vocab_tokens);
  set(q, Quantity::kHidden, facts.hidden_elements);
  set(q, Quantity::kQueryHeads, facts.query_heads);
  set(q, Quantity::kKvHeads, facts.kv_heads);
  set(q, Quantity::kLayers, facts.n_layers);
  set(q, Quantity::kExperts, facts.experts);
  set(q, Quantity::kExpertsPerToken, facts.experts_per_token);
  set(q, Quantity::kTp, s.layout.tp);
  set(q, Quantity::kPp, s.layout.pp);
  set(q, Quantity::kDp, s.layout.dp);
  set(q, Quantity::kEp, s.layout.ep);
  set(q, Quantity::kRanks, s.layout.ranks());
  set(q, Quantity::kNodes, s.layout.nodes);
  const ExpertWidths experts = expert_widths(s);
  set(q, Quantity::kLocalExperts, experts.local);
  set(q, Quantity::kExpertElements, experts.width);
  set(q, Quantity::kExpertGateElements, experts.gates);
}

} // namespace

std::uint64_t captured_sizes(std::uint64_t most) {
  std::uint64_t sizes = 0;
  for (const std::uint64_t first : {1U, 2U, 4U}) sizes += first <= most ? 1 : 0;
  sizes += std::min<std::uint64_t>(most, 255) / 8;
  if (most >= 256) sizes += (most - 256) / 16 + 1;
  return sizes;
}

Quantities profile_quantities(const Settled& s, const Device& device, std::uint64_t sequences, bool first_device) {
  const MediaEntry* const largest = s.largest_entry();
  Quantities q{};
  set_model(s, q);
  set_step(s, sequences, q);
  set_attention(s, q);
  set_dealt(s, q);
  if (first_device && s.input.projector != nullptr) set_projector(*s.input.projector, q);
  set(q, Quantity::kVisionRows, largest == nullptr ? 0 : largest->rows);
  set(q, Quantity::kTowerTokens, largest == nullptr ? 0 : largest->encoder_tokens);
  set(q, Quantity::kTowerElements, largest == nullptr ? 0 : largest->encoder_elements);
  set(q, Quantity::kImages, images_of_a_pass(s, sequences));
  set(q, Quantity::kCardBytes, device.total_bytes);
  return q;
}

} // namespace plimsoll
