// One model's planners: the root and everyone it delegates to, with the views they read.
// Owns all of them and destroys children before parents. Never asks a planner twice for what it declares.
// Threads: created on one thread; afterwards any.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "base/json.hpp"
#include "plugin/planner_node.hpp"
#include "plugin/sinks.hpp"
#include "plugin/stored_tensors.hpp"

namespace plimsoll {

class PlannerTree {
public:
  // Finds the family of the config by its architectures, then its model_type, and creates its planner; where that one does not want it
  // the next that claims it. `where` names the config in errors; `checkpoint`, which may be null, is what its planners may look
  // at meanwhile. The registry must outlive the tree.
  static Result<std::unique_ptr<PlannerTree>> create(const Registry& registry, std::shared_ptr<const Json> config, std::string where,
                                                     const Checkpoint* checkpoint = nullptr);
  ~PlannerTree();
  PlannerTree(const PlannerTree&) = delete;
  PlannerTree& operator=(const PlannerTree&) = delete;

  const PlannerNode& root() const { return *root_; }
  // The families that plan this model, the root's and those it delegates to, each once.
  std::vector<const FamilyManifest*> families() const;
  const std::vector<std::unique_ptr<PlannerNode>>& nodes() const { return nodes_; }
  // Types and storage formats of the plugins that plan this model, or whose aliases it goes by; each plugin's once.
  std::vector<const VendorFormats*> vendor_formats() const;
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
  Result<void> entries(Collector& collector) const;
  Result<void> activations(const plimsoll_request& request, Collector& collector) const;
  // False where the planner leaves it to the family's policy.
  bool has_signal_buffers() const;
  Result<void> signal_buffers(const plimsoll_request& request, Collector& collector) const;
  Result<std::uint64_t> max_batch(const plimsoll_request& request) const;
  // The root's interface of that id; nullptr where it has none.
  const void* query(std::string_view id, const void** object) const;

  // For the host table: R-13 holds for all of them.
  plimsoll_status make_subview(const plimsoll_view* view, std::string_view pointer, const plimsoll_rename* const* renames,
                               std::uint64_t n_renames, const plimsoll_view** out);
  plimsoll_status make_child(const plimsoll_view* view, plimsoll_str family, plimsoll_str as, const plimsoll_planner_api** api,
                             const plimsoll_planner** child, plimsoll_error* err);
  StoredTensors* stored_tensors(); // nullptr outside create

private:
  // Who may plan a view, and under which name it was found.
  struct Claim {
    FamilyRef family;
    std::string name;
    bool assumed = false; // by the model_type of a class that nobody knows
  };
  // A planner that is being made.
  struct Making {
    const plimsoll_view* view;
    FamilyRef family;
  };

  PlannerTree(const Registry& registry, std::shared_ptr<const Json> config, std::string where, const Checkpoint* checkpoint)
      : registry_(registry), config_(std::move(config)), where_(std::move(where)), stored_(std::in_place, checkpoint),
        creator_(std::this_thread::get_id()) {}
  bool in_create(std::string_view what) const;
  // By what the view says of itself, best first, never none.
  Result<std::vector<Claim>> claims_of(const plimsoll_view& view) const;
  // By a model_type that a planner names.
  Result<std::vector<Claim>> claims_of_type(const plimsoll_view& view, const std::string& type) const;
  // The first of them that takes the view on.
  Result<PlannerNode*> first_of(const std::vector<Claim>& claims, plimsoll_view& view, std::string* name);
  Result<PlannerNode*> create_node(const plimsoll_view& view, const FamilyRef& family);
  // Says before the classes from `at` on that the view's is one.
  void assume(const plimsoll_view& view, const Claim& claim, std::size_t at);
  // Forgets the planners that were made since there were `n_nodes`.
  void drop_planners_from(std::size_t n_nodes);
  // What the plugin that plans a view fills in there; others' defaults do not count.
  static const Json* defaults_of(const plimsoll_view& view, const Plugin& plugin);
  // The pointer of `view` as the planner that is being created sees it.
  std::string place_of(const plimsoll_view& view) const;
  // Lets the root emit into `collector`; an error that the collector raised wins over the planner's own.
  template <class Call>
  Result<void> collect(Collector& collector, const Call& call) const;
  // The same of a call that emits nothing.
  template <class Call>
  Result<void> ask(const Call& call) const;
  Error explain(plimsoll_status status, const plimsoll_error& err, const PlannerNode& node) const;

  const Registry& registry_;
  std::shared_ptr<const Json> config_;
  std::string where_, architecture_;
  std::vector<AssumedClass> assumed_;
  std::deque<plimsoll_view> views_;
  std::vector<std::unique_ptr<PlannerNode>> nodes_; // in order of completion: children first
  std::vector<Making> creating_;
  std::optional<StoredTensors> stored_; // while the tree is made
  std::thread::id creator_;
  const PlannerNode* root_ = nullptr;
};

} // namespace plimsoll
