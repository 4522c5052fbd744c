// See kubernetes.hpp. Kubernetes replaces $(NAME) in arguments, so that of others' words is written $$(.
#include "emit/kubernetes.hpp"

#include <fmt/format.h>

#include "emit/container.hpp"
#include "emit/yaml_text.hpp"
#include "engine/release.hpp"

namespace plimsoll {
namespace {

constexpr const char* kFileFolder = "/etc/engine";

std::string unexpanded(const std::string& word) {
  std::string out;
  for (std::size_t at = 0; at < word.size(); ++at) {
    if (word[at] == '$' && at + 1 < word.size() && word[at + 1] == '(') out += '$';
    out += word[at];
  }
  return out;
}

std::string replaced(std::string text, std::string_view what, const std::string& by) {
  if (const std::size_t at = text.find(what); at != std::string::npos) text.replace(at, what.size(), by);
  return text;
}

class Manifest {
public:
  Manifest(const Deployment& deployment, std::string image)
      : deployment_(deployment), deploy_(deployment.table->deploy), name_(deployment_name(deployment)), image_(std::move(image)) {}

  std::string write() {
    std::string out;
    for (const std::string& line : deployment_.summary) out += fmt::format("# {}\n", comment_text(line));
    if (!deployment_.written.file.empty()) out += document([&](YamlText& yaml) { config_map(yaml); }) + "---\n";
    out += document([&](YamlText& yaml) { deployment_.nodes > 1 ? worker_set(yaml) : single(yaml); });
    return out + "---\n" + document([&](YamlText& yaml) { service(yaml); });
  }

private:
  template <class Fill>
  static std::string document(Fill&& fill) {
    YamlText yaml;
    yaml.begin_map();
    fill(yaml);
    yaml.end_map();
    return yaml.text();
  }

  void head(YamlText& yaml, const char* version, const char* kind) const {
    yaml.entry("apiVersion", version);
    yaml.entry("kind", kind);
    yaml.key("metadata");
    yaml.begin_map();
    yaml.entry("name", name_);
    yaml.key("labels");
    labels(yaml);
    yaml.end_map();
  }

  void labels(YamlText& yaml) const {
    yaml.begin_map();
    yaml.entry("app.kubernetes.io/name", name_);
    yaml.end_map();
  }

  void config_map(YamlText& yaml) const {
    head(yaml, "v1", "ConfigMap");
    yaml.key("data");
    yaml.begin_map();
    yaml.key(kEngineFile);
    yaml.block(engine_file(deployment_));
    yaml.end_map();
  }

  void single(YamlText& yaml) const {
    head(yaml, "apps/v1", "Deployment");
    yaml.key("spec");
    yaml.begin_map();
    yaml.key("replicas");
    yaml.number(1);
    yaml.key("strategy");
    yaml.begin_map();
    yaml.entry("type", "Recreate", "the devices are free only when the old pod has gone");
    yaml.end_map();
    yaml.key("selector");
    yaml.begin_map();
    yaml.key("matchLabels");
    labels(yaml);
    yaml.end_map();
    yaml.key("template");
    pod(yaml, {}, true);
    yaml.end_map();
  }

  void worker_set(YamlText& yaml) const {
    head(yaml, "leaderworkerset.x-k8s.io/v1", "LeaderWorkerSet");
    yaml.key("spec");
    yaml.begin_map();
    yaml.key("replicas");
    yaml.number(1);
    yaml.key("leaderWorkerTemplate");
    yaml.begin_map();
    yaml.key("size");
    yaml.number(deployment_.nodes, fmt::format("nodes, {} devices on each", deployment_.devices_per_node));
    yaml.entry("restartPolicy", "RecreateGroupOnPodRestart");
    yaml.key("leaderTemplate");
    pod(yaml, of_nodes(), true);
    yaml.key("workerTemplate");
    std::vector<std::string> worker = of_nodes();
    worker.insert(worker.end(), deploy_.worker.begin(), deploy_.worker.end());
    pod(yaml, worker, false);
    yaml.end_map();
    yaml.end_map();
  }

