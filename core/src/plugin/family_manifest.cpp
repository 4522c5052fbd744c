#include "plugin/family_manifest.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>

#include "base/regular_file.hpp"

namespace plimsoll {
namespace {

constexpr std::array<std::string_view, 14> kFamilyKeys{
    "id",          "aspects",        "signal_buffers",  "signal_sites",  "signal_bytes", "models", "gguf", "architectures",
    "model_types", "class_defaults", "never_quantized", "draft_modules", "draft_joins",  "fusions"};
constexpr std::array<NamedValue, 6> kAspects{{{"embedding", PLIMSOLL_ASPECT_EMBED},
                                              {"attention", PLIMSOLL_ASPECT_ATTENTION},
                                              {"ffn", PLIMSOLL_ASPECT_FFN},
                                              {"state", PLIMSOLL_ASPECT_STATE},
                                              {"vision", PLIMSOLL_ASPECT_VISION},
                                              {"head", PLIMSOLL_ASPECT_HEAD}}};

// What the family is called by and so on, as values or, of a file of ours beside the manifest, as its text.
std::shared_ptr<const LateNames> read_all_names(Json& node, const std::string& pointer, ManifestReader& read, bool late,
                                                FamilyManifest& family) {
  FamilyNames names;
  read_names(node, pointer, family.signal_policy, read, names);
  const Json* const models = ManifestReader::member(node, "models");
  if (models == nullptr) return std::make_shared<LateNames>(std::move(names));
  const std::string here = pointer + "/models";
  family.models_file = read.file_name(*models, here);
  if (read.error()) return family.late_names;
  const std::string path = read.path().substr(0, read.path().rfind('/') + 1) + family.models_file;
  const auto wrong = [&](const Error& error) { read.wrong(here, fmt::format("{} ({})", error.message, error.where)); };
  auto text = read_text_file(path, kMaxManifestBytes, ErrorCode::kPluginFailed);
  if (!text) wrong(text.error());
  else if (late && names.architectures.empty() && names.model_types.empty())
    return std::make_shared<LateNames>(std::move(*text), path, family.signal_policy);
  else if (const auto whole = read_names_file(std::move(*text), path, family.signal_policy, names); !whole) wrong(whole.error());
  return std::make_shared<LateNames>(std::move(names));
}

} // namespace

FamilyManifest read_family(Json& node, const std::string& pointer, ManifestReader& read, bool late) {
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
  family.signal_policy = read.one_of(ManifestReader::member(node, "signal_buffers"), pointer + "/signal_buffers", kSignalPolicies);
  const std::uint64_t sites = read.number(node, pointer, "signal_sites", PLIMSOLL_MAX_SIGNAL_SITES, 1);
  family.signal_sites = static_cast<std::uint32_t>(std::max<std::uint64_t>(sites, 1));
  family.signal_bytes = read.number(node, pointer, "signal_bytes", PLIMSOLL_MAX_ITEM_BYTES, 0);
  family.late_names = read_all_names(node, pointer, read, late, family);
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
  for (const NamedValue& named : kSignalPolicies)
    if (named.value == policy) return named.name;
  return "multi_rank";
}

} // namespace plimsoll
