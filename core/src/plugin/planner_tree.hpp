// One model's planners: the root and everyone it delegates to, with the views they read.
// Owns all of them and destroys children before parents. Never asks a planner twice for what it declares.
// Threads: created on one thread; afterwards any.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.hpp"
#include "plimsoll/abi.h"
#include "plugin/registry.hpp"

namespace plimsoll {
class PlannerTree;
}

// What a plugin sees as an opaque handle: a config subtree and how its tensors are called.
struct plimsoll_view {
  plimsoll::PlannerTree* tree = nullptr; // nullptr: a plain document, no delegation
  const plimsoll::Json* node = nullptr;
  const plimsoll_view* parent = nullptr;
  std::string pointer; // relative to the parent
  const plimsoll::Json* defaults = nullptr;
  std::vector<std::pair<std::string, std::string>> renames;

  // The value at `pointer`: the config's own, for a few keys the outer config's, else the class default, of this part's
  // model_type or of the outer one's for this part.
  const plimsoll::Json* find(std::string_view pointer) const;
  std::string rename(std::string_view tensor) const;
  std::string full_pointer() const { return (parent == nullptr ? std::string() : parent->full_pointer()) + pointer; }
};

namespace plimsoll {

// A planner in the tree. Plugins receive it as an opaque plimsoll_planner of the host's own table.
struct PlannerNode {
  FamilyRef family;
  const plimsoll_family* table = nullptr; // the library's own words about the family
  const plimsoll_planner_api* api = nullptr;
  plimsoll_planner* self = nullptr;
  const plimsoll_view* view = nullptr;
  std::string place; // of the view, below that of the planner that asked for this one

  const std::string& id() const { return family.family->id; }
};

// Receives what planners emit. `node` is the planner that emits, also where its parents relay it.
class Collector {
public:
  virtual ~Collector() = default;
  virtual Result<void> on_weight(const PlannerNode& node, const plimsoll_weight& weight);
  virtual Result<void> on_kv(const PlannerNode& node, const plimsoll_kv_group& group);
  virtual Result<void> on_item(const PlannerNode& node, const plimsoll_item& item);
};

class PlannerTree {
public:
  // Finds the family of the config by its architectures, then its model_type, and creates its planner.
  // `where` names the config in errors. The registry must outlive the tree.
  static Result<std::unique_ptr<PlannerTree>> create(const Registry& registry, std::shared_ptr<const Json> config, std::string where);
  ~PlannerTree();
  PlannerTree(const PlannerTree&) = delete;
  PlannerTree& operator=(const PlannerTree&) = delete;

  const PlannerNode& root() const { return *root_; }
  // The families that plan this model, the root's and those it delegates to, each once.
  std::vector<const FamilyManifest*> families() const;
  const std::vector<std::unique_ptr<PlannerNode>>& nodes() const { return nodes_; }
  // Pointers of the parts of the config that the root delegates and of the objects around them, outer ones first: "/text_config".
  std::vector<std::string> delegated_parts() const;
  const plimsoll_view& view() const { return views_.front(); }
  const std::string& where() const { return where_; }
  const std::string& architecture() const { return architecture_; }
  // A class that no manifest names, planned by its model_type.
  struct AssumedClass {
    std::string architecture, model_type, family, where; // where: the pointer of its part of the configuration, empty for the whole
  };
  const std::vector<AssumedClass>& assumed_classes() const { return assumed_; }

  Result<void> weights(Collector& collector) const;
  Result<void> kv(Collector& collector) const;
  Result<plimsoll_facts> facts() const;
  Result<plimsoll_vision_entry> vision_entry() const;
  Result<void> activations(const plimsoll_request& request, Collector& collector) const;
  // False where the planner leaves it to the family's policy.
  bool has_signal_buffers() const;
  Result<void> signal_buffers(const plimsoll_request& request, Collector& collector) const;
  Result<std::uint64_t> max_batch(const plimsoll_request& request) const;

  // For the host table.
  plimsoll_status make_subview(const plimsoll_view* view, std::string_view pointer, const plimsoll_rename* renames, std::uint64_t n_renames,
                               const plimsoll_view** out);
  plimsoll_status make_child(const plimsoll_view* view, const char* family, const plimsoll_planner_api** api,
                             const plimsoll_planner** child, plimsoll_error* err);

private:
  PlannerTree(const Registry& registry, std::shared_ptr<const Json> config, std::string where)
      : registry_(registry), config_(std::move(config)), where_(std::move(where)) {}
  Result<FamilyRef> family_of(const plimsoll_view& view, std::string* architecture);
  void assume(const plimsoll_view& view, const std::string& architecture, const std::string& model_type, const FamilyRef& family);
  Result<PlannerNode*> create_node(const plimsoll_view& view, const FamilyRef& family);
  // What the plugin that plans a view fills in there; others' defaults do not count.
  static const Json* defaults_of(const Json& node, const Plugin& plugin);
  // The pointer of `view` as the planner that is being created sees it.
  std::string place_of(const plimsoll_view& view) const;
  // Lets the root emit into `collector`; an error that the collector raised wins over the planner's own.
  template <class Call>
  Result<void> collect(Collector& collector, const Call& call) const;
  Error explain(plimsoll_status status, const plimsoll_error& err, const PlannerNode& node) const;

  const Registry& registry_;
  std::shared_ptr<const Json> config_;
  std::string where_, architecture_;
  std::vector<AssumedClass> assumed_;
  std::deque<plimsoll_view> views_;
  std::vector<std::unique_ptr<PlannerNode>> nodes_; // in order of completion: children first
  std::vector<std::pair<const plimsoll_view*, FamilyRef>> creating_;
  const PlannerNode* root_ = nullptr;
};

} // namespace plimsoll
