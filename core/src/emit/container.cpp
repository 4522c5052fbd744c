#include "emit/container.hpp"

namespace plimsoll {

std::vector<std::string> container_entry(const Deployment& deployment) {
  return deployment.table->deploy.image_starts_it ? std::vector<std::string>() : deployment.table->deploy.command;
}

std::vector<ContainerWord> container_arguments(const Deployment& deployment, const std::string& file) {
  const FlagDeploy& deploy = deployment.table->deploy;
  std::vector<ContainerWord> out;
  for (const WrittenFlag& flag : engine_arguments(deployment)) {
    out.push_back({flag.name, flag.why});
    if (flag.value) out.push_back({*flag.value, ""});
  }
  if (!deployment.written.file.empty()) {
    out.push_back({deploy.file_flag, "settings that are no flags"});
    out.push_back({file, ""});
  }
  for (std::size_t at = 0; at < deploy.arguments.size(); ++at) out.push_back({deploy.arguments[at], at == 0 ? "where it listens" : ""});
  return out;
}

std::uint64_t shared_memory_gib(const Deployment& deployment) { return deployment.devices_per_node > 1 ? 16 : 2; }

} // namespace plimsoll
