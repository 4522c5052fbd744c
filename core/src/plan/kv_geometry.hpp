// The sizing of a plan as a KvGeometry: what whoever enacts the plan must know of every rank. Threads: pure.
#pragma once

#include "plan/kv_cache.hpp"
#include "plimsoll/kv_geometry.hpp"

namespace plimsoll {

// `shares`: rank by rank what every group gets.
KvGeometry kv_geometry(const Settled& settled, const KvStages& stages, const std::vector<std::vector<KvGroupShare>>& shares);

} // namespace plimsoll
