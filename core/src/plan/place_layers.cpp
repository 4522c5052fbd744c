#include "plan/place_layers.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "plimsoll/limits.hpp"

namespace plimsoll {
namespace {

// The first option that only engines which deal layers know.
const char* option_of_deals(const PlanRequest& r) {
  if (r.split_mode) return "--split-mode";
  if (!r.tensor_split.empty()) return "--tensor-split";
  if (r.gpu_layers || r.gpu_layers_auto) return "--gpu-layers";
  if (r.cpu_moe_layers || r.cpu_moe_auto) return "--n-cpu-moe";
  if (!r.tensor_overrides.empty()) return "--override-tensor";
  return r.projector ? "--mmproj" : nullptr;
}

// Every device's share of the layers: what was given, or its free memory.
Result<std::vector<double>> shares_of(const PlanRequest& request, const std::vector<Device>& devices) {
  std::vector<double> shares = request.tensor_split;
  if (shares.size() > devices.size())
    return fail(ErrorCode::kBadRequest,
                fmt::format("{} shares for {} device{}", shares.size(), devices.size(), devices.size() == 1 ? "" : "s"), "--tensor-split");
  shares.resize(devices.size(), 0);
  if (std::any_of(shares.begin(), shares.end(), [](double share) { return share > 0; })) return shares;
  for (std::size_t device = 0; device < devices.size(); ++device) shares[device] = static_cast<double>(devices[device].free_bytes);
  if (std::all_of(shares.begin(), shares.end(), [](double share) { return share <= 0; })) shares.assign(shares.size(), 1);
  return shares;
}

Result<void> check_modes(const PlanRequest& request, const PlacedLayers& placed) {
  const bool by_hand = !request.stage_layers.empty();
  if (by_hand && (!request.tensor_split.empty() || request.gpu_layers || request.gpu_layers_auto))
    return fail(ErrorCode::kBadRequest, "says how many layers every device has; leave out --tensor-split and --gpu-layers",
                "--stage-layers");
  if (placed.mode == SplitMode::kRow && request.tp.value_or(1) > 1)
    return fail(ErrorCode::kBadRequest, "row cuts matrices over all devices; leave out --tp", "--split-mode");
  if (placed.mode == SplitMode::kTensor && (request.gpu_layers || request.gpu_layers_auto))
    return fail(ErrorCode::kBadRequest, "every layer lies on all devices where these share it; leave out --split-mode tensor",
                "--gpu-layers");
  if (placed.mode == SplitMode::kTensor && !request.tensor_split.empty())
    return fail(ErrorCode::kBadRequest, "devices that share every layer are planned with equal parts; leave it out", "--tensor-split");
  return {};
}

} // namespace

Result<PlacedLayers> place_layers(const Model::Data& model, const PlanRequest& request, const EngineProfile::Placement& rules,
                                  const std::vector<Device>& devices) {
  PlacedLayers placed;
  if (!rules.deals_layers()) {
    if (const char* const option = option_of_deals(request))
      return fail(ErrorCode::kBadRequest,
                  fmt::format("engine {} does not deal layers to devices and the host; it is an option of --engine llama.cpp",
                              request.engine.substr(0, 64)),
                  option);
    return placed;
  }
  if (devices.size() > 1 && std::any_of(devices.begin(), devices.end(), [](const Device& device) { return device.name == "host"; }))
    return fail(ErrorCode::kBadRequest, "the host is no rank; give its memory as --host SIZE, and the other devices here", "--devices");
  placed.mode = request.split_mode.value_or(SplitMode::kLayer);
  PLIMSOLL_TRY(check_modes(request, placed));
  if (placed.mode == SplitMode::kTensor) return placed;
  LayerDeal deal;
  PLIMSOLL_ASSIGN(deal.shares, shares_of(request, devices));
  if (placed.mode == SplitMode::kNone) std::fill(deal.shares.begin() + 1, deal.shares.end(), 0);
  deal.draft_layers = static_cast<std::uint32_t>(std::min<std::uint64_t>(model.declared.facts.draft_layers, kMaxRanks));
  deal.gpu_layers = request.gpu_layers;
  placed.deal = std::move(deal);
  return placed;
}

void place_on_host(const Model::Data& model, const PlanRequest& request, const EngineProfile::Placement& rules, const PlacedLayers& placed,
                   RankLayout& layout) {
  layout.embedding_on_host = rules.input_embedding == EmbeddingPlace::kHost;
  if (request.cpu_moe_layers) layout.host_expert_layers = std::min(*request.cpu_moe_layers, model.declared.facts.n_layers);
  if (placed.mode == SplitMode::kRow && placed.deal) layout.row_shares = placed.deal->shares;
}

} // namespace plimsoll
