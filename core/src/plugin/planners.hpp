// One model's planners, the root and everyone it delegates to, whoever runs them: a PlannerTree in this process, or IsolatedPlanners in
// a worker. What they are is data, read freely; what they declare and price is asked of them.
// Threads: made on one thread; afterwards any.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/json.hpp"
#include "plimsoll/pipeline.h"
#include "plugin/planner_node.hpp"
#include "plugin/sinks.hpp"

namespace plimsoll {

// A class that no manifest names, planned by its model_type.
struct AssumedClass {
  std::string architecture, model_type, family, where; // where: the pointer of its part of the configuration, empty for the whole
};

// A part of a forward pass that somebody is to describe.
struct PassPart {
  std::uint32_t aspects, layer, in, out;
};

class Planners {
public:
  virtual ~Planners() = default;
  Planners(const Planners&) = delete;
  Planners& operator=(const Planners&) = delete;

  const PlannerNode& root() const { return *root_; }
  // The families that plan this model, the root's and those it delegates to, each once.
  std::vector<const FamilyManifest*> families() const;
  const std::vector<std::unique_ptr<PlannerNode>>& nodes() const { return nodes_; }
  // Types and storage formats of the plugins that plan this model, or whose aliases it goes by; each plugin's once.
  std::vector<const VendorFormats*> vendor_formats() const;
  // Pointers of the parts of the config that the root delegates and of the objects around them, outer ones first: "/text_config".
  std::vector<std::string> delegated_parts() const;
  const plimsoll_view& view() const { return views_.front(); }
  const std::deque<plimsoll_view>& views() const { return views_; } // parents before those that have them
  const std::string& where() const { return where_; }
  const std::string& architecture() const { return architecture_; }
  const std::vector<AssumedClass>& assumed_classes() const { return assumed_; }

  virtual Result<void> weights(Collector& collector) const = 0;
  virtual Result<void> kv(Collector& collector) const = 0;
  virtual Result<plimsoll_facts> facts() const = 0;
  virtual Result<void> entries(Collector& collector) const = 0;
  virtual Result<void> activations(const plimsoll_request& request, Collector& collector) const = 0;
  // Where the root leaves them to the family's policy, its has_signal_buffers is false.
  virtual Result<void> signal_buffers(const plimsoll_request& request, Collector& collector) const = 0;
  virtual Result<std::uint64_t> max_batch(const plimsoll_request& request) const = 0;
  // Whether the root has the interface "plimsoll.pipeline/1".
  virtual bool has_pipeline() const = 0;
  // Lets it describe a part into `sink`; for who has_pipeline. Inside a CallScope of the caller's.
  virtual plimsoll_status describe(const PassPart& part, const plimsoll_pipeline_sink& sink, plimsoll_error* err) const = 0;

protected:
  // The registry must outlive this. `where` names the config in errors.
  Planners(const Registry& registry, std::shared_ptr<const Json> config, std::string where)
      : registry_(registry), config_(std::move(config)), where_(std::move(where)) {}
  // What the plugin that plans a view fills in there; others' defaults do not count.
  static const Json* defaults_of(const plimsoll_view& view, const Plugin& plugin);

  // NOLINTBEGIN(misc-non-private-member-variables-in-classes): for those who make it
  const Registry& registry_;
  std::shared_ptr<const Json> config_;
  std::string where_, architecture_;
  std::vector<AssumedClass> assumed_;
  std::deque<plimsoll_view> views_;
  std::vector<std::unique_ptr<PlannerNode>> nodes_; // in order of completion: children first
  const PlannerNode* root_ = nullptr;
  // NOLINTEND(misc-non-private-member-variables-in-classes)
};

} // namespace plimsoll
