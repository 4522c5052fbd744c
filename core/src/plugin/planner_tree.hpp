// One model's planners in this process, made of its configuration: who plans it, whom he asks, and the views that they read.
// Owns all of them and destroys children before parents. Never asks a planner twice for what it declares.
// Threads: created on one thread; afterwards any.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "plugin/planners.hpp"
#include "plugin/stored_tensors.hpp"

namespace plimsoll {

class PlannerTree : public Planners {
public:
  // Finds the family of the config by its architectures, then its model_type, and creates its planner; where that one does not want it
  // the next that claims it. `where` names the config in errors; `stored` is what its planners may look at
  // meanwhile. The registry must outlive the tree. nullptr: one of its planners is of a plugin whose code must not run in this
  // process; none of that code has.
  static Result<std::unique_ptr<PlannerTree>> create(const Registry& registry, std::shared_ptr<const Json> config, std::string where,
                                                     TensorSource stored = {});
  ~PlannerTree() override;

  Result<void> weights(Collector& collector) const override;
  Result<void> kv(Collector& collector) const override;
  Result<plimsoll_facts> facts() const override;
  Result<void> entries(Collector& collector) const override;
  Result<void> activations(const plimsoll_request& request, Collector& collector) const override;
  Result<void> signal_buffers(const plimsoll_request& request, Collector& collector) const override;
  Result<std::uint64_t> max_batch(const plimsoll_request& request) const override;
  bool has_pipeline() const override;
  plimsoll_status describe(const PassPart& part, const plimsoll_pipeline_sink& sink, plimsoll_error* err) const override;

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

  PlannerTree(const Registry& registry, std::shared_ptr<const Json> config, std::string where, TensorSource stored)
      : Planners(registry, std::move(config), std::move(where)), stored_(std::in_place, std::move(stored)),
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
  // The pointer of `view` as the planner that is being created sees it.
  std::string place_of(const plimsoll_view& view) const;
  // Lets the root emit into `collector`; an error that the collector raised wins over the planner's own.
  template <class Call>
  Result<void> collect(Collector& collector, const Call& call) const;
  // The same of a call that emits nothing.
  template <class Call>
  Result<void> ask(const Call& call) const;
  Error explain(plimsoll_status status, const plimsoll_error& err, const PlannerNode& node) const;

  // The root's table of the interface, and what its functions take first; nullptr where it has none.
  const plimsoll_pipeline* pipeline(const void** object) const;

  std::vector<Making> creating_;
  std::optional<StoredTensors> stored_; // while the tree is made
  std::thread::id creator_;
  bool needs_worker_ = false;
};

} // namespace plimsoll
