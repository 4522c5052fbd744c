#include "placement/rank_layout.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <numeric>

#include "base/checked.hpp"
#include "plimsoll/limits.hpp"

namespace plimsoll {

bool HostTensors::has(std::string_view pattern, std::uint32_t layer) const {
  const auto found = layers_of_class.find(pattern);
  return found != layers_of_class.end() && std::binary_search(found->second.begin(), found->second.end(), layer);
}

std::uint32_t RankLayout::stage_of_layer(std::uint32_t layer, std::uint32_t held_back) const {
  if (layer < std::max(host_layers(), held_back)) return host_stage();
  std::uint32_t stage = pp - 1;
  while (stage > 0 && layer < stage_begin[stage]) --stage;
  return stage;
}

std::uint64_t RankLayout::layers_before_stage(const std::vector<std::uint32_t>& layers, std::uint32_t stage,
                                              std::uint32_t held_back) const {
  const std::uint32_t first = std::max(stage_begin[stage], held_back);
  if (stage == host_stage()) return layers.size();
  if (first == 0) return 0;
  return static_cast<std::uint64_t>(std::lower_bound(layers.begin(), layers.end(), first) - layers.begin());
}

std::uint64_t RankLayout::layers_on_stage(const std::vector<std::uint32_t>& layers, std::uint32_t stage, std::uint32_t held_back) const {
  if (stage == host_stage()) return layers_before_stage(layers, 0, held_back);
  return layers_before_stage(layers, stage + 1, held_back) - layers_before_stage(layers, stage, held_back);
}

std::vector<std::uint32_t> deal_layers(std::span<const double> shares, std::uint32_t layers) {
  std::vector<float> ends(shares.size());
  float sum = 0;
  for (std::size_t device = 0; device < shares.size(); ++device) {
    sum += static_cast<float>(shares[device]);
    ends[device] = sum;
  }
  for (float& end : ends) end /= sum;
  std::vector<std::uint32_t> out(layers);
  for (std::uint32_t layer = 0; layer < layers; ++layer) {
    const float at = static_cast<float>(layer) / static_cast<float>(layers);
    const auto device = std::upper_bound(ends.begin(), ends.end(), at) - ends.begin();
    out[layer] = static_cast<std::uint32_t>(std::min<std::ptrdiff_t>(device, static_cast<std::ptrdiff_t>(shares.size()) - 1));
  }
  return out;
}

namespace {

Result<void> check_degrees(const PlanRequest& request) {
  for (const auto& [value, option] :
       {std::pair{request.pp, "--pp"}, {request.dp, "--dp"}, {request.tp, "--tp"}, {request.ep, "--ep"}, {request.nodes, "--nodes"}})
    if (value && (*value == 0 || *value > kMaxRanks))
      return fail(ErrorCode::kBadRequest, fmt::format("is {}; a number from 1 to {} was expected", *value, kMaxRanks), option);
  return {};
}

// Degrees that the request leaves open: all devices share every layer, or follow one another.
Result<void> fill_degrees(const PlanRequest& request, std::uint64_t n_devices, bool dealt, RankLayout& layout) {
  layout.dp = request.dp.value_or(1);
  layout.pp = request.pp.value_or(1);
  if (dealt && !request.pp) {
    layout.tp = request.tp.value_or(1);
    const std::uint64_t others = static_cast<std::uint64_t>(layout.tp) * layout.dp;
    if (n_devices % others == 0 && n_devices / others >= 1 && n_devices / others <= kMaxRanks)
      layout.pp = static_cast<std::uint32_t>(n_devices / others);
    return {};
  }
  const std::uint64_t others = static_cast<std::uint64_t>(layout.pp) * layout.dp;
  if (request.tp) layout.tp = *request.tp;
  else if (n_devices % others != 0 || n_devices / others == 0)
    return fail(ErrorCode::kBadRequest,
                fmt::format("pp {} x dp {} does not divide {} devices; give --tp, or other degrees", layout.pp, layout.dp, n_devices),
                "--devices");
  else layout.tp = static_cast<std::uint32_t>(n_devices / others);
  return {};
}

// Balanced; the remainder goes to the middle stages, which hold neither embedding nor head: one each to the stages before the last, from
// the back.
void balance_stages(std::uint32_t n_layers, RankLayout& layout) {
  const std::uint32_t base = n_layers / layout.pp, remainder = n_layers % layout.pp;
  for (std::uint32_t s = 0; s < layout.pp; ++s) {
    const std::uint32_t from_back = layout.pp - 1 - s; // 0: the last stage
    const bool extra = from_back >= 1 && from_back <= remainder;
    layout.stage_begin[s + 1] = layout.stage_begin[s] + base + (extra ? 1 : 0);
  }
}

// A stage's share is that of its poorest replica.
std::vector<double> stage_shares(const LayerDeal& deal, const RankLayout& layout) {
  std::vector<double> out(layout.pp, -1);
  for (std::uint32_t rank = 0; rank < layout.ranks(); ++rank) {
    double& share = out[layout.stage_of_rank(rank)];
    share = share < 0 ? deal.shares[rank] : std::min(share, deal.shares[rank]);
  }
  return out;
}

// The layers that devices hold are the last ones; those before them are the host's.
void deal_stages(std::uint32_t n_layers, const LayerDeal& deal, RankLayout& layout) {
  const std::uint32_t layers = n_layers + deal.draft_layers;
  const std::uint32_t held = std::min(deal.gpu_layers.value_or(layers + 1), layers + 1);
  const std::vector<std::uint32_t> stages = deal_layers(stage_shares(deal, layout), held);
  std::fill(layout.stage_begin.begin(), layout.stage_begin.end(), layers);
  layout.stage_begin.front() = std::min(layers, layers + 1 - held);
  for (std::uint32_t s = 1; s < layout.pp; ++s) {
    const auto before = std::lower_bound(stages.begin(), stages.end(), s) - stages.begin();
    layout.stage_begin[s] = std::min(layers, layout.stage_begin.front() + static_cast<std::uint32_t>(before));
  }
  layout.output_stage = stages.empty() ? layout.host_stage() : stages.back();
}

Result<void> fill_stages(const PlanRequest& request, std::uint32_t n_layers, const LayerDeal* deal, RankLayout& layout) {
  layout.stage_begin.assign(layout.pp + 1, 0);
  if (!request.stage_layers.empty()) {
    const std::uint64_t sum = std::accumulate(request.stage_layers.begin(), request.stage_layers.end(), std::uint64_t{0});
    if (request.stage_layers.size() != layout.pp || sum != n_layers)
      return fail(ErrorCode::kBadRequest,
                  fmt::format("{} stages with {} layers in all; pp is {} and the model has {} layers", request.stage_layers.size(), sum,
                              layout.pp, n_layers),
                  "--stage-layers");
    for (std::uint32_t s = 0; s < layout.pp; ++s) layout.stage_begin[s + 1] = layout.stage_begin[s] + request.stage_layers[s];
  } else if (deal != nullptr) {
    deal_stages(n_layers, *deal, layout);
  } else {
    balance_stages(n_layers, layout);
  }
  return {};
}

// What to give instead, where one degree more would take all devices.
std::string degrees_that_use(const RankLayout& layout, std::uint64_t ranks, std::uint64_t n_devices) {
  if (ranks > n_devices) return fmt::format(": give {} devices, or lower degrees", ranks);
  if (n_devices % ranks != 0) return fmt::format(": give {} devices, or degrees that make {}", ranks, n_devices);
  const std::uint64_t times = n_devices / ranks;
  return fmt::format(": --dp {}, --pp {} or --tp {} would use all", layout.dp * times, layout.pp * times, layout.tp * times);
}

} // namespace

Result<RankLayout> make_rank_layout(const PlanRequest& request, std::uint64_t n_devices, std::uint32_t n_layers, std::uint32_t listed_nodes,
                                    const LayerDeal* deal) {
  PLIMSOLL_TRY(check_degrees(request));
  RankLayout layout;
  PLIMSOLL_TRY(fill_degrees(request, n_devices, deal != nullptr, layout));
  const std::uint64_t ranks = static_cast<std::uint64_t>(layout.tp) * layout.pp * layout.dp;
  if (ranks != n_devices)
    return fail(ErrorCode::kBadRequest,
                fmt::format("tp {} x pp {} x dp {} makes {} ranks, but there are {} devices; each rank needs one{}", layout.tp, layout.pp,
                            layout.dp, ranks, n_devices, degrees_that_use(layout, ranks, n_devices)),
                "--devices");
  if (ranks > kMaxRanks)
    return fail(ErrorCode::kBadRequest, fmt::format("{} ranks; at most {} are planned", ranks, kMaxRanks), "--devices");
  layout.ep = request.ep.value_or(1);
  const std::uint64_t group = static_cast<std::uint64_t>(layout.tp) * layout.dp;
  if (group % layout.ep != 0)
    return fail(ErrorCode::kBadRequest,
                fmt::format("ep {} does not divide the {} ranks of a stage (tp {} x dp {})", layout.ep, group, layout.tp, layout.dp),
                "--ep");
  layout.nodes = request.nodes.value_or(std::max(listed_nodes, 1U));
  if (listed_nodes != 0 && layout.nodes != listed_nodes)
    return fail(ErrorCode::kBadRequest,
                fmt::format("is {}, but the devices stand on {} node{}; leave it out, or give the same number", layout.nodes, listed_nodes,
                            listed_nodes == 1 ? "" : "s"),
                "--nodes");
  if (ranks % layout.nodes != 0)
    return fail(ErrorCode::kBadRequest,
                fmt::format("{} nodes do not divide {} ranks; every node holds the same number of them", layout.nodes, ranks), "--nodes");
  layout.redundant_experts = request.redundant_experts;
  if (deal == nullptr && layout.pp > 1 && layout.pp > n_layers)
    return fail(ErrorCode::kBadRequest, fmt::format("pp {} is more than the model's {} layers", layout.pp, n_layers), "--pp");
  PLIMSOLL_TRY(fill_stages(request, n_layers, deal, layout));
  return layout;
}

} // namespace plimsoll
