#include "plugin/manifest.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <optional>
#include <yaml-cpp/yaml.h>

#include "base/yaml.hpp"
#include "model/regular_file.hpp"
#include "plimsoll/abi.h"

namespace plimsoll {
namespace {

constexpr std::uint64_t kMaxManifestBytes = 1 << 20;

struct Named {
  std::string_view name;
  std::uint32_t value;
};
constexpr std::array<Named, 6> kAspects{{{"embedding", PLIMSOLL_ASPECT_EMBED},
                                         {"attention", PLIMSOLL_ASPECT_ATTENTION},
                                         {"ffn", PLIMSOLL_ASPECT_FFN},
                                         {"state", PLIMSOLL_ASPECT_STATE},
                                         {"vision", PLIMSOLL_ASPECT_VISION},
                                         {"head", PLIMSOLL_ASPECT_HEAD}}};
constexpr std::array<Named, 3> kPolicies{
    {{"never", PLIMSOLL_SIGNAL_NEVER}, {"multi_rank", PLIMSOLL_SIGNAL_MULTI_RANK}, {"always", PLIMSOLL_SIGNAL_ALWAYS}}};

// Reads one document; the first thing wrong is kept with its place.
class Reader {
public:
  explicit Reader(std::string path) : path_(std::move(path)) {}

