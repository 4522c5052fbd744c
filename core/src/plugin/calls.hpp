// Calls into planners, and the table through which one planner calls another. Whatever a plugin leaves out gets the host's default;
// what it answers is checked before anybody reads it. Threads: any; each call on its own.
#pragma once

#include "plugin/planner_node.hpp"

namespace plimsoll {

plimsoll_error blank_error();
// The texts of an error, cut where a plugin forgot the terminator.
std::string where_of(const plimsoll_error& err);
std::string message_of(const plimsoll_error& err);
// Fills *err where there is room for it.
plimsoll_status report(plimsoll_error* err, plimsoll_status code, std::string_view where, std::string_view message);

plimsoll_status call_weights(const PlannerNode& node, std::uint32_t aspects, const plimsoll_sink* out, plimsoll_error* err) noexcept;
plimsoll_status call_kv(const PlannerNode& node, std::uint32_t aspects, const plimsoll_sink* out, plimsoll_error* err) noexcept;
plimsoll_status call_facts(const PlannerNode& node, plimsoll_facts* out, plimsoll_error* err) noexcept;
plimsoll_status call_entries(const PlannerNode& node, std::uint32_t aspects, const plimsoll_sink* out, plimsoll_error* err) noexcept;
plimsoll_status call_activations(const PlannerNode& node, const plimsoll_request& request, const plimsoll_sink* out,
                                 plimsoll_error* err) noexcept;
bool says_facts(const PlannerNode& node);
bool prices_signal_buffers(const PlannerNode& node);
bool limits_batches(const PlannerNode& node);
plimsoll_status call_signal_buffers(const PlannerNode& node, const plimsoll_request& request, const plimsoll_sink* out,
                                    plimsoll_error* err) noexcept;
plimsoll_status call_max_batch(const PlannerNode& node, const plimsoll_request& request, std::uint64_t* out, plimsoll_error* err) noexcept;
// nullptr where the planner has no interface of that id, or it is no id.
const void* call_query(const PlannerNode& node, plimsoll_str id, const void** object) noexcept;

// The host's own, complete table: what a parent calls on its child, whose handle is the PlannerNode.
const plimsoll_planner_api& child_table();
inline const plimsoll_planner* handle_of(const PlannerNode& node) { return reinterpret_cast<const plimsoll_planner*>(&node); }

} // namespace plimsoll
