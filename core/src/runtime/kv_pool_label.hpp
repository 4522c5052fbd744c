// The label of a plan's item that a KV group's memory is counted under. Header only. Threads: a pure function.
#pragma once

#include <string>

#include "plimsoll/kv_geometry.hpp"

namespace plimsoll {

inline std::string kv_pool_label(const KvGeometry& geometry, std::uint32_t rank, std::size_t group) {
  return geometry.shared_blocks ? "kv_cache" : "kv_cache." + geometry.group(rank, group).label;
}

} // namespace plimsoll
