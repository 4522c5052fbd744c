#include "plugin/manifest.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>

#include "base/regular_file.hpp"
#include "base/yaml.hpp"
#include "plimsoll/abi.h"

namespace plimsoll {
namespace {

constexpr std::array<std::string_view, 11> kManifestKeys{"schema",   "id",       "version", "vendor", "abi",    "library",
                                                         "replaces", "families", "aliases", "types",  "formats"};
constexpr std::array<std::string_view, 3> kAbiKeys{"major", "minor", "min_host_minor"};

void read_abi(const Json& root, ManifestReader& read, Manifest& m) {
  const Json* abi = ManifestReader::member(root, "abi");
  if (abi == nullptr && m.library.empty() && !m.aliases.empty()) { // nothing to call
    m.abi_major = PLIMSOLL_ABI_MAJOR;
  } else if (abi == nullptr || !abi->is_object()) {
    read.wrong("/abi", "major, minor and min_host_minor were expected");
  } else {
    read.only(*abi, "/abi", kAbiKeys);
    m.abi_major = read.number(*abi, "/abi", "major");
    m.abi_minor = read.number(*abi, "/abi", "minor");
    m.min_host_minor = read.number(*abi, "/abi", "min_host_minor");
  }
}

void read_aliases(const Json& node, ManifestReader& read, Manifest& m) {
  constexpr const char* kExpected = "1 to {} printable bytes were expected";
  if (!node.is_object()) return read.wrong("/aliases", "keys and values were expected");
  if (node.size() > kMaxManifestNames)
    return read.wrong("/aliases", fmt::format("{} names; at most {} are read", node.size(), kMaxManifestNames));
  for (const auto& [name, value] : node.get_ref<const Json::object_t&>()) {
    if (!is_printable_name(name)) return read.wrong("/aliases", "as a name " + fmt::format(kExpected, PLIMSOLL_MAX_NAME_BYTES));
    const std::string here = "/aliases/" + name;
    const std::string type = read.name(value, here);
    if (!is_printable_name(type)) return read.wrong(here, fmt::format(kExpected, PLIMSOLL_MAX_NAME_BYTES));
    if (type == name) return read.wrong(here, "is an alias of itself; name the model_type that it is planned as");
    m.aliases.emplace(name, type);
  }
}

// What no host could make sense of, though each part is right.
void check_aliases(const Manifest& m, ManifestReader& read) {
  for (const auto& [name, type] : m.aliases) {
    const auto further = m.aliases.find(type);
    if (further != m.aliases.end())
      read.wrong("/aliases/" + name, fmt::format("'{}' is an alias too; name what it stands for, '{}'", type, further->second));
    for (const FamilyManifest& family : m.families)
      if (family.late_names->may_have(name) && family.names().has(name))
        read.wrong("/aliases/" + name, fmt::format("family '{}' of this manifest plans it; keep one of both", family.id));
  }
}

void read_families(Json& root, ManifestReader& read, bool built_in, Manifest& m) {
  if (Json* families = ManifestReader::member(root, "families"); families != nullptr && families->is_array())
    for (Json& family : *families) {
      const std::string here = fmt::format("/families/{}", m.families.size());
      FamilyManifest one = read_family(family, here, read, built_in && m.vendor == kOwnVendor);
      const auto same = [&](const FamilyManifest& known) { return known.id == one.id; };
      if (std::any_of(m.families.begin(), m.families.end(), same))
        read.wrong(here + "/id", fmt::format("family '{}' is there twice", one.id));
      m.families.push_back(std::move(one));
    }
  const bool without_code = m.library.empty() && !m.aliases.empty() && ManifestReader::member(root, "families") == nullptr;
  if (m.families.empty() && !without_code) read.wrong("/families", "at least one family was expected, or aliases and no library");
}

// The library is there where families are.
void read_library(const Json& root, ManifestReader& read, Manifest& m) {
  if (const Json* library = ManifestReader::member(root, "library")) m.library = read.file_name(*library, "/library");
  else if (ManifestReader::member(root, "families") != nullptr || m.aliases.empty())
    read.wrong("/library", "a non-empty text was expected: the file of the plugin's code");
}

void read_formats(const Json& root, ManifestReader& read, Manifest& m) {
  const Json* types = ManifestReader::member(root, "types");
  const Json* formats = ManifestReader::member(root, "formats");
  if (types == nullptr && formats == nullptr) return;
  auto own = read_vendor_formats(types, formats, read.path());
  if (own) m.formats = std::move(*own);
  else read.wrong(own.error());
}

} // namespace

Result<Manifest> read_manifest_file(const std::string& path, bool built_in) {
  ManifestReader read(path);
  PLIMSOLL_ASSIGN(const std::string text, read_text_file(path, kMaxManifestBytes, ErrorCode::kPluginFailed));
  PLIMSOLL_ASSIGN(Json root, parse_yaml(text, path, ErrorCode::kPluginFailed));
  if (!root.is_object()) return fail(ErrorCode::kPluginFailed, "keys and values were expected", path);
  Manifest m;
  m.directory = path.find('/') == std::string::npos ? "." : path.substr(0, path.rfind('/'));
  if (read.text(root, "", "schema") != "plimsoll.plugin/1") read.wrong("/schema", "'plimsoll.plugin/1' was expected");
  read.only(root, "", kManifestKeys);
  m.id = read.identifier(root, "", "id");
  m.version = read.text(root, "", "version");
  if (!is_semantic_version(m.version)) read.wrong("/version", "a semantic version was expected, such as 1.0.0 or 2.1.0-rc.1");
  m.vendor = read.text(root, "", "vendor");
  if (const Json* aliases = ManifestReader::member(root, "aliases")) read_aliases(*aliases, read, m);
  read_library(root, read, m);
  read_abi(root, read, m);
  if (Json* replaces = ManifestReader::member(root, "replaces")) read.take_names(*replaces, "", "replaces", m.replaces);
  read_families(root, read, built_in, m);
  check_aliases(m, read);
  read_formats(root, read, m);
  if (read.error()) return tl::unexpected(*read.error());
  return m;
}

Result<Manifest> read_manifest(const std::string& directory, bool built_in) {
  return read_manifest_file(directory + "/plugin.yaml", built_in);
}

std::vector<std::string> files_of(const Manifest& manifest) {
  std::vector<std::string> out{"plugin.yaml"};
  if (!manifest.library.empty()) out.push_back(manifest.library);
  for (const FamilyManifest& family : manifest.families)
    for (const std::string* file : {&family.models_file, &family.gguf_file})
      if (!file->empty()) out.push_back(*file);
  return out;
}

} // namespace plimsoll
