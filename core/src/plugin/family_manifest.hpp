// What a manifest says of one family: what it counts, which names it plans, and in which files more is said.
// Called by manifest.hpp's reader. Threads: plain values, pure functions; names any.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "plugin/family_names.hpp"

namespace plimsoll {

struct FamilyManifest {
  std::string id;
  std::uint32_t aspects = 0;                                                                // PLIMSOLL_ASPECT_*
  std::uint32_t signal_policy = 0;                                                          // PLIMSOLL_SIGNAL_*
  std::uint32_t signal_sites = 1;                                                           // never 0
  std::uint64_t signal_bytes = 0;                                                           // per site; 0: the engine profile's
  std::shared_ptr<const LateNames> late_names = std::make_shared<LateNames>(FamilyNames{}); // never null
  std::string models_file; // the file in the plugin's folder that the names were read of; empty: none
  std::string gguf_file;   // the file in the plugin's folder that says what GGUF files' words mean; empty: none

  const FamilyNames& names() const { return late_names->get(); }
};

// Takes texts out of `node`. What is wrong is in `read`. `late`: names of a file become values when they are asked for.
FamilyManifest read_family(Json& node, const std::string& pointer, ManifestReader& read, bool late);

// "embedding", "attention", "ffn", "state", "vision", "head" for the bits set, in that order.
std::vector<std::string> aspect_names(std::uint32_t aspects);
std::string_view signal_policy_name(std::uint32_t policy);

} // namespace plimsoll
