#include "plan/lora_slots.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "base/checked.hpp"
#include "model/adapter_config.hpp"
#include "placement/weight_shard.hpp"

namespace plimsoll {
namespace {

constexpr std::string_view kWeight = ".weight";

std::string_view module_of(const WeightClass& c) {
  const std::string_view pattern = c.pattern;
  return pattern.ends_with(kWeight) ? pattern.substr(0, pattern.size() - kWeight.size()) : pattern;
}

// Matrices of the text model that something is multiplied with. Vocabularies are a matrix too: of the embedding A is as long as the
// vocabulary.
bool may_change(const WeightClass& c) {
  const bool is_matrix = c.n_dims == 2 && c.in_dim < 2 && c.aspect != PLIMSOLL_ASPECT_VISION;
  const bool vocabulary = c.placement == PLIMSOLL_PLACE_VOCAB;
  return is_matrix && (c.quantizable || vocabulary) && (c.role == PLIMSOLL_ROLE_MODEL || c.role == PLIMSOLL_ROLE_TIED);
}

bool is_target(const Settled& s, const WeightClass& c) {
  const std::vector<std::string>& targets = s.adapters.targets;
  return targets.empty() ||
         std::any_of(targets.begin(), targets.end(), [&](const std::string& name) { return is_called(module_of(c), name); });
}

// Elements of A and B of one layer, all experts of the rank, for each rank of the adapter.
Result<Checked> elements_of_layer(const Settled& s, const WeightClass& c, std::uint32_t rank) {
  const std::uint64_t in = c.dims[c.in_dim], out = c.dims[1 - c.in_dim];
  if (c.placement == PLIMSOLL_PLACE_VOCAB) {
    const bool head = c.stage == PLIMSOLL_STAGE_LAST || c.role == PLIMSOLL_ROLE_TIED;
    const std::uint64_t vocabulary = head && s.profile().lora.head_split ? ceil_div(out, s.layout.tp) : out;
    return Checked(in) + vocabulary;
  }
  PLIMSOLL_ASSIGN(const WeightShard shard, weight_shard(c, s.layout, rank));
  const WeightDims& local = shard.shape.dims;
  const std::uint64_t slices =
      c.shard_dim == c.in_dim ? 1 : std::max<std::size_t>(1, c.parts.size()); // q, k and v beside each other: an A each
  return (Checked(local[c.in_dim]) * slices + local[1 - c.in_dim]) * shard.experts.n;
}

std::uint64_t layers_here(const WeightClass& c, const RankLayout& layout, std::uint32_t stage) {
  return c.layers.empty() ? (on_stage(c, layout, 0, stage) ? 1 : 0) : layout.layers_on_stage(c.layers, stage);
}

} // namespace

Result<void> place_lora_slots(const Settled& s, Ledger& ledger) {
  if (s.adapters.slots == 0 || s.profile().schedule.activations == ActivationRule::kPipeline) return {};
  Item item;
  item.label = "lora";
  item.basis = Basis::kExact;
  item.planner = s.profile().name;
  item.bytes.assign(s.layout.ranks(), 0);
  std::size_t changed = 0;
  for (const WeightClass& c : s.model().declared.weights) {
    if (!may_change(c) || !is_target(s, c)) continue;
    ++changed;
    for (std::uint32_t rank = 0; rank < s.layout.ranks(); ++rank) {
      PLIMSOLL_ASSIGN(const Checked of_layer, elements_of_layer(s, c, rank));
      const Checked elements = of_layer * layers_here(c, s.layout, s.layout.stage_of_rank(rank));
      const Checked bytes = elements * s.adapters.slots * s.adapters.max_rank * s.adapters.dtype.block_bytes + item.bytes[rank];
      PLIMSOLL_ASSIGN(item.bytes[rank], bytes.get("the slots for adapters"));
    }
  }
  if (changed == 0) return fail(ErrorCode::kBadRequest, "names no layer of the model that adapters can change", "--lora-targets");
  if (s.explains())
    item.formula = fmt::format("{} slots x rank {} x (in + out of each of {} kinds of linear layers), in {}", s.adapters.slots,
                               s.adapters.max_rank, changed, s.adapters.dtype.name);
  return ledger.add(Category::kWeights, std::move(item));
}

} // namespace plimsoll