  // Variables that the set gives its pods.
  std::vector<std::string> of_nodes() const {
    std::vector<std::string> out;
    for (const std::string& word : deploy_.nodes)
      out.push_back(replaced(replaced(replaced(word, "{nodes}", "$(LWS_GROUP_SIZE)"), "{rank}", "$(LWS_WORKER_INDEX)"), "{leader}",
                             "$(LWS_LEADER_ADDRESS)"));
    return out;
  }

  void pod(YamlText& yaml, const std::vector<std::string>& more, bool serves) const {
    yaml.begin_map();
    yaml.key("metadata");
    yaml.begin_map();
    yaml.key("labels");
    yaml.begin_map();
    yaml.entry("app.kubernetes.io/name", name_);
    if (deployment_.nodes > 1) yaml.entry("role", serves ? "leader" : "worker");
    yaml.end_map();
    yaml.end_map();
    yaml.key("spec");
    yaml.begin_map();
    if (!deployment_.kubernetes_card.empty()) {
      yaml.key("nodeSelector");
      yaml.begin_map();
      yaml.entry(deployment_.vendor == "amd" ? "amd.com/gpu.product-name" : "nvidia.com/gpu.product", deployment_.kubernetes_card,
                 "the card that was planned");
      yaml.end_map();
    }
    yaml.key("containers");
    yaml.begin_list();
    container(yaml, more, serves);
    yaml.end_list();
    volumes(yaml);
    yaml.end_map();
    yaml.end_map();
  }

  void container(YamlText& yaml, const std::vector<std::string>& more, bool serves) const {
    yaml.begin_map();
    yaml.entry("name", "engine");
    yaml.entry("image", image_);
    if (const std::vector<std::string> entry = container_entry(deployment_); !entry.empty()) {
      yaml.key("command");
      yaml.begin_list();
      for (const std::string& word : entry) yaml.text(word);
      yaml.end_list();
    }
    yaml.key("args");
    yaml.begin_list();
    for (const ContainerWord& word : container_arguments(deployment_, fmt::format("{}/{}", kFileFolder, kEngineFile)))
      yaml.text(unexpanded(word.word), word.why);
    for (const std::string& word : more) yaml.text(word);
    yaml.end_list();
    environment(yaml);
    if (serves) probes(yaml);
    resources(yaml);
    yaml.key("volumeMounts");
    yaml.begin_list();
    mount(yaml, "shm", "/dev/shm", false);
    if (!deployment_.model_folder.empty()) mount(yaml, "model", deployment_.model_folder, true);
    if (!deployment_.written.file.empty()) mount(yaml, "settings", kFileFolder, true);
    yaml.end_list();
    yaml.end_map();
  }

  void environment(YamlText& yaml) const {
    if (deployment_.written.variables.empty() && !deployment_.model_folder.empty()) return;
    yaml.key("env");
    yaml.begin_list();
    for (const WrittenFlag& variable : deployment_.written.variables) {
      yaml.begin_map();
      yaml.entry("name", variable.name);
      yaml.entry("value", unexpanded(variable.value.value_or("")), variable.why);
      yaml.end_map();
    }
    if (deployment_.model_folder.empty()) { // downloaded
      yaml.begin_map();
      yaml.entry("name", "HF_TOKEN");
      yaml.key("valueFrom");
      yaml.begin_map();
      yaml.key("secretKeyRef");
      yaml.begin_map();
      yaml.entry("name", "hf-token", "for models behind a licence");
      yaml.entry("key", "token");
      yaml.key("optional");
      yaml.truth(true);
      yaml.end_map();
      yaml.end_map();
      yaml.end_map();
    }
    yaml.end_list();
  }

  void probe(YamlText& yaml, const char* name, std::uint64_t period, std::uint64_t failures, const std::string& why) const {
    yaml.key(name);
    yaml.begin_map();
    yaml.key("httpGet");
    yaml.begin_map();
    yaml.entry("path", deploy_.health);
    yaml.key("port");
    yaml.number(deploy_.port);
    yaml.end_map();
    yaml.key("periodSeconds");
    yaml.number(period);
    yaml.key("failureThreshold");
    yaml.number(failures, why);
    yaml.end_map();
  }

