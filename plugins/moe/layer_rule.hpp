// Which layers have experts: the many ways in which configurations say it. Pure, any thread.
#pragma once

#include <cstdint>
#include <vector>

#include <plimsoll/plugin.hpp>

namespace moe {

// One flag per layer. The first rule that a configuration states decides: a list per layer before arithmetic ones; no
// rule: all layers. Throws plimsoll::Error with the pointer of a list of the wrong length or an unknown entry.
std::vector<bool> expert_layers(const plimsoll::Config& config, std::uint64_t n_layers);

} // namespace moe
