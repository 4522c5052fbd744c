#include "schedule/adapter_slots.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <set>
#include <string_view>
#include <tuple>
#include <utility>

#include "base/checked.hpp"
#include "model/adapter_config.hpp"
#include "placement/weight_shard.hpp"

namespace plimsoll {
namespace {

constexpr std::string_view kWeight = ".weight";

// Weights that LINEAR ops multiply with, and that no other op reads.
std::vector<bool> linear_classes(const Described& described, const Declared& declared) {
  std::vector<bool> linear(declared.weights.size(), false), other(declared.weights.size(), false);
  for (const DescribedOp& op : described.ops)
    for (std::size_t n = 0; n < op.weights.size(); ++n)
      if (op.weights[n] != kNoIndex) (op.kind == OpKind::kLinear && n == 0 ? linear : other)[op.weights[n]] = true;
  for (std::size_t i = 0; i < linear.size(); ++i) {
    const WeightClass& c = declared.weights[i];
    const bool is_matrix = c.n_dims == 2 && c.in_dim < 2 && c.experts == 0 && c.pattern.ends_with(kWeight);
    linear[i] = linear[i] && !other[i] && is_matrix && c.role == PLIMSOLL_ROLE_MODEL;
  }
  return linear;
}

std::string_view last_segment(std::string_view module) { return module.substr(module.rfind('.') + 1); }

// How the module of a class may be called: as declared, and with what exporters fuse or divide in its place.
std::vector<std::string> module_names(const WeightClass& c, const Fusions& fusions) {
  const std::string module = c.pattern.substr(0, c.pattern.size() - kWeight.size());
  std::vector<std::string> names{module};
  const std::string_view own = last_segment(module);
  const std::string before = module.substr(0, module.size() - own.size());
  for (const auto& [fused, parts] : fusions) {
    if (std::find(parts.begin(), parts.end(), own) != parts.end()) names.push_back(before + fused);
    if (fused == own)
      for (const std::string& part : parts) names.push_back(before + part);
  }
  return names;
}

// Which classes are targets.
Result<std::vector<bool>> chosen_classes(const Described& described, const Declared& declared, const Fusions& fusions,
                                         const std::vector<std::string>& targets) {
  const std::vector<bool> linear = linear_classes(described, declared);
  std::vector<bool> chosen(linear.size(), false), met(targets.size(), false);
  std::set<std::string> known;
  for (std::size_t i = 0; i < linear.size(); ++i) {
    if (!linear[i]) continue;
    const std::vector<std::string> names = module_names(declared.weights[i], fusions);
    known.emplace(last_segment(names.front()));
    if (targets.empty()) chosen[i] = !declared.weights[i].layers.empty();
    for (std::size_t t = 0; t < targets.size(); ++t) {
      if (targets[t].empty() ||
          std::none_of(names.begin(), names.end(), [&](const std::string& name) { return is_called(name, targets[t]); }))
        continue;
      chosen[i] = true;
      met[t] = true;
    }
  }
  for (std::size_t t = 0; t < targets.size(); ++t)
    if (!met[t])
      return fail(
          ErrorCode::kBadRequest,
          fmt::format("'{}' is no linear layer that adapters can change; there are {}", targets[t].substr(0, 64), fmt::join(known, ", ")),
          "--lora-targets");
  if (std::find(chosen.begin(), chosen.end(), true) == chosen.end())
    return fail(ErrorCode::kBadRequest, "the model has no linear layers that adapters can change", "--max-loras");
  return chosen;
}

AdapterTarget target_of(const WeightClass& c, std::uint32_t layer) {
  AdapterTarget target;
  target.label = c.label;
  target.layer = layer;
  target.in = c.dims[c.in_dim];
  if (c.parts.size() > 1 && c.shard_dim == 1 - c.in_dim)
    for (const WeightPart& part : c.parts) target.parts.push_back(part.extent);
  else target.parts.push_back(c.dims[1 - c.in_dim]);
  target.columns = {target.in, 0, target.in};
  for (const std::uint64_t rows : target.parts) target.rows.push_back({rows, 0, rows});
  return target;
}

// Where the matrices lie that the targets say.
Result<void> place_targets(AdapterSlots& slots, std::uint64_t element_bytes) {
  Checked elements = 0;
  slots.parts = 0;
  for (AdapterTarget& target : slots.targets) {
    target.first_part = slots.parts;
    slots.parts += target.parts.size();
    target.a_offset_elements = elements.saturated();
    elements += Checked(slots.max_rank) * target.in * target.parts.size();
    target.b_offset_elements = elements.saturated();
    elements += Checked(slots.max_rank) * target.out();
  }
  PLIMSOLL_ASSIGN(slots.slot_elements, elements.get("a slot for adapters"));
  PLIMSOLL_ASSIGN(slots.bytes, (elements * slots.slots * element_bytes).get("the slots for adapters"));
  return {};
}

// The rank's part of a layer, of which it has that shape.
Result<void> cut_target(const WeightClass& c, const LocalShape& shape, AdapterTarget& target) {
  const std::uint32_t out_dim = 1 - c.in_dim;
  target.in = shape.dims[c.in_dim];
  if (target.parts.size() == 1) target.parts.front() = shape.dims[out_dim];
  if (shape.ranges.empty()) return {}; // all of it
  const bool by_inputs = c.shard_dim == c.in_dim;
  if (shape.ranges.size() != (by_inputs ? 1 : target.parts.size()))
    return fail(ErrorCode::kUnsupportedArchitecture, fmt::format("adapters of '{}' cannot be cut as it is cut among ranks", c.label),
                "--max-loras");
  if (by_inputs) {
    target.columns = {target.columns.whole, shape.ranges.front().first, shape.ranges.front().n};
    return {};
  }
  std::uint64_t before = 0; // rows of the parts before
  for (std::size_t part = 0; part < target.parts.size(); ++part) {
    AdapterRange& rows = target.rows[part];
    rows.first = shape.ranges[part].first - before;
    rows.n = shape.ranges[part].n;
    before += rows.whole;
    if (target.parts.size() > 1) target.parts[part] = rows.n;
  }
  return {};
}

} // namespace

Result<AdapterSlots> cut_adapter_slots(const Described& described, const Declared& declared, const Fusions& fusions,
                                       const AdapterRoom& room) {
  AdapterSlots out;
  if (room.slots == 0) return out;
  PLIMSOLL_ASSIGN(const std::vector<bool> chosen, chosen_classes(described, declared, fusions, room.targets));
  out.slots = room.slots;
  out.max_rank = room.max_rank;
  out.dtype = room.dtype.name;
  std::set<std::pair<std::string, std::uint32_t>> seen; // two ops may multiply with parts of one weight
  for (const DescribedOp& op : described.ops) {
    if (op.kind != OpKind::kLinear || !chosen[op.weights[0]]) continue;
    const WeightClass& c = declared.weights[op.weights[0]];
    const std::uint32_t layer = c.layers.empty() ? kNoIndex : op.layer;
    if (seen.emplace(c.label, layer).second) out.targets.push_back(target_of(c, layer));
  }
  std::sort(out.targets.begin(), out.targets.end(),
            [](const AdapterTarget& a, const AdapterTarget& b) { return std::tie(a.label, a.layer) < std::tie(b.label, b.layer); });
  PLIMSOLL_TRY(place_targets(out, room.dtype.block_bytes));
  return out;
}

Result<void> cut_for_rank(const Described& described, const Declared& declared, const RankLayout& layout, std::uint32_t rank,
                          AdapterSlots& slots) {
  if (slots.slots == 0 || layout.ranks() == 1) return {};
  const std::uint64_t element_bytes = slots.bytes / slots.slots / std::max<std::uint64_t>(slots.slot_elements, 1);
  std::map<std::pair<std::string_view, std::uint32_t>, const WeightClass*> here;
  bool seen_layer = false;
  for (const DescribedOp& op : described.ops) {
    seen_layer = seen_layer || op.layer != kNoIndex;
    if (op.kind != OpKind::kLinear || layout.stage_of_op(op.layer, seen_layer) != layout.stage_of_rank(rank)) continue;
    const WeightClass& c = declared.weights[op.weights[0]];
    here.emplace(std::pair(std::string_view(c.label), c.layers.empty() ? kNoIndex : op.layer), &c);
  }
  for (AdapterTarget& target : slots.targets) {
    const auto at = here.find({target.label, target.layer});
    if (at == here.end()) {
      target.in = 0;
      std::fill(target.parts.begin(), target.parts.end(), 0U);
      continue;
    }
    PLIMSOLL_ASSIGN(const WeightShard shard, weight_shard(*at->second, layout, rank));
    PLIMSOLL_TRY(cut_target(*at->second, shard.shape, target));
  }
  return place_targets(slots, element_bytes);
}

} // namespace plimsoll
