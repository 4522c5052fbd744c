// A plan for Kubernetes: a Deployment and its Service, or over several nodes a LeaderWorkerSet. Called by host/emit.cpp. Threads: pure
// function.
#pragma once

#include <string>

#include "emit/deployment.hpp"

namespace plimsoll {

// kBadRequest where such devices have no image, or the engine is not started on several nodes like this.
Result<std::string> write_kubernetes(const Deployment& deployment);

} // namespace plimsoll
