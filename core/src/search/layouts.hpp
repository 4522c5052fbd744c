// Layouts of ranks over devices: all that a number of devices can be cut into, and how many layers each pipeline stage has room for.
// For the searches over plans (advice, --layout auto, fit); plans nothing itself, and says nothing of which layout is good. Threads: pure
// functions.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "plimsoll/fit.hpp"
#include "plimsoll/host.hpp"

namespace plimsoll {

// What a layout may be: degrees that are given, and what the model and the engine allow of the others.
struct LayoutRules {
  std::optional<std::uint32_t> tp, pp, ep, context_parallel;
  std::vector<std::uint32_t> dp; // one of these; empty: any
  std::uint32_t n_layers = 1;
  bool experts = false;           // there are some, which may be whole on the ranks of a stage
  bool any_expert_degree = false; // the engine takes every divisor of those ranks, and not just them all
  // Ranks that share the context of a request: the engine can, and so many heads of keys and values are there for so many queries each.
  bool shares_context = false;
  std::uint64_t kv_heads = 1, queries_of_head = 1;
};

// Every tp x pp x dp that makes n ranks, with every expert degree and every number of ranks that share a context: fewest replicas first,
// of these the largest tp, experts cut like everything else, contexts whole. Stages are even.
std::vector<FitLayout> layouts_of(std::uint32_t n, const LayoutRules& rules);

// What the devices of one pipeline stage have for their layers, and what of it is gone before the first.
struct StageRoom {
  std::uint64_t room_bytes = 0, beside_layers_bytes = 0;
};

// Layers for each stage, one at least, so that the least of what any stage has for each of its layers is as much as it can be. Nothing
// where there are fewer layers than stages.
std::vector<std::uint32_t> layers_by_room(const std::vector<StageRoom>& stages, std::uint32_t n_layers);

} // namespace plimsoll
