// plan --layout auto: the layout in which the devices of a request serve it best. Called before such a request is planned; plans every
// layout there is on all cores, but for those whose weights cannot fit. Never changes what the request gives. Threads: pure.
#pragma once

#include <functional>
#include <memory>

#include "plan/settled.hpp"

namespace plimsoll {

// The engine of a request, whose overrides may differ from those of the first.
using EngineReader = std::function<Result<std::shared_ptr<const ProfileSource>>(const PlanRequest&)>;

// The request of `input` in the best layout, with nothing left to find; where none fits in that which is short by the least. An error
// where it can be planned in none: that of the first.
Result<PlanRequest> find_layout(const PlanInput& input, const EngineReader& engine);

} // namespace plimsoll
