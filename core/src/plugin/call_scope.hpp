// A call into a planner while it runs: which planner speaks, and the ticket by which the sink of that call is found. A plugin gets a
// number, never the address of a sink: one that it keeps finds nothing later, and the call in which it is used fails instead of writing
// where nobody is. Threads: a scope and its ticket are of the thread that makes the call.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "plimsoll/result.hpp"

namespace plimsoll {

struct CallNote;
struct Plugin;
struct PlannerNode;

class CallScope {
public:
  // `sink` may be null: a call without one. Faults are left in `fault`; where that is null, with the call around this one.
  CallScope(void* sink, const PlannerNode& node, std::optional<Error>* fault);
  ~CallScope();
  CallScope(const CallScope&) = delete;
  CallScope& operator=(const CallScope&) = delete;

  void* ticket() const;
  // What went wrong in this call, or in the one that keeps its faults.
  const std::optional<Error>& fault() const { return *fault_; }

  // The sink of that ticket, while its call runs on this thread; otherwise nullptr, and the call that runs now has a fault.
  static void* sink_of(void* ticket) noexcept;
  // The call that runs now has this fault: "used a sink after its call". The first counts.
  static void misused(std::string_view what) noexcept;
  // The planner that this thread is in; nullptr on threads that plugins start.
  static const PlannerNode* speaker() noexcept;

private:
  std::uint64_t number_;
  void* sink_;
  const PlannerNode& node_;
  std::optional<Error> own_fault_;
  std::optional<Error>* fault_;
  CallScope* outer_;
};

// The plugin whose code runs and in which call, for what it logs, and for the note that is read when the process dies of it. Also while
// there is no planner yet.
class Speaking {
public:
  // `call` is static: "weights()".
  Speaking(Plugin& plugin, std::string_view call);
  ~Speaking();
  Speaking(const Speaking&) = delete;
  Speaking& operator=(const Speaking&) = delete;
  static Plugin* now() noexcept; // nullptr on threads that plugins start
  // From now on calls on this thread are written there, which must outlive them all.
  static void note_in(CallNote& note) noexcept;

private:
  void note() const noexcept;
  Plugin& plugin_;
  std::string_view call_;
  Speaking* outer_;
};

} // namespace plimsoll
