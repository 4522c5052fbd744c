// A manifest for tests of manifests, of trust and of the registry. One thread.
#pragma once

#include <string>

#include "support/temporary_folder.hpp"

namespace plimsoll::testing {

// A manifest that is right; tests break single lines of it.
inline std::string good_manifest(const std::string& id, const std::string& version = "1.0.0") {
  return "schema: plimsoll.plugin/1\nid: " + id + "\nversion: " + version +
         "\nvendor: tests\nabi: {major: 1, minor: 0, min_host_minor: 0}\nlibrary: lib" + id + ".so\nfamilies:\n  - id: " + id +
         "\n    aspects: [attention]\n    signal_buffers: never\n    architectures: [" + id + "ForCausalLM]\n    model_types: [" + id +
         "]\n";
}

} // namespace plimsoll::testing
