#include "plugin/identity.hpp"

#include <fmt/format.h>

#include "base/regular_file.hpp"
#include "plimsoll/host.hpp"

namespace plimsoll {

std::string identity_header(const Manifest& m) {
  std::string out = fmt::format("/* Made from plugin.yaml of {} {}; do not edit. */\n"
                                "#ifndef PLIMSOLL_IDENTITY_H\n"
                                "#define PLIMSOLL_IDENTITY_H\n\n",
                                m.id, m.version);
  out += fmt::format("#define PLIMSOLL_IDENTITY_ID \"{}\"\n"
                     "#define PLIMSOLL_IDENTITY_VERSION \"{}\"\n"
                     "#define PLIMSOLL_IDENTITY_N_FAMILIES {}\n",
                     m.id, m.version, m.families.size());
  out += fmt::format("#define PLIMSOLL_IDENTITY_PLUGIN \\\n"
                     "  PLIMSOLL_SIZE_THROUGH(plimsoll_plugin, fini), {}u, {}u, PLIMSOLL_STR(\"{}\"), PLIMSOLL_STR(\"{}\")\n",
                     m.abi_minor, m.min_host_minor, m.id, m.version);
  std::string all;
  for (std::size_t i = 0; i < m.families.size(); ++i) {
    const FamilyManifest& f = m.families[i];
    out += fmt::format("#define PLIMSOLL_IDENTITY_FAMILY_{} \\\n"
                       "  PLIMSOLL_SIZE_THROUGH(plimsoll_family, api), {}u, {}u, {}u, {}u, PLIMSOLL_STR(\"{}\")\n",
                       i, f.aspects, f.signal_policy, f.signal_sites, f.signal_bytes, f.id);
    all += fmt::format("{} \\\n  {{PLIMSOLL_IDENTITY_FAMILY_{}, NULL}}", i == 0 ? "" : ",", i);
  }
  out += fmt::format("#define PLIMSOLL_IDENTITY_FAMILIES{}\n", all);
  return out + "\n#endif\n";
}

Result<std::string> plugin_identity(const std::string& path) {
  PLIMSOLL_ASSIGN(PathKind kind, path_kind(path));
  const std::string file = kind == PathKind::kDirectory ? path + "/plugin.yaml" : path;
  if (kind == PathKind::kDirectory) {
    PLIMSOLL_ASSIGN(kind, path_kind(file));
    if (kind == PathKind::kMissing) return fail(ErrorCode::kBadRequest, "holds no plugin.yaml", path);
  }
  if (kind == PathKind::kMissing)
    return fail(ErrorCode::kBadRequest, "there is no such file or folder; give a plugin's folder or its plugin.yaml", path);
  PLIMSOLL_ASSIGN(const Manifest manifest, read_manifest_file(file));
  if (manifest.families.empty())
    return fail(ErrorCode::kBadRequest, "a plugin without code has no library that could say who it is", file + ": /families");
  return identity_header(manifest);
}

} // namespace plimsoll
