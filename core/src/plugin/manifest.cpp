#include "plugin/manifest.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <optional>

#include "base/nearest.hpp"
#include "base/regular_file.hpp"
#include "base/yaml.hpp"
#include "plimsoll/abi.h"

namespace plimsoll {
namespace {

constexpr std::uint64_t kMaxManifestBytes = 1 << 20;
constexpr std::size_t kMaxModuleNames = 256;

// What may lie in a file of its own.
constexpr std::array<std::string_view, 7> kModelKeys{"architectures", "model_types", "class_defaults", "never_quantized",
                                                     "draft_modules", "draft_joins", "fusions"};

constexpr std::array<std::string_view, 8> kManifestKeys{"schema", "id", "version", "vendor", "abi", "library", "replaces", "families"};
constexpr std::array<std::string_view, 3> kAbiKeys{"major", "minor", "min_host_minor"};
constexpr std::array<std::string_view, 12> kFamilyKeys{
    "id",          "aspects",        "signal_buffers",  "models",        "gguf",        "architectures",
    "model_types", "class_defaults", "never_quantized", "draft_modules", "draft_joins", "fusions"};
constexpr std::array<std::string_view, 2> kArchitectureKeys{"name", "signal_buffers"};

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

  // The member of an object, where it is there and not null.
  static const Json* member(const Json& object, const char* key) {
    const auto it = object.find(key);
    return it == object.end() || it->is_null() ? nullptr : &*it;
  }
  std::string name(const Json& value, const std::string& pointer) {
    if (is_name(value)) return value.get<std::string>();
    wrong(pointer, value.is_number() ? "a text was expected; put it in quotes" : "a non-empty text was expected");
    return {};
  }
  static bool is_name(const Json& value) { return value.is_string() && !value.get_ref<const std::string&>().empty(); }
  std::string text(const Json& object, const std::string& pointer, const char* key) {
    const Json* value = member(object, key);
    return name(value == nullptr ? kNothing : *value, pointer + "/" + key);
  }
  // Every key of an object must be known: a misspelt one would be without effect, and nobody would notice.
  template <std::size_t N>
  void only(const Json& object, const std::string& pointer, const std::array<std::string_view, N>& known) {
    for (const auto& [key, value] : object.get_ref<const Json::object_t&>()) {
      if (std::find(known.begin(), known.end(), key) != known.end()) continue;
      const std::string meant = either(nearest(key, {known.begin(), known.end()}, 1));
      wrong(fmt::format("{}/{}", pointer, key), meant.empty() ? fmt::format("an unknown key; {} are known", fmt::join(known, ", "))
                                                              : fmt::format("an unknown key; did you mean {}?", meant));
    }
  }
  std::uint32_t number(const Json& object, const std::string& pointer, const char* key) {
    const Json* value = member(object, key);
    const auto number = value == nullptr ? std::nullopt : as_u64(*value);
    if (number && *number <= 65535) return static_cast<std::uint32_t>(*number);
    wrong(pointer + "/" + key, "a number from 0 to 65535 was expected");
    return 0;
  }
  // A list that may be absent.
  const Json& list(const Json& object, const std::string& pointer, const char* key) {
    const Json* value = member(object, key);
    if (value != nullptr && value->is_array()) return *value;
    if (value != nullptr) wrong(pointer + "/" + key, "a list was expected");
    return kNoItems;
  }
  template <std::size_t N>
  std::uint32_t one_of(const Json& object, const std::string& pointer, const char* key, const std::array<Named, N>& names) {
    const Json* value = member(object, key);
    return one_of(value == nullptr ? kNothing : *value, pointer + "/" + key, names);
  }
  template <std::size_t N>
  std::uint32_t one_of(const Json& value, const std::string& pointer, const std::array<Named, N>& names) {
    if (value.is_string())
      for (const Named& named : names)
        if (named.name == value.get_ref<const std::string&>()) return named.value;
    std::string known;
    for (const Named& named : names) known += (known.empty() ? "" : ", ") + std::string(named.name);
    wrong(pointer, fmt::format("one of {} was expected", known));
    return 0;
  }
  void wrong(const std::string& pointer, const std::string& message) {
    if (!error_) error_ = Error{ErrorCode::kPluginFailed, message, fmt::format("{}: {}", path_, pointer)};
  }
  const std::optional<Error>& error() const { return error_; }
  const std::string& path() const { return path_; }

private:
  inline static const Json kNothing = nullptr, kNoItems = Json::array();
  std::string path_;
  std::optional<Error> error_;
};

bool plain_file_name(const std::string& name) {
  return !name.empty() && name.find('/') == std::string::npos && name != ".." && name != ".";
}

// As semver.org has it: three numbers without leading zeros, then perhaps "-" and "+" with identifiers between points.
bool is_semantic_version(std::string_view text) {
  const auto digits = [](std::string_view part) { return !part.empty() && part.find_first_not_of("0123456789") == std::string_view::npos; };
  const auto number = [&](std::string_view part) { return digits(part) && (part.size() == 1 || part[0] != '0'); };
  const auto parts_of = [](std::string_view list) {
    std::vector<std::string_view> parts;
    for (std::size_t end = 0; end != std::string_view::npos; list.remove_prefix(end == std::string_view::npos ? 0 : end + 1)) {
      end = list.find('.');
      parts.push_back(list.substr(0, end));
    }
    return parts;
  };
  const auto identifiers = [&](std::string_view list, bool numbers_are_plain) {
    for (const std::string_view part : parts_of(list)) {
      constexpr std::string_view kLetters = "0123456789-ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
      if (part.empty() || part.find_first_not_of(kLetters) != std::string_view::npos) return false;
      if (numbers_are_plain && digits(part) && !number(part)) return false;
    }
    return true;
  };
  if (text.size() > 128) return false;
  const std::size_t plus = text.find('+');
  if (plus != std::string_view::npos && !identifiers(text.substr(plus + 1), false)) return false;
  text = text.substr(0, plus);
  const std::size_t dash = text.find('-');
  if (dash != std::string_view::npos && !identifiers(text.substr(dash + 1), true)) return false;
  const std::vector<std::string_view> core = parts_of(text.substr(0, dash));
  return core.size() == 3 && std::all_of(core.begin(), core.end(), number);
}

// Takes the texts of a list. Places are put together only for errors: every start reads these.
void take_names(Json& list, const std::string& pointer, const std::string& key, Reader& read, std::vector<std::string>& out) {
  const auto here = [&] { return pointer + "/" + key; };
  if (!list.is_array()) return read.wrong(here(), "a list was expected");
  if (list.size() > kMaxModuleNames) return read.wrong(here(), fmt::format("{} names; at most {} are read", list.size(), kMaxModuleNames));
  out.reserve(out.size() + list.size());
  for (std::size_t i = 0; i < list.size(); ++i) {
    if (!Reader::is_name(list[i])) read.name(list[i], fmt::format("{}/{}", here(), i));
    else out.push_back(std::move(list[i].get_ref<std::string&>()));
  }
}

void read_fusions(Json& node, const std::string& pointer, Reader& read, FamilyManifest& family) {
  const std::string here = pointer + "/fusions";
  if (!node.is_object()) return read.wrong(here, "keys and values were expected");
  if (node.size() > kMaxModuleNames) return read.wrong(here, fmt::format("{} names; at most {} are read", node.size(), kMaxModuleNames));
  for (auto& [fused, parts] : node.get_ref<Json::object_t&>()) {
    std::vector<std::string>& names = family.fusions[fused];
    take_names(parts, here, fused, read, names);
    if (names.empty() || fused.empty()) read.wrong(here + "/" + fused, "the names of the parts were expected");
  }
}

// How the modules of a family's models are stored.
void read_modules(Json& node, const std::string& pointer, Reader& read, FamilyManifest& family) {
  for (auto& [key, value] : node.get_ref<Json::object_t&>()) {
    if (value.is_null()) continue;
    if (key == "never_quantized") take_names(value, pointer, key, read, family.modules.never_quantized);
    else if (key == "draft_modules") take_names(value, pointer, key, read, family.modules.draft_modules);
    else if (key == "draft_joins") take_names(value, pointer, key, read, family.modules.draft_joins);
    else if (key == "fusions") read_fusions(value, pointer, read, family);
  }
}

// What a family is called by, what its classes fill in and how its modules are treated: keys of the manifest, or of a file beside it.
void read_names(Json& node, const std::string& pointer, Reader& read, FamilyManifest& family) {
  const Json& architectures = read.list(node, pointer, "architectures");
  for (std::size_t i = 0; i < architectures.size(); ++i) {
    const Json& entry = architectures[i];
    if (Reader::is_name(entry)) { // as most are
      family.architectures[entry.get_ref<const std::string&>()] = family.signal_policy;
      continue;
    }
    const std::string here = fmt::format("{}/architectures/{}", pointer, i);
    if (!entry.is_object()) return read.wrong(here, "a non-empty text was expected");
    read.only(entry, here, kArchitectureKeys);
    const bool own = entry.contains("signal_buffers");
    family.architectures[read.text(entry, here, "name")] =
        own ? read.one_of(entry, here, "signal_buffers", kPolicies) : family.signal_policy;
  }
  const Json& types = read.list(node, pointer, "model_types");
  for (std::size_t i = 0; i < types.size(); ++i) {
    if (!Reader::is_name(types[i])) return read.wrong(fmt::format("{}/model_types/{}", pointer, i), "a non-empty text was expected");
    family.model_types.push_back(types[i].get<std::string>());
  }
  read_modules(node, pointer, read, family);
  const auto classes = node.find("class_defaults");
  if (classes == node.end() || classes->is_null()) return;
  if (!classes->is_object()) return read.wrong(pointer + "/class_defaults", "keys and values were expected");
  for (auto& [type, defaults] : classes->get_ref<Json::object_t&>()) {
    if (!defaults.is_object()) return read.wrong(fmt::format("{}/class_defaults/{}", pointer, type), "keys and values were expected");
    family.class_defaults.insert_or_assign(type, std::move(defaults));
  }
}

// Where the names are many they lie in a JSON file beside the manifest, under the same keys.
void read_models(const Json& node, const std::string& pointer, Reader& read, FamilyManifest& family) {
  const std::string file = read.name(node, pointer);
  if (!plain_file_name(file)) return read.wrong(pointer, "a file name in the plugin's own folder was expected");
  family.models_file = file;
  Reader models(read.path().substr(0, read.path().rfind('/') + 1) + file);
  const auto wrong = [&](const Error& error) { read.wrong(pointer, fmt::format("{} ({})", error.message, error.where)); };
  auto text = read_text_file(models.path(), kMaxManifestBytes, ErrorCode::kPluginFailed);
  if (!text) return wrong(text.error());
  auto root = parse_json(std::move(*text), models.path(), ErrorCode::kPluginFailed);
  if (!root) return wrong(root.error());
  if (!root->is_object()) models.wrong("", "an object was expected");
  else models.only(*root, "", kModelKeys);
  if (!models.error()) read_names(*root, "", models, family);
  if (models.error()) wrong(*models.error());
}

FamilyManifest read_family(Json& node, const std::string& pointer, Reader& read) {
  FamilyManifest family;
  if (!node.is_object()) return read.wrong(pointer, "keys and values were expected"), family;
  read.only(node, pointer, kFamilyKeys);
  family.id = read.text(node, pointer, "id");
  const Json& aspects = read.list(node, pointer, "aspects");
  for (std::size_t i = 0; i < aspects.size(); ++i)
    family.aspects |= read.one_of(aspects[i], fmt::format("{}/aspects/{}", pointer, i), kAspects);
  if (family.aspects == 0) read.wrong(pointer + "/aspects", "a list of what the family counts was expected");
  family.signal_policy = read.one_of(node, pointer, "signal_buffers", kPolicies);
  read_names(node, pointer, read, family);
  if (const Json* models = Reader::member(node, "models")) read_models(*models, pointer + "/models", read, family);
  if (const Json* gguf = Reader::member(node, "gguf")) {
    family.gguf_file = read.name(*gguf, pointer + "/gguf");
    if (!plain_file_name(family.gguf_file)) read.wrong(pointer + "/gguf", "a file name in the plugin's own folder was expected");
  }
  return family;
}

} // namespace

