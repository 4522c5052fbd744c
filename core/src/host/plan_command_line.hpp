// The command line that plans a request: `plimsoll plan MODEL ...`, for people to run again. For advice and for fit. Says nothing that the
// command would not take. Threads: pure functions.
#pragma once

#include <string>

#include "model/loaded_model.hpp"
#include "plugin/registry.hpp"

namespace plimsoll {

// `draft` may be null; `options` are those of the context that plans, and `online` whether it fetches models of URLs.
std::string plan_command_line(const RegistryOptions& options, const Model::Data& model, const PlanRequest& request,
                              const Model::Data* draft, bool online = false);

} // namespace plimsoll
