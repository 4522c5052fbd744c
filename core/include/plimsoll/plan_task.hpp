// plimsoll/plan_task.hpp - a model and a request out of one JSON object: what the C interfaces take. Threads: [any].
#pragma once

#include "plimsoll/export.hpp"
#include "plimsoll/host.hpp"

namespace plimsoll {

struct PlanTask {
  Model model;
  PlanRequest request;
};

// `json`: an object of "model" or "config", "draft", "explain" and the options of a plan, as plimsoll_plan_json in plimsoll/host.h says;
// loads the model. What it leaves out is as in `usual`. kBadRequest with a JSON pointer for what the object has wrong, else what loading
// answers.
PLIMSOLL_API Result<PlanTask> read_plan_task(const Context& context, const char* json, PlanRequest usual = {});

} // namespace plimsoll
