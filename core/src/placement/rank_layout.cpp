#include "placement/rank_layout.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <numeric>

#include "base/checked.hpp"
#include "plimsoll/limits.hpp"

namespace plimsoll {

std::uint32_t RankLayout::stage_of_layer(std::uint32_t layer) const {
  std::uint32_t stage = pp - 1;
  while (stage > 0 && layer < stage_begin[stage]) --stage;
  return stage;
}

std::uint64_t RankLayout::layers_before_stage(const std::vector<std::uint32_t>& layers, std::uint32_t stage) const {
  if (stage == 0) return 0;
  if (stage == pp) return layers.size();
  return static_cast<std::uint64_t>(std::lower_bound(layers.begin(), layers.end(), stage_begin[stage]) - layers.begin());
}

std::uint64_t RankLayout::layers_on_stage(const std::vector<std::uint32_t>& layers, std::uint32_t stage) const {
  return layers_before_stage(layers, stage + 1) - layers_before_stage(layers, stage);
}

Result<RankLayout> make_rank_layout(const PlanRequest& request, std::uint64_t n_devices, std::uint32_t n_layers,
                                    std::uint32_t listed_nodes) {
  RankLayout layout;
  const auto degree = [](const std::optional<std::uint32_t>& given, std::uint32_t fallback) { return given.value_or(fallback); };
  layout.pp = degree(request.pp, 1);
  layout.dp = degree(request.dp, 1);
  for (const auto& [value, option] : {std::pair{layout.pp, "--pp"},
                                      {layout.dp, "--dp"},
                                      {degree(request.tp, 1), "--tp"},
                                      {degree(request.ep, 1), "--ep"},
                                      {degree(request.nodes, 1), "--nodes"}})
    if (value == 0 || value > kMaxRanks)
      return fail(ErrorCode::kBadRequest, fmt::format("is {}; a number from 1 to {} was expected", value, kMaxRanks), option);
  const std::uint64_t others = static_cast<std::uint64_t>(layout.pp) * layout.dp;
  if (request.tp) {
    layout.tp = *request.tp;
  } else if (n_devices % others != 0 || n_devices / others == 0) {
    return fail(ErrorCode::kBadRequest,
                fmt::format("pp {} x dp {} does not divide {} devices; give --tp, or other degrees", layout.pp, layout.dp, n_devices),
                "--devices");
  } else {
    layout.tp = static_cast<std::uint32_t>(n_devices / others);
  }
  const std::uint64_t ranks = others * layout.tp;
  if (ranks != n_devices)
    return fail(ErrorCode::kBadRequest,
                fmt::format("tp {} x pp {} x dp {} makes {} ranks, but there are {} devices; each rank needs one", layout.tp, layout.pp,
                            layout.dp, ranks, n_devices),
                "--devices");
  if (ranks > kMaxRanks)
    return fail(ErrorCode::kBadRequest, fmt::format("{} ranks; at most {} are planned", ranks, kMaxRanks), "--devices");
  layout.ep = degree(request.ep, 1);
  const std::uint64_t group = static_cast<std::uint64_t>(layout.tp) * layout.dp;
  if (group % layout.ep != 0)
    return fail(ErrorCode::kBadRequest,
                fmt::format("ep {} does not divide the {} ranks of a stage (tp {} x dp {})", layout.ep, group, layout.tp, layout.dp),
                "--ep");
  layout.nodes = degree(request.nodes, std::max(listed_nodes, 1U));
  if (listed_nodes != 0 && layout.nodes != listed_nodes)
    return fail(ErrorCode::kBadRequest,
                fmt::format("is {}, but the devices stand on {} node{}; leave it out, or give the same number", layout.nodes, listed_nodes,
                            listed_nodes == 1 ? "" : "s"),
                "--nodes");
  if (ranks % layout.nodes != 0)
    return fail(ErrorCode::kBadRequest,
                fmt::format("{} nodes do not divide {} ranks; every node holds the same number of them", layout.nodes, ranks), "--nodes");
  layout.redundant_experts = request.redundant_experts;
  if (layout.pp > 1 && layout.pp > n_layers)
    return fail(ErrorCode::kBadRequest, fmt::format("pp {} is more than the model's {} layers", layout.pp, n_layers), "--pp");
  layout.stage_begin.assign(layout.pp + 1, 0);
  if (!request.stage_layers.empty()) {
    const std::uint64_t sum = std::accumulate(request.stage_layers.begin(), request.stage_layers.end(), std::uint64_t{0});
    if (request.stage_layers.size() != layout.pp || sum != n_layers)
      return fail(ErrorCode::kBadRequest,
                  fmt::format("{} stages with {} layers in all; pp is {} and the model has {} layers", request.stage_layers.size(), sum,
                              layout.pp, n_layers),
                  "--stage-layers");
    for (std::uint32_t s = 0; s < layout.pp; ++s) layout.stage_begin[s + 1] = layout.stage_begin[s] + request.stage_layers[s];
  } else {
    // Balanced; the remainder goes to the middle stages, which hold neither embedding nor head: one each to the
    // stages before the last, from the back.
    const std::uint32_t base = n_layers / layout.pp, remainder = n_layers % layout.pp;
    for (std::uint32_t s = 0; s < layout.pp; ++s) {
      const std::uint32_t from_back = layout.pp - 1 - s; // 0: the last stage
      const bool extra = from_back >= 1 && from_back <= remainder;
      layout.stage_begin[s + 1] = layout.stage_begin[s] + base + (extra ? 1 : 0);
    }
  }
  return layout;
}

} // namespace plimsoll
