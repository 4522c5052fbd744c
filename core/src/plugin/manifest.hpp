// plugin.yaml: what a plugin offers, read without running its code. Never opens the library. Threads: pure functions.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "plimsoll/result.hpp"
#include "plugin/family_manifest.hpp"
#include "storage/vendor_formats.hpp"

namespace plimsoll {

inline constexpr std::string_view kOwnVendor = "Plimsoll";

struct Manifest {
  std::string directory, id, version, vendor;
  std::string library; // empty: a plugin without code, which has aliases and no families
  std::uint32_t abi_major = 0, abi_minor = 0, min_host_minor = 0;
  std::vector<std::string>
      replaces; // built-in plugins, families, architectures and model_types that it may take over where it is preferred
  std::vector<FamilyManifest> families;
  // A model_type or an architecture class -> the model_type in whose dialect it is planned, whoever plans that.
  std::map<std::string, std::string> aliases;
  // Types and storage formats that its planners may name; never null, immutable.
  std::shared_ptr<const VendorFormats> formats = VendorFormats::none();
};

// All files that the manifest speaks for: itself, its library and what lies beside them.
std::vector<std::string> files_of(const Manifest& manifest);

// Reads and validates <directory>/plugin.yaml and the models.json beside it; errors are kPluginFailed and name the file and the key.
// `built_in`: of the installation's folder, where what is ours is tested: its names become values when somebody asks for one.
Result<Manifest> read_manifest(const std::string& directory, bool built_in = false);
// The same of a manifest under any name, as builds have them; what it names lies beside it.
Result<Manifest> read_manifest_file(const std::string& path, bool built_in = false);

} // namespace plimsoll
