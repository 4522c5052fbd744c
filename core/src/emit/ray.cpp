#include "emit/ray.hpp"

#include <fmt/format.h>

#include "base/json.hpp"
#include "emit/yaml_text.hpp"

namespace plimsoll {
namespace {

// --max-model-len is max_model_len of the engine's own arguments.
std::string keyword(const std::string& flag, bool& negated) {
  std::string out = flag.substr(flag.find_first_not_of('-'));
  negated = out.starts_with("no-");
  if (negated) out.erase(0, 3);
  for (char& c : out)
    if (c == '-') c = '_';
  return out;
}

void value_of(YamlText& yaml, const Json& value) {
  if (value.is_object()) {
    yaml.begin_map();
    for (const auto& [key, part] : value.items()) {
      yaml.key(key);
      value_of(yaml, part);
    }
    yaml.end_map();
  } else if (value.is_string()) {
    yaml.text(value.get<std::string>());
  } else {
    yaml.plain(value.dump());
  }
}

void engine_keywords(YamlText& yaml, const Deployment& deployment) {
  yaml.key("engine_kwargs");
  yaml.begin_map();
  for (const WrittenFlag& flag : deployment.written.flags) {
    if (!flag.name.starts_with("--")) continue; // a further word of a list
    bool negated = false;
    const std::string name = keyword(flag.name, negated);
    if (name == "data_parallel_size" || name == "nnodes") continue; // replicas are Ray's
    yaml.key(name);
    if (!flag.value) {
      yaml.plain(negated ? "false" : "true", flag.why);
    } else if (flag.value->starts_with('{')) {
      const auto document = parse_json(*flag.value, flag.name, ErrorCode::kInternal);
      if (document) value_of(yaml, *document);
      else yaml.text(*flag.value, flag.why);
    } else {
      yaml.plain(*flag.value, flag.why);
    }
  }
  yaml.end_map();
}

} // namespace

Result<std::string> write_ray(const Deployment& deployment) {
  if (deployment.table->find_flag("--distributed-executor-backend") == nullptr)
    return fail(ErrorCode::kBadRequest, fmt::format("Ray Serve runs vLLM, not {}; --emit k8s takes it", deployment.table->engine),
                "--emit ray");
  for (const WrittenFlag& flag : deployment.written.flags)
    if (deployment.replicas > 1 && flag.name == "--enable-expert-parallel")
      return fail(ErrorCode::kBadRequest,
                  "replicas that share experts start together, which this file does not say; plan --dp 1, or without --ep", "--emit ray");
  std::string out;
  for (const std::string& line : deployment.summary) out += fmt::format("# {}\n", comment_text(line));
  YamlText yaml;
  yaml.begin_map();
  yaml.key("applications");
  yaml.begin_list();
  yaml.begin_map();
  yaml.entry("name", deployment_name(deployment));
  yaml.entry("route_prefix", "/");
  yaml.entry("import_path", "ray.serve.llm:build_openai_app");
  if (!deployment.written.variables.empty()) {
    yaml.key("runtime_env");
    yaml.begin_map();
    yaml.key("env_vars");
    yaml.begin_map();
    for (const WrittenFlag& variable : deployment.written.variables) yaml.entry(variable.name, variable.value.value_or(""), variable.why);
    yaml.end_map();
    yaml.end_map();
  }
  yaml.key("args");
  yaml.begin_map();
  yaml.key("llm_configs");
  yaml.begin_list();
  yaml.begin_map();
  yaml.key("model_loading_config");
  yaml.begin_map();
  yaml.entry("model_id", deployment.model);
  yaml.entry("model_source", deployment.model);
  yaml.end_map();
  if (!deployment.ray_accelerator.empty()) yaml.entry("accelerator_type", deployment.ray_accelerator, "the card that was planned");
  yaml.key("deployment_config");
  yaml.begin_map();
  yaml.key("num_replicas");
  yaml.number(deployment.replicas, deployment.replicas > 1 ? "the data-parallel replicas of the plan" : "");
  yaml.end_map();
  yaml.key("placement_group_config");
  yaml.begin_map();
  yaml.key("bundles");
  yaml.begin_list();
  for (std::uint64_t rank = 0; rank < deployment.ranks_per_replica; ++rank) {
    yaml.begin_map();
    yaml.key("GPU");
    yaml.number(1);
    yaml.key("CPU");
    yaml.number(1);
    yaml.end_map();
  }
  yaml.end_list();
  const bool one_node = deployment.ranks_per_replica <= deployment.devices_per_node;
  yaml.entry("strategy", one_node ? "STRICT_PACK" : "PACK",
             one_node ? "the ranks of a replica are on one node" : "ranks fill a node before the next");
  yaml.end_map();
  engine_keywords(yaml, deployment);
  yaml.end_map();
  yaml.end_list();
  yaml.end_map();
  yaml.end_map();
  yaml.end_list();
  yaml.end_map();
  return out + yaml.text();
}

} // namespace plimsoll
