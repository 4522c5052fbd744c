// plugin.yaml: what a plugin offers, read without running its code. Never opens the library. Threads: pure functions.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.hpp"
#include "plimsoll/result.hpp"
#include "storage/module_names.hpp"

namespace plimsoll {

// A fused projection ("qkv_proj") and the parts in which others store it ("q_proj", "k_proj", "v_proj").
using Fusions = std::map<std::string, std::vector<std::string>>;

struct FamilyManifest {
  std::string id;
  std::uint32_t aspects = 0;                          // PLIMSOLL_ASPECT_*
  std::uint32_t signal_policy = 0;                    // PLIMSOLL_SIGNAL_*
  std::map<std::string, std::uint32_t> architectures; // name -> signal policy
  std::vector<std::string> model_types;
  std::map<std::string, Json, std::less<>> class_defaults; // model_type -> object
  ModuleNames modules;                                     // of the linear layers that exporters treat apart
  Fusions fusions;
  std::string models_file; // the file in the plugin's folder that the names were read of; empty: none
  std::string gguf_file;   // the file in the plugin's folder that says what GGUF files' words mean; empty: none
};

struct Manifest {
  std::string directory, id, version, vendor, library;
  std::uint32_t abi_major = 0, abi_minor = 0, min_host_minor = 0;
  std::vector<std::string>
      replaces; // built-in plugins, families, architectures and model_types that it may take over where it is preferred
  std::vector<FamilyManifest> families;
};

// All files that the manifest speaks for: itself, its library and what lies beside them.
std::vector<std::string> files_of(const Manifest& manifest);

// Reads and validates <directory>/plugin.yaml and the models.json beside it; errors are kPluginFailed and name the file and the key.
Result<Manifest> read_manifest(const std::string& directory);

// "embedding", "attention", "ffn", "state", "vision", "head" for the bits set, in that order.
std::vector<std::string> aspect_names(std::uint32_t aspects);
std::string_view signal_policy_name(std::uint32_t policy);

} // namespace plimsoll