  std::string text(const YAML::Node& map, const char* key, std::string fallback = {}) {
    const YAML::Node node = map[key];
    if (!node && !fallback.empty()) return fallback;
    if (!node || !node.IsScalar() || node.Scalar().empty()) return wrong(node ? node : map, key, "a non-empty text was expected"), "";
    return node.Scalar();
  }
  // An item of a list of names.
  std::string name(const YAML::Node& node, const char* key) {
    if (node.IsScalar() && !node.Scalar().empty()) return node.Scalar();
    return wrong(node, key, "a non-empty text was expected"), "";
  }
  bool truth(const YAML::Node& map, const char* key) {
    const YAML::Node node = map[key];
    bool value = false;
    if (node && !YAML::convert<bool>::decode(node, value)) wrong(node, key, "true or false was expected");
    return value;
  }
  std::uint32_t number(const YAML::Node& map, const char* key) {
    const YAML::Node node = map[key];
    std::uint32_t value = 0;
    if (!node || !node.IsScalar() || !YAML::convert<std::uint32_t>::decode(node, value) || value > 65535)
      wrong(node ? node : map, key, "a number from 0 to 65535 was expected");
    return value;
  }
  template <std::size_t N>
  std::uint32_t one_of(const YAML::Node& node, const char* key, const std::array<Named, N>& names) {
    if (node && node.IsScalar())
      for (const Named& named : names)
        if (named.name == node.Scalar()) return named.value;
    wrong(node, key, fmt::format("one of {} was expected", list(names)));
    return 0;
  }
  void wrong(const YAML::Node& node, const std::string& key, const std::string& message) {
    if (error_) return;
    const YAML::Mark mark = node ? node.Mark() : YAML::Mark::null_mark();
    error_ = Error{ErrorCode::kPluginFailed, fmt::format("'{}': {}", key, message),
                   mark.is_null() ? path_ : fmt::format("{}:{}", path_, mark.line + 1)};
  }
  const std::optional<Error>& error() const { return error_; }
  const std::string& path() const { return path_; }

private:
  template <std::size_t N>
  static std::string list(const std::array<Named, N>& names) {
    std::string out;
    for (const Named& named : names) out += (out.empty() ? "" : ", ") + std::string(named.name);
    return out;
  }
  std::string path_;
  std::optional<Error> error_;
};

bool plain_file_name(const std::string& name) {
  return !name.empty() && name.find('/') == std::string::npos && name != ".." && name != ".";
}

// The names and class defaults of a family, which are many, from a JSON file beside the manifest:
// {"architectures": [...], "model_types": [...], "class_defaults": {...}}.
void read_models(const YAML::Node& node, Reader& read, FamilyManifest& family) {
  const auto wrong = [&](const std::string& message) { read.wrong(node, "models", message); };
  if (!node.IsScalar() || !plain_file_name(node.Scalar())) return wrong("a file name in the plugin's own folder was expected");
  const std::string path = read.path().substr(0, read.path().rfind('/') + 1) + node.Scalar();
  auto text = read_text_file(path, kMaxManifestBytes, ErrorCode::kPluginFailed);
  if (!text) return wrong(fmt::format("{}: {}", path, text.error().message));
  const auto models = parse_json(std::move(*text), path, ErrorCode::kPluginFailed);
  if (!models) return wrong(fmt::format("{} ({})", models.error().message, path));
  if (!models->is_object()) return wrong(path + ": an object was expected");
  for (const auto& [key, values] : models->items()) {
    if (key == "architectures" && values.is_array()) {
      for (const Json& entry : values) {
        const Json* name = entry.is_object() ? find_pointer(entry, "/name") : &entry;
        const Json* policy = entry.is_object() ? find_pointer(entry, "/signal_buffers") : nullptr;
        if (name == nullptr || !name->is_string() || (policy != nullptr && !policy->is_string()))
          return wrong(path + ": /architectures: a name was expected");
        family.architectures[name->get<std::string>()] =
            policy == nullptr ? family.signal_policy : read.one_of(YAML::Node(policy->get<std::string>()), "signal_buffers", kPolicies);
      }
    } else if (key == "model_types" && values.is_array()) {
      for (const Json& type : values) {
        if (!type.is_string()) return wrong(path + ": /model_types: a name was expected");
        family.model_types.push_back(type.get<std::string>());
      }
    } else if (key == "class_defaults" && values.is_object()) {
      for (const auto& [type, defaults] : values.items()) {
        if (!defaults.is_object()) return wrong(fmt::format("{}: /class_defaults/{}: keys and values were expected", path, type));
        family.class_defaults[type] = defaults;
      }
    } else {
      return wrong(fmt::format("{}: /{}: architectures, model_types and class_defaults were expected", path, key));
    }
  }
}

FamilyManifest read_family(const YAML::Node& node, Reader& read) {
  FamilyManifest family;
  family.id = read.text(node, "id");
  for (const auto& aspect : node["aspects"]) family.aspects |= read.one_of(aspect, "aspects", kAspects);
  if (family.aspects == 0) read.wrong(node, "aspects", "a list of what the family counts was expected");
  family.signal_policy = read.one_of(node["signal_buffers"], "signal_buffers", kPolicies);
  family.vision_cache = read.truth(node, "vision_cache");
  for (const auto& architecture : node["architectures"]) {
    const std::string name = architecture.IsMap() ? read.text(architecture, "name") : read.name(architecture, "architectures");
    const bool own = architecture.IsMap() && architecture["signal_buffers"];
    family.architectures[name] = own ? read.one_of(architecture["signal_buffers"], "signal_buffers", kPolicies) : family.signal_policy;
  }
  for (const auto& type : node["model_types"]) family.model_types.push_back(read.name(type, "model_types"));
  if (const YAML::Node defaults = node["class_defaults"]; defaults && defaults.IsMap())
    for (const auto& pair : defaults) {
      if (!pair.second.IsMap()) read.wrong(pair.second, "class_defaults", "keys and values were expected below a model_type");
      if (auto values = yaml_value(pair.second, read.path(), ErrorCode::kPluginFailed))
        family.class_defaults[pair.first.Scalar()] = std::move(*values);
      else read.wrong(pair.second, "class_defaults", values.error().message);
    }
  if (const YAML::Node models = node["models"]) read_models(models, read, family);
  return family;
}

} // namespace

Result<Manifest> read_manifest(const std::string& directory) {
  const std::string path = directory + "/plugin.yaml";
  PLIMSOLL_ASSIGN(const std::string text, read_text_file(path, kMaxManifestBytes, ErrorCode::kPluginFailed));
  try {
    const YAML::Node root = YAML::Load(text);
    if (!root.IsMap()) return fail(ErrorCode::kPluginFailed, "keys and values were expected", path);
    Reader read(path);
    Manifest m;
    m.directory = directory;
    if (read.text(root, "schema") != "plimsoll.plugin/1") read.wrong(root["schema"], "schema", "'plimsoll.plugin/1' was expected");
    m.id = read.text(root, "id");
    m.version = read.text(root, "version");
    m.vendor = read.text(root, "vendor");
    m.library = read.text(root, "library");
    if (!plain_file_name(m.library)) read.wrong(root["library"], "library", "a file name in the plugin's own folder was expected");
    const YAML::Node abi = root["abi"];
    if (!abi || !abi.IsMap()) {
      read.wrong(root, "abi", "major, minor and min_host_minor were expected");
    } else {
      m.abi_major = read.number(abi, "major");
      m.abi_minor = read.number(abi, "minor");
      m.min_host_minor = read.number(abi, "min_host_minor");
    }
    for (const auto& family : root["families"]) m.families.push_back(read_family(family, read));
    if (m.families.empty()) read.wrong(root, "families", "at least one family was expected");
    if (read.error()) return tl::unexpected(*read.error());
    return m;
  } catch (const YAML::Exception& e) {
    return fail(ErrorCode::kPluginFailed, fmt::format("is not valid YAML: {}", e.msg), fmt::format("{}:{}", path, e.mark.line + 1));
  }
}

std::vector<std::string> aspect_names(std::uint32_t aspects) {
  std::vector<std::string> out;
  for (const Named& named : kAspects)
    if ((aspects & named.value) != 0) out.emplace_back(named.name);
  return out;
}

std::string_view signal_policy_name(std::uint32_t policy) {
  for (const Named& named : kPolicies)
    if (named.value == policy) return named.name;
  return "multi_rank";
}

} // namespace plimsoll
