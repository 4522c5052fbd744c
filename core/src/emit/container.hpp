// What containers of an engine have in common, for Kubernetes and Compose. Threads: pure functions.
#pragma once

#include <string>
#include <vector>

#include "emit/deployment.hpp"

namespace plimsoll {

// A word of the arguments, and why.
struct ContainerWord {
  std::string word, why;
};

// What the image is told to run in place of its own; empty where it runs the engine by itself.
std::vector<std::string> container_entry(const Deployment& deployment);
// Everything behind it: model, flags, where it listens. `file`: where the file of settings is mounted.
std::vector<ContainerWord> container_arguments(const Deployment& deployment, const std::string& file);
// Shared memory for what ranks tell each other, in GiB.
std::uint64_t shared_memory_gib(const Deployment& deployment);

} // namespace plimsoll
