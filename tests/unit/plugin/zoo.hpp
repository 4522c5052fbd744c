// The plugins that misbehave, as they are built, and the planners of a model among them. Used by the tests of the registry, of the
// planner tree and of delegation. Made once a program; any thread.
#pragma once

#include <memory>
#include <string>

#include "model/declare.hpp"
#include "plugin/planner_tree.hpp"
#include "plugin/registry.hpp"

namespace plimsoll::testing {

inline const std::string kZoo = std::string(PLIMSOLL_BUILD_DIR) + "/lib/plimsoll/zoo";

inline const Registry& zoo() {
  static const Registry registry({{kZoo}, Trust::kOpen}, {});
  return registry;
}

inline Result<std::unique_ptr<PlannerTree>> tree_of(const Json& config, const Registry& registry = zoo()) {
  return PlannerTree::create(registry, std::make_shared<const Json>(config), "config.json");
}

inline Result<Declared> declared(const Json& config) {
  PLIMSOLL_ASSIGN(const auto tree, tree_of(config));
  PLIMSOLL_ASSIGN(const Quantization quantization, Quantization::parse(config, nullptr, "config.json", {}));
  return declare(*tree, quantization, *find_dtype("bfloat16"));
}

} // namespace plimsoll::testing
