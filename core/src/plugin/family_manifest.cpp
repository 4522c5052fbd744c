#include "plugin/family_manifest.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>

#include "base/regular_file.hpp"
#include "plimsoll/abi.h"

namespace plimsoll {
namespace {

// What may lie in a file of its own.
constexpr std::array<std::string_view, 7> kModelKeys{"architectures", "model_types", "class_defaults", "never_quantized",
                                                     "draft_modules", "draft_joins", "fusions"};
constexpr std::array<std::string_view, 14> kFamilyKeys{
    "id",          "aspects",        "signal_buffers",  "signal_sites",  "signal_bytes", "models", "gguf", "architectures",
    "model_types", "class_defaults", "never_quantized", "draft_modules", "draft_joins",  "fusions"};
constexpr std::array<std::string_view, 2> kArchitectureKeys{"name", "signal_buffers"};

constexpr std::array<NamedValue, 6> kAspects{{{"embedding", PLIMSOLL_ASPECT_EMBED},
                                              {"attention", PLIMSOLL_ASPECT_ATTENTION},
                                              {"ffn", PLIMSOLL_ASPECT_FFN},
                                              {"state", PLIMSOLL_ASPECT_STATE},
                                              {"vision", PLIMSOLL_ASPECT_VISION},
                                              {"head", PLIMSOLL_ASPECT_HEAD}}};
constexpr std::array<NamedValue, 3> kPolicies{
    {{"never", PLIMSOLL_SIGNAL_NEVER}, {"multi_rank", PLIMSOLL_SIGNAL_MULTI_RANK}, {"always", PLIMSOLL_SIGNAL_ALWAYS}}};

void read_fusions(Json& node, const std::string& pointer, ManifestReader& read, FamilyManifest& family) {
  const std::string here = pointer + "/fusions";
  if (!node.is_object()) return read.wrong(here, "keys and values were expected");
  if (node.size() > kMaxManifestNames)
    return read.wrong(here, fmt::format("{} names; at most {} are read", node.size(), kMaxManifestNames));
  for (auto& [fused, parts] : node.get_ref<Json::object_t&>()) {
    std::vector<std::string>& names = family.fusions[fused];
    read.take_names(parts, here, fused, names);
    if (names.empty() || fused.empty()) read.wrong(here + "/" + fused, "the names of the parts were expected");
  }
}

// How the modules of a family's models are stored.
void read_modules(Json& node, const std::string& pointer, ManifestReader& read, FamilyManifest& family) {
  for (auto& [key, value] : node.get_ref<Json::object_t&>()) {
    if (value.is_null()) continue;
    if (key == "never_quantized") read.take_names(value, pointer, key, family.modules.never_quantized);
    else if (key == "draft_modules") read.take_names(value, pointer, key, family.modules.draft_modules);
    else if (key == "draft_joins") read.take_names(value, pointer, key, family.modules.draft_joins);
    else if (key == "fusions") read_fusions(value, pointer, read, family);
  }
}

void read_class_defaults(Json& node, const std::string& pointer, ManifestReader& read, FamilyManifest& family) {
  Json* classes = ManifestReader::member(node, "class_defaults");
  if (classes == nullptr) return;
  if (!classes->is_object()) return read.wrong(pointer + "/class_defaults", "keys and values were expected");
  for (auto& [type, defaults] : classes->get_ref<Json::object_t&>()) {
    if (!defaults.is_object()) return read.wrong(fmt::format("{}/class_defaults/{}", pointer, type), "keys and values were expected");
    family.class_defaults.insert_or_assign(type, LazyJson([value = std::move(defaults)] { return value; }));
  }
  family.class_default_count = family.class_defaults.size();
}

// What a family is called by, what its classes fill in and how its modules are treated: keys of the manifest, or of a file beside it.
void read_names(Json& node, const std::string& pointer, ManifestReader& read, FamilyManifest& family) {
  const Json& architectures = read.list(node, pointer, "architectures");
  for (std::size_t i = 0; i < architectures.size(); ++i) {
    const Json& entry = architectures[i];
    if (ManifestReader::is_name(entry)) { // as most are
      family.architectures[entry.get_ref<const std::string&>()] = family.signal_policy;
      continue;
    }
    const std::string here = fmt::format("{}/architectures/{}", pointer, i);
    if (!entry.is_object()) return read.wrong(here, "a non-empty text was expected");
    read.only(entry, here, kArchitectureKeys);
    const Json* own = ManifestReader::member(entry, "signal_buffers");
    family.architectures[read.text(entry, here, "name")] =
        entry.contains("signal_buffers") ? read.one_of(own, here + "/signal_buffers", kPolicies) : family.signal_policy;
  }
  const Json& types = read.list(node, pointer, "model_types");
  for (std::size_t i = 0; i < types.size(); ++i) {
    if (!ManifestReader::is_name(types[i]))
      return read.wrong(fmt::format("{}/model_types/{}", pointer, i), "a non-empty text was expected");
    family.model_types.push_back(types[i].get<std::string>());
  }
  read_modules(node, pointer, read, family);
  read_class_defaults(node, pointer, read, family);
}

// Where the names are many they lie in a JSON file beside the manifest, under the same keys.
void read_models(const Json& node, const std::string& pointer, ManifestReader& read, FamilyManifest& family) {
  family.models_file = read.file_name(node, pointer);
  if (read.error()) return;
  ManifestReader models(read.path().substr(0, read.path().rfind('/') + 1) + family.models_file);
  const auto wrong = [&](const Error& error) { read.wrong(pointer, fmt::format("{} ({})", error.message, error.where)); };
  auto text = read_text_file(models.path(), kMaxManifestBytes, ErrorCode::kPluginFailed);
  if (!text) return wrong(text.error());
  if (read.is_ours()) { // no start makes what classes fill in, but for the class that it is about
    if (auto apart = parse_apart(*text, "class_defaults")) {
      models.only(apart->rest, "", kModelKeys);
      read_names(apart->rest, "", models, family);
      for (auto& [type, defaults] : apart->members) family.class_defaults.insert_or_assign(std::move(type), std::move(defaults));
      family.class_default_count = family.class_defaults.size();
      if (models.error()) wrong(*models.error());
      return;
    }
  }
  auto root = parse_json(std::move(*text), models.path(), ErrorCode::kPluginFailed);
  if (!root) return wrong(root.error());
  if (!root->is_object()) models.wrong("", "an object was expected");
  else models.only(*root, "", kModelKeys);
  if (!models.error()) read_names(*root, "", models, family);
  if (models.error()) wrong(*models.error());
}

} // namespace

FamilyManifest read_family(Json& node, const std::string& pointer, ManifestReader& read) {
  FamilyManifest family;
  if (!node.is_object()) {
    read.wrong(pointer, "keys and values were expected");
    return family;
  }
  read.only(node, pointer, kFamilyKeys);
  family.id = read.identifier(node, pointer, "id");
  const Json& aspects = read.list(node, pointer, "aspects");
  for (std::size_t i = 0; i < aspects.size(); ++i)
    family.aspects |= read.one_of(&aspects[i], fmt::format("{}/aspects/{}", pointer, i), kAspects);
  if (family.aspects == 0) read.wrong(pointer + "/aspects", "a list of what the family counts was expected");
  family.signal_policy = read.one_of(ManifestReader::member(node, "signal_buffers"), pointer + "/signal_buffers", kPolicies);
  const std::uint64_t sites = read.number(node, pointer, "signal_sites", PLIMSOLL_MAX_SIGNAL_SITES, 1);
  family.signal_sites = static_cast<std::uint32_t>(std::max<std::uint64_t>(sites, 1));
  family.signal_bytes = read.number(node, pointer, "signal_bytes", PLIMSOLL_MAX_ITEM_BYTES, 0);
  read_names(node, pointer, read, family);
  if (const Json* models = ManifestReader::member(node, "models")) read_models(*models, pointer + "/models", read, family);
  if (const Json* gguf = ManifestReader::member(node, "gguf")) family.gguf_file = read.file_name(*gguf, pointer + "/gguf");
  return family;
}

std::vector<std::string> aspect_names(std::uint32_t aspects) {
  std::vector<std::string> out;
  for (const NamedValue& named : kAspects)
    if ((aspects & named.value) != 0) out.emplace_back(named.name);
  return out;
}

std::string_view signal_policy_name(std::uint32_t policy) {
  for (const NamedValue& named : kPolicies)
    if (named.value == policy) return named.name;
  return "multi_rank";
}

} // namespace plimsoll
