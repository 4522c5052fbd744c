// One planner of a model's tree, as the host holds it. Plugins receive it as an opaque plimsoll_planner of the host's own table.
// Threads: immutable once made.
#pragma once

#include <string>

#include "plugin/registry.hpp"
#include "plugin/view.hpp"

namespace plimsoll {

struct PlannerNode {
  FamilyRef family;
  const plimsoll_planner_api* api = nullptr; // nullptr where it runs in a worker, and so is its planner
  plimsoll_planner* self = nullptr;
  const plimsoll_view* view = nullptr;
  std::string place; // of the view, below that of the planner that asked for this one
  // What it answers itself and leaves to no default.
  bool has_facts = false, has_signal_buffers = false, has_max_batch = false;

  const std::string& id() const { return family.family->id; }
};

} // namespace plimsoll
