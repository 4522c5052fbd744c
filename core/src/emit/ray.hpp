// A plan for Ray Serve, which runs vLLM: an application of ray.serve.llm with its placement group, for `serve deploy`. Called by
// host/emit.cpp. Threads: pure function.
#pragma once

#include <string>

#include "emit/deployment.hpp"

namespace plimsoll {

// kBadRequest for other engines.
Result<std::string> write_ray(const Deployment& deployment);

} // namespace plimsoll
