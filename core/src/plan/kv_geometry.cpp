#include "plan/kv_geometry.hpp"

#include <algorithm>

#include "base/checked.hpp"

namespace plimsoll {
namespace {

KvGroupGeometry group_geometry(const Settled& s, const KvGroupPrice& price, std::uint64_t page_tokens, std::uint64_t page_bytes) {
  const KvGroup& group = *price.group;
  KvGroupGeometry out;
  out.label = group.label;
  out.kind = price.slot.kind;
  const std::vector<KvGroup> none;
  const std::vector<KvGroup>& of_draft = s.draft == DraftSource::kModel ? s.input.draft->declared.kv : none;
  out.draft = group.role == PLIMSOLL_ROLE_DRAFT ||
              std::any_of(of_draft.begin(), of_draft.end(), [&](const KvGroup& other) { return &other == &group; });
  out.layers = group.kept_layers;
  out.first_layer = price.first_layer;
  out.n_layers = price.layers;
  out.window_tokens = group.window_tokens;
  out.fixed_tokens = group.fixed_tokens;
  if (group.kind == CacheKind::kState) {
    out.state_row_bytes = price.state_bytes;
    for (const StatePart& part : price.state_parts) out.regions.push_back({std::string(part.dtype), part.elements});
    out.rows_per_sequence = s.profile().kv.rows_per_sequence(s.request().num_draft_tokens);
    return out;
  }
  out.page_tokens = page_tokens;
  out.page_bytes = page_bytes;
  out.kv_heads = price.slot.kv_heads;
  out.k_elements = price.slot.k_elements;
  out.v_elements = price.slot.v_elements;
  out.k_dtype = price.slot.k_dtype;
  out.v_dtype = price.slot.v_dtype;
  for (const KvField& field : group.record) out.record.push_back({std::string(field.type.name), field.elements});
  if (out.kind == CacheKind::kLatent) {
    out.rope_elements = group.rope_elements;
    out.latent_elements = group.k_elements - std::min(group.k_elements, group.rope_elements);
  }
  return out;
}

} // namespace

KvGeometry kv_geometry(const Settled& s, const KvStages& stages, const std::vector<std::vector<KvGroupShare>>& shares) {
  KvGeometry out;
  out.stages.resize(stages.count());
  for (std::size_t stage = 0; stage < stages.count(); ++stage) {
    const KvLayout& layout = stages.layout(stage);
    const std::vector<std::uint64_t> page_bytes = layout.page_bytes();
    out.stages[stage].groups.reserve(page_bytes.size());
    for (std::size_t i = 0; i < page_bytes.size(); ++i)
      out.stages[stage].groups.push_back(group_geometry(s, stages.prices(stage)[i], layout.group_page_tokens(i), page_bytes[i]));
    out.stages[stage].block_bytes = layout.block_bytes();
    out.shared_blocks = out.shared_blocks || layout.block_bytes() > 0;
  }
  out.stage_of_rank.reserve(shares.size());
  out.pools.reserve(shares.size() * out.n_groups());
  for (std::uint32_t rank = 0; rank < shares.size(); ++rank) {
    out.stage_of_rank.push_back(stages.stage_of(rank));
    for (const KvGroupShare& share : shares[rank])
      out.pools.push_back({share.pages, share.null_pages, share.state_rows, bounded_count(share.bytes)});
  }
  return out;
}

} // namespace plimsoll
