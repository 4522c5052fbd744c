// What a manifest says of one family: what it counts, which names it plans, what its classes fill in, how its modules are stored.
// Called by manifest.hpp's reader. Threads: plain values, pure functions.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.hpp"
#include "plugin/manifest_reader.hpp"
#include "storage/module_names.hpp"

namespace plimsoll {

// A fused projection ("qkv_proj") and the parts in which others store it ("q_proj", "k_proj", "v_proj").
using Fusions = std::map<std::string, std::vector<std::string>>;

struct FamilyManifest {
  std::string id;
  std::uint32_t aspects = 0;                          // PLIMSOLL_ASPECT_*
  std::uint32_t signal_policy = 0;                    // PLIMSOLL_SIGNAL_*
  std::uint32_t signal_sites = 1;                     // never 0
  std::uint64_t signal_bytes = 0;                     // per site; 0: the engine profile's
  std::map<std::string, std::uint32_t> architectures; // name -> signal policy
  std::vector<std::string> model_types;
  std::map<std::string, LazyJson, std::less<>> class_defaults; // model_type -> object; the registry takes them out
  std::size_t class_default_count = 0;
  ModuleNames modules; // of the linear layers that exporters treat apart
  Fusions fusions;
  std::string models_file; // the file in the plugin's folder that the names were read of; empty: none
  std::string gguf_file;   // the file in the plugin's folder that says what GGUF files' words mean; empty: none
};

// Takes texts out of `node`. What is wrong is in `read`.
FamilyManifest read_family(Json& node, const std::string& pointer, ManifestReader& read);

// "embedding", "attention", "ffn", "state", "vision", "head" for the bits set, in that order.
std::vector<std::string> aspect_names(std::uint32_t aspects);
std::string_view signal_policy_name(std::uint32_t policy);

} // namespace plimsoll
