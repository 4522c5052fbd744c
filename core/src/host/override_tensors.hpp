// --override-tensor: which tensors of a model lie in host memory because an expression finds their name in a GGUF file, whatever the model
// was loaded from. Called before a plan is made. Threads: pure functions.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "checkpoint/gguf_words.hpp"
#include "model/declared.hpp"
#include "placement/rank_layout.hpp"
#include "plimsoll/result.hpp"

namespace plimsoll {

// `overrides`: REGEX=CPU; the first that finds a name counts, as they all mean the host. `words`: how GGUF files of such a model name their
// tensors. A class that these have no name for stays where it is, but experts have the names that all files give them, and move where
// all of these are found. kBadRequest for what is no expression, and for one that finds nothing.
Result<std::shared_ptr<const HostTensors>> host_tensors(const Declared& declared, const GgufArchitecture& words,
                                                        const std::vector<std::string>& overrides);

} // namespace plimsoll
