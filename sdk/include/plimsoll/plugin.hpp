// plimsoll/plugin.hpp - write a memory planner for a model family in a few lines of C++17.
//
// Derive from plimsoll::MemoryPlanner (or PagedMemoryPlanner, DelegatingPlanner; PipelinePlanner where the model shall run), override what
// differs, end the file with PLIMSOLL_PLUGIN. What is not overridden is NULL in the table, so the host's default applies. Exceptions stop
// at the boundary and become error codes; integers that overflow throw instead of wrapping. Header only, needs
// nothing but the standard library. Planners are immutable: every method is const and may run on any thread.
#ifndef PLIMSOLL_PLUGIN_HPP
#define PLIMSOLL_PLUGIN_HPP

#include "plimsoll/plugin/declaring.hpp"  // Weight, KvGroup, Entry, Item, Request, Sink
#include "plimsoll/plugin/delegating.hpp" // Child, as, renamed, of_family
#include "plimsoll/plugin/glue.hpp"       // MemoryPlanner, DelegatingPlanner, PLIMSOLL_PLUGIN
#include "plimsoll/plugin/ops.hpp"        // op::Norm, op::Linear and the other ops of a forward pass
#include "plimsoll/plugin/pipeline.hpp"   // Pipeline, PipelinePlanner
#include "plimsoll/plugin/reading.hpp"    // Config, Bytes, Error
#include "plimsoll/plugin/rope.hpp"       // RopeKeys, rope::yarn
#include "plimsoll/plugin/types.hpp"      // Aspect, Stage, Role, KvKind, Modality

#endif
