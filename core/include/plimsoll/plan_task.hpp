// plimsoll/plan_task.hpp - a model and a request out of one JSON object: what the C interfaces take. Threads: [any].
#pragma once

#include <span>

#include "plimsoll/export.hpp"
#include "plimsoll/host.hpp"
#include "plimsoll/options.hpp"

namespace plimsoll {

struct PlanTask {
  Model model;
  PlanRequest request;
};

// `json`: an object of "model" or "config", "draft", "explain" and the options of a plan, as plimsoll_plan_json in plimsoll/host.h says;
// loads the model. What it leaves out is as in `usual`. kBadRequest with a JSON pointer for what the object has wrong, else what loading
// answers.
PLIMSOLL_API Result<PlanTask> read_plan_task(const Context& context, const char* json, PlanRequest usual = {});

// The same in two steps, for objects that hold more. The keys beside a plan's options: "model", "config", "draft", "explain".
PLIMSOLL_API std::span<const OptionInfo> plan_task_options() noexcept;
// `options` are those and a plan's own, each with its place.
PLIMSOLL_API Result<PlanTask> make_plan_task(const Context& context, std::span<const OptionValue> options, PlanRequest usual = {});

} // namespace plimsoll
