// What a model's folder holds that is not read as its checkpoint: an index whose shards are elsewhere, .bin files. For the word that a plan
// from the configuration alone owes. Lists a folder, and reads an index. Threads: pure functions of the file system.
#pragma once

#include <optional>
#include <string>

#include "checkpoint/locate.hpp"

namespace plimsoll {

// A clause for a warning; nothing where the model has a checkpoint, or its folder nothing of the kind.
std::optional<std::string> left_out(const ModelFiles& files);

} // namespace plimsoll
