// The `unified` layout of KV memory: see unified.cpp for its rule and a worked example. Threads: immutable.
#pragma once

#include <memory>

#include "kv/layout.hpp"

namespace plimsoll {

std::unique_ptr<KvLayout> make_unified_layout(const KvLayoutInput& input);

} // namespace plimsoll
