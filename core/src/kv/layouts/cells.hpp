// The `cells` layout of KV memory: see cells.cpp for its rule and a worked example. Threads: immutable.
#pragma once

#include <memory>

#include "kv/layout.hpp"

namespace plimsoll {

std::unique_ptr<KvLayout> make_cells_layout(const KvLayoutInput& input);

} // namespace plimsoll
