// The catalogue of the source tree with the plugins of this build: what tests plan with. Reads no file of the machine's own
// model cache. Made once a program; any thread. Programs that include it have PLIMSOLL_SOURCE_DIR and PLIMSOLL_BUILD_DIR.
#pragma once

#include <cstdlib>

#include "plimsoll/host.hpp"

namespace plimsoll::test {

inline const Context& built_context() {
  static const Context context = [] {
    setenv("HF_HUB_CACHE", "/nonexistent", 1);
    ContextOptions options;
    options.catalogue_path = PLIMSOLL_SOURCE_DIR "/core/catalogue";
    options.plugin_paths = {PLIMSOLL_BUILD_DIR "/lib/plimsoll/plugins"};
    options.trust = Trust::kOpen;
    return Context::create(options).value();
  }();
  return context;
}

} // namespace plimsoll::test