Result<Manifest> read_manifest(const std::string& directory) {
  Reader read(directory + "/plugin.yaml");
  PLIMSOLL_ASSIGN(const std::string text, read_text_file(read.path(), kMaxManifestBytes, ErrorCode::kPluginFailed));
  PLIMSOLL_ASSIGN(Json root, parse_yaml(text, read.path(), ErrorCode::kPluginFailed));
  if (!root.is_object()) return fail(ErrorCode::kPluginFailed, "keys and values were expected", read.path());
  Manifest m;
  m.directory = directory;
  if (read.text(root, "", "schema") != "plimsoll.plugin/1") read.wrong("/schema", "'plimsoll.plugin/1' was expected");
  read.only(root, "", kManifestKeys);
  m.id = read.text(root, "", "id");
  m.version = read.text(root, "", "version");
  if (!is_semantic_version(m.version)) read.wrong("/version", "a semantic version was expected, such as 1.0.0 or 2.1.0-rc.1");
  m.vendor = read.text(root, "", "vendor");
  m.library = read.text(root, "", "library");
  if (!plain_file_name(m.library)) read.wrong("/library", "a file name in the plugin's own folder was expected");
  const Json* abi = Reader::member(root, "abi");
  if (abi == nullptr || !abi->is_object()) {
    read.wrong("/abi", "major, minor and min_host_minor were expected");
  } else {
    read.only(*abi, "/abi", kAbiKeys);
    m.abi_major = read.number(*abi, "/abi", "major");
    m.abi_minor = read.number(*abi, "/abi", "minor");
    m.min_host_minor = read.number(*abi, "/abi", "min_host_minor");
  }
  if (const auto replaces = root.find("replaces"); replaces != root.end() && !replaces->is_null())
    take_names(*replaces, "", "replaces", read, m.replaces);
  if (const auto families = root.find("families"); families != root.end() && families->is_array())
    for (Json& family : *families) m.families.push_back(read_family(family, fmt::format("/families/{}", m.families.size()), read));
  if (m.families.empty()) read.wrong("/families", "at least one family was expected");
  if (read.error()) return tl::unexpected(*read.error());
  return m;
}

std::vector<std::string> files_of(const Manifest& manifest) {
  std::vector<std::string> out{"plugin.yaml", manifest.library};
  for (const FamilyManifest& family : manifest.families)
    for (const std::string* file : {&family.models_file, &family.gguf_file})
      if (!file->empty()) out.push_back(*file);
  return out;
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
