// plimsoll/plugin.hpp - write a memory planner for a model family in a few lines of C++17.
//
// Derive from plimsoll::MemoryPlanner (or PagedMemoryPlanner), override what differs, end the file with
// PLIMSOLL_PLUGIN. What is not overridden is NULL in the table, so the host's default applies. Exceptions stop
// at the boundary and become error codes; integers that overflow throw instead of wrapping. Header only, needs
// nothing but the standard library. Planners are immutable: every method is const and may run on any thread.
#ifndef PLIMSOLL_PLUGIN_HPP
#define PLIMSOLL_PLUGIN_HPP

#include "plimsoll/plugin/declaring.hpp" // Weight, KvGroup, Request, Sink, Child
#include "plimsoll/plugin/glue.hpp"      // MemoryPlanner, PLIMSOLL_PLUGIN
#include "plimsoll/plugin/reading.hpp"   // Config, Bytes, Error

#endif
