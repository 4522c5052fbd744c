// The one gate for what planners declare and emit: limits of abi.h, texts, and nothing twice. Whatever passes is safe to copy and to
// add up, in time and memory that those limits bound. Never trusts a length or a pointer of a plugin. Threads: one load, one thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "plimsoll/abi.h"
#include "plugin/planner_node.hpp"

namespace plimsoll {

// kPluginFailed: "planner 'x' declared weight class 'y': what is wrong".
tl::unexpected<Error> broken_declaration(const PlannerNode& node, std::string_view what, std::string_view message);
// The same of what it emitted: "planner 'x' emitted 'y': what is wrong".
tl::unexpected<Error> broken_item(const PlannerNode& node, const plimsoll_item& item, std::string_view message);

// A name of 1 to `most` bytes of printable UTF-8; its text is cut for messages where it is none.
bool is_clean_text(plimsoll_str text, std::uint64_t most);
std::string shown_text(plimsoll_str text);

class DeclarationGate {
public:
  // Checks the raw struct, before anything of it is copied.
  Result<void> check(const PlannerNode& node, const plimsoll_weight& weight);
  Result<void> check(const PlannerNode& node, const plimsoll_kv_group& group);
  Result<void> check(const PlannerNode& node, const plimsoll_entry& entry);
  // All but how many bytes it has in a batch.
  Result<void> check(const PlannerNode& node, const plimsoll_item& item, std::uint32_t n_ranks);
  // No tensor and no layer twice: names and layers as they are in the whole model.
  Result<void> take_tensors(const PlannerNode& node, const std::string& label, const std::string& pattern,
                            const std::vector<std::uint32_t>& layers);
  Result<void> take_layers(const PlannerNode& node, const std::string& label, const std::vector<std::uint32_t>& layers);

private:
  // Layers that went by one name. The first list is kept as it is: a second one is rare.
  struct Taken {
    std::vector<std::uint32_t> first;
    std::unordered_set<std::uint32_t> all;
  };
  static constexpr std::uint32_t kNoLayer = UINT32_MAX;
  // The layer that was there before; nothing where all are new.
  static std::optional<std::uint32_t> add(Taken& taken, bool fresh, const std::vector<std::uint32_t>& layers);

  std::uint64_t classes_ = 0, groups_ = 0, entries_ = 0, items_ = 0, class_layers_ = 0, group_layers_ = 0;
  std::unordered_map<std::string, Taken> tensors_, caches_;
  std::unordered_set<std::string> phases_; // with names
};

Result<void> check_facts(const PlannerNode& root, const plimsoll_facts& facts);

} // namespace plimsoll