  void probes(YamlText& yaml) const {
    yaml.key("ports");
    yaml.begin_list();
    yaml.begin_map();
    yaml.entry("name", "http");
    yaml.key("containerPort");
    yaml.number(deploy_.port);
    yaml.end_map();
    yaml.end_list();
    probe(yaml, "startupProbe", 10, 360, "an hour to download and load");
    probe(yaml, "readinessProbe", 10, 3, "");
  }

  void resources(YamlText& yaml) const {
    const std::string device = deployment_.vendor == "amd" ? "amd.com/gpu" : "nvidia.com/gpu";
    yaml.key("resources");
    yaml.begin_map();
    for (const char* const part : {"requests", "limits"}) {
      yaml.key(part);
      yaml.begin_map();
      yaml.key(device);
      yaml.number(deployment_.devices_per_node);
      if (std::string_view(part) == "requests" && deployment_.host_bytes > 0)
        yaml.entry("memory", fmt::format("{}Gi", (deployment_.host_bytes >> 30) + 1 + shared_memory_gib(deployment_)),
                   "what stays in host memory, and /dev/shm");
      yaml.end_map();
    }
    yaml.end_map();
  }

  static void mount(YamlText& yaml, const char* volume, const std::string& path, bool read_only) {
    yaml.begin_map();
    yaml.entry("name", volume);
    yaml.entry("mountPath", path);
    if (read_only) {
      yaml.key("readOnly");
      yaml.truth(true);
    }
    yaml.end_map();
  }

  void volumes(YamlText& yaml) const {
    yaml.key("volumes");
    yaml.begin_list();
    yaml.begin_map();
    yaml.entry("name", "shm");
    yaml.key("emptyDir");
    yaml.begin_map();
    yaml.entry("medium", "Memory");
    yaml.entry("sizeLimit", fmt::format("{}Gi", shared_memory_gib(deployment_)), "what ranks tell each other; 64 MiB are the default");
    yaml.end_map();
    yaml.end_map();
    if (!deployment_.model_folder.empty()) {
      yaml.begin_map();
      yaml.entry("name", "model");
      yaml.key("hostPath");
      yaml.begin_map();
      yaml.entry("path", deployment_.model_folder, "as on the machine that planned; a volume of the cluster is as good");
      yaml.entry("type", "Directory");
      yaml.end_map();
      yaml.end_map();
    }
    if (!deployment_.written.file.empty()) {
      yaml.begin_map();
      yaml.entry("name", "settings");
      yaml.key("configMap");
      yaml.begin_map();
      yaml.entry("name", name_);
      yaml.end_map();
      yaml.end_map();
    }
    yaml.end_list();
  }

  void service(YamlText& yaml) const {
    head(yaml, "v1", "Service");
    yaml.key("spec");
    yaml.begin_map();
    yaml.key("selector");
    yaml.begin_map();
    yaml.entry("app.kubernetes.io/name", name_);
    if (deployment_.nodes > 1) yaml.entry("role", "leader");
    yaml.end_map();
    yaml.key("ports");
    yaml.begin_list();
    yaml.begin_map();
    yaml.entry("name", "http");
    yaml.key("port");
    yaml.number(deploy_.port);
    yaml.key("targetPort");
    yaml.number(deploy_.port);
    yaml.end_map();
    yaml.end_list();
    yaml.end_map();
  }

  const Deployment& deployment_;
  const FlagDeploy& deploy_;
  std::string name_, image_;
};

} // namespace

Result<std::string> write_kubernetes(const Deployment& deployment) {
  PLIMSOLL_ASSIGN(const std::string image, deployment_image(deployment));
  const FlagDeploy& deploy = deployment.table->deploy;
  if (deployment.nodes > 1) {
    const auto release = parse_release(deployment.release), from = parse_release(deploy.nodes_from);
    if (deploy.nodes.empty() || (release && from && *release < *from))
      return fail(ErrorCode::kBadRequest,
                  fmt::format("how {} {} is started on several nodes is not known", deployment.table->engine, deployment.release),
                  "--emit k8s");
    if (deployment.replicas > 1 && deployment.table->find_flag("--headless") != nullptr)
      return fail(ErrorCode::kBadRequest, "replicas on several nodes start one by one; plan one of them, or give --emit ray", "--emit k8s");
  }
  return Manifest(deployment, image).write();
}

} // namespace plimsoll
