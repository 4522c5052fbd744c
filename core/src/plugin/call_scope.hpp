// A call into a planner while it runs, and the ticket by which the sink of that call is found. A plugin gets a number, never the address
// of a sink: one that it keeps finds nothing later, and the call in which it is used fails instead of writing where nobody is.
// Threads: a scope and its ticket are of the thread that makes the call.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "plimsoll/result.hpp"

namespace plimsoll {

struct PlannerNode;

class CallScope {
public:
  // `sink` may be null: a call without one. A fault is left in `fault`, with the planner that `node` then points to.
  CallScope(void* sink, std::optional<Error>& fault, const PlannerNode* const& node);
  ~CallScope();
  CallScope(const CallScope&) = delete;
  CallScope& operator=(const CallScope&) = delete;

  void* ticket() const;
  // The sink of that ticket, while its call runs on this thread; otherwise nullptr, and the call that runs now has a fault.
  static void* sink_of(void* ticket) noexcept;
  // The call that runs now has this fault: "used a sink after its call". The first counts.
  static void misused(std::string_view what) noexcept;

private:
  std::uint64_t number_;
  void* sink_;
  std::optional<Error>& fault_;
  const PlannerNode* const& node_;
  CallScope* outer_;
};

} // namespace plimsoll
