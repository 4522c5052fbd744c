// A plan for Docker Compose, on one machine. Called by host/emit.cpp. Threads: pure function.
#pragma once

#include <string>

#include "emit/deployment.hpp"

namespace plimsoll {

// kBadRequest where such devices have no image, or there are several nodes.
Result<std::string> write_compose(const Deployment& deployment);

} // namespace plimsoll
