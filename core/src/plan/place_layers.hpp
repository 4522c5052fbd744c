// Where the layers of a model go by an engine's rules: dealt to devices one after the other, or every layer over all of them; what stays
// in host memory. Called while a request is settled; prices nothing. Threads: pure functions.
#pragma once

#include <optional>
#include <vector>

#include "device/device.hpp"
#include "engine/profile.hpp"
#include "model/loaded_model.hpp"
#include "placement/rank_layout.hpp"

namespace plimsoll {

struct PlacedLayers {
  SplitMode mode = SplitMode::kTensor;
  std::optional<LayerDeal> deal; // none: every layer over all devices
};

// What the request asks for, or the engine does by itself. kBadRequest names the option that the engine has no rule for, or that says
// nothing beside the others.
Result<PlacedLayers> place_layers(const Model::Data& model, const PlanRequest& request, const EngineProfile::Placement& rules,
                                  const std::vector<Device>& devices);

// The host's part of a layout, beside the layers that the deal left to it.
void place_on_host(const Model::Data& model, const PlanRequest& request, const EngineProfile::Placement& rules, const PlacedLayers& placed,
                   RankLayout& layout);

} // namespace plimsoll
