// See compose.hpp. Compose replaces $NAME everywhere, so a dollar is written as two.
#include "emit/compose.hpp"

#include <fmt/format.h>

#include "emit/container.hpp"
#include "emit/yaml_text.hpp"

namespace plimsoll {
namespace {

constexpr const char* kMountedFile = "/etc/engine.yaml";

std::string uninterpolated(const std::string& word) {
  std::string out;
  for (const char c : word) out += c == '$' ? std::string("$$") : std::string(1, c);
  return out;
}

void devices(YamlText& yaml, const Deployment& deployment) {
  if (deployment.vendor == "amd") {
    yaml.key("devices");
    yaml.begin_list();
    yaml.text("/dev/kfd:/dev/kfd");
    yaml.text("/dev/dri:/dev/dri", fmt::format("{} devices are planned; all of the machine are visible", deployment.devices_per_node));
    yaml.end_list();
    yaml.key("group_add");
    yaml.begin_list();
    yaml.text("video");
    yaml.end_list();
    yaml.key("security_opt");
    yaml.begin_list();
    yaml.text("seccomp=unconfined");
    yaml.end_list();
    return;
  }
  yaml.key("deploy");
  yaml.begin_map();
  yaml.key("resources");
  yaml.begin_map();
  yaml.key("reservations");
  yaml.begin_map();
  yaml.key("devices");
  yaml.begin_list();
  yaml.begin_map();
  yaml.entry("driver", "nvidia");
  yaml.key("count");
  yaml.number(deployment.devices_per_node, "devices that were planned");
  yaml.key("capabilities");
  yaml.begin_list();
  yaml.text("gpu");
  yaml.end_list();
  yaml.end_map();
  yaml.end_list();
  yaml.end_map();
  yaml.end_map();
  yaml.end_map();
}

void service(YamlText& yaml, const Deployment& deployment, const std::string& image) {
  const FlagDeploy& deploy = deployment.table->deploy;
  yaml.begin_map();
  yaml.entry("image", image);
  if (const std::vector<std::string> entry = container_entry(deployment); !entry.empty()) {
    yaml.key("entrypoint");
    yaml.begin_list();
    for (const std::string& word : entry) yaml.text(word);
    yaml.end_list();
  }
  yaml.key("command");
  yaml.begin_list();
  for (const ContainerWord& word : container_arguments(deployment, kMountedFile)) yaml.text(uninterpolated(word.word), word.why);
  yaml.end_list();
  if (!deployment.written.variables.empty() || deployment.model_folder.empty()) {
    yaml.key("environment");
    yaml.begin_map();
    for (const WrittenFlag& variable : deployment.written.variables)
      yaml.entry(variable.name, uninterpolated(variable.value.value_or("")), variable.why);
    if (deployment.model_folder.empty()) {
      yaml.entry("HF_TOKEN", "${HF_TOKEN:-}", "for models behind a licence");
      yaml.entry("HF_HOME", "/cache");
    }
    yaml.end_map();
  }
  yaml.key("ports");
  yaml.begin_list();
  yaml.text(fmt::format("{0}:{0}", deploy.port));
  yaml.end_list();
  yaml.entry("ipc", "host", "ranks tell each other through shared memory");
  yaml.entry("shm_size", fmt::format("{}gb", shared_memory_gib(deployment)), "where ipc is not the host's");
  yaml.key("volumes");
  yaml.begin_list();
  if (deployment.model_folder.empty()) yaml.text("${HF_HOME:-~/.cache/huggingface}:/cache", "downloads are kept");
  else {
    yaml.begin_map();
    yaml.entry("type", "bind");
    yaml.entry("source", uninterpolated(deployment.model_folder));
    yaml.entry("target", uninterpolated(deployment.model_folder));
    yaml.key("read_only");
    yaml.truth(true);
    yaml.end_map();
  }
  yaml.end_list();
  if (!deployment.written.file.empty()) {
    yaml.key("configs");
    yaml.begin_list();
    yaml.begin_map();
    yaml.entry("source", "engine");
    yaml.entry("target", kMountedFile);
    yaml.end_map();
    yaml.end_list();
  }
  devices(yaml, deployment);
  yaml.entry("restart", "unless-stopped");
  yaml.end_map();
}

} // namespace

Result<std::string> write_compose(const Deployment& deployment) {
  PLIMSOLL_ASSIGN(const std::string image, deployment_image(deployment));
  if (deployment.nodes > 1)
    return fail(ErrorCode::kBadRequest, "Compose starts containers on one machine; --emit k8s and ray take several", "--emit compose");
  std::string out;
  for (const std::string& line : deployment.summary) out += fmt::format("# {}\n", comment_text(line));
  YamlText yaml;
  yaml.begin_map();
  yaml.key("services");
  yaml.begin_map();
  yaml.key(deployment_name(deployment));
  service(yaml, deployment, image);
  yaml.end_map();
  if (!deployment.written.file.empty()) {
    yaml.key("configs");
    yaml.begin_map();
    yaml.key("engine");
    yaml.begin_map();
    yaml.key("content");
    yaml.block(uninterpolated(engine_file(deployment)));
    yaml.end_map();
    yaml.end_map();
  }
  yaml.end_map();
  return out + yaml.text();
}

} // namespace plimsoll
