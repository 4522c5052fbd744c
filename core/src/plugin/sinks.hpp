// Where planners put what they declare and price: the host's end of every sink. That of a call of the root hands it to a Collector;
// that of a child's call drops what was not asked for and hands the rest on to whoever asked. Threads: those of the call.
#pragma once

#include <cstdint>
#include <optional>

#include "plugin/call_scope.hpp"
#include "plugin/planner_node.hpp"

namespace plimsoll {

// Receives what planners emit. `node` is the planner that emits, also where its parents relay it.
class Collector {
public:
  virtual ~Collector() = default;
  virtual Result<void> on_weight(const PlannerNode& node, const plimsoll_weight& weight);
  virtual Result<void> on_kv(const PlannerNode& node, const plimsoll_kv_group& group);
  virtual Result<void> on_entry(const PlannerNode& node, const plimsoll_entry& entry);
  virtual Result<void> on_item(const PlannerNode& node, const plimsoll_item& item);
};

class HostSink {
public:
  // For one call of the root planner.
  HostSink(Collector& collector, const PlannerNode& root);
  // For one call of a child: what has one of `aspects` goes on to the asking planner's sink.
  HostSink(const plimsoll_sink& onward, std::uint32_t aspects, const PlannerNode& child);

  const plimsoll_sink* raw() const { return &raw_; }
  // The first thing that the collector refused, or a rule that was broken during the call.
  const std::optional<Error>& error() const { return scope_.fault(); }

private:
  template <class What>
  static plimsoll_status take(void* ctx, const What* what) noexcept;
  template <class What>
  plimsoll_status collect(const What& what) noexcept;

  Collector* collector_ = nullptr;
  const plimsoll_sink* onward_ = nullptr;
  std::uint32_t aspects_ = PLIMSOLL_ASPECT_ALL;
  const PlannerNode& node_;
  std::optional<Error> error_;
  plimsoll_sink raw_;
  CallScope scope_;
};

// Whether a planner may hand this to its child.
bool is_whole(const plimsoll_sink* sink);

} // namespace plimsoll
