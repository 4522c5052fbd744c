// What a plugin sees as an opaque plimsoll_view: a part of a configuration, how its tensors are called, and as what it is planned.
// Answers lookups; never changes once handed out. Threads: any, once made.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.hpp"
#include "plimsoll/abi.h"

namespace plimsoll {
class PlannerTree;
}

struct plimsoll_view {
  plimsoll::PlannerTree* tree = nullptr; // nullptr: a plain document, no delegation
  const plimsoll::Json* node = nullptr;
  const plimsoll_view* parent = nullptr;
  std::string pointer;              // relative to the parent
  std::optional<plimsoll::Json> as; // the model_type in whose dialect it is planned; nothing: its own
  const plimsoll::Json* defaults = nullptr;
  std::vector<std::pair<std::string, std::string>> renames;

  // The value at `wanted`: the config's own, for a few keys the outer config's, else the class default, of this part's
  // model_type or of the outer one's for this part.
  const plimsoll::Json* find(std::string_view wanted) const;
  // The whole model's name of a tensor.
  std::string rename(std::string_view tensor) const;
  std::string full_pointer() const { return (parent == nullptr ? std::string() : parent->full_pointer()) + pointer; }
};
