// The name of an engine as people type it: any case, names that it is known by, vllm:0.11.0. For profiles and for tables of flags.
// Reads the list of such names only where the plain name has no profile. Threads: pure functions.
#pragma once

#include <string>

#include "plimsoll/result.hpp"

namespace plimsoll {

struct EngineName {
  std::string name, release; // release: empty where none is asked for
  bool is_file = false;      // a profile of the user's own: name is its path
};

// "VLLM@0.11.0" is vllm, 0.11.0. kBadRequest where there is no such profile, with what to give instead.
Result<EngineName> find_engine_name(const std::string& catalogue, const std::string& typed);

} // namespace plimsoll
