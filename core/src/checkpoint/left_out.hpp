// What a model's folder holds that is not read as its checkpoint: an index whose shards are elsewhere, .bin files, the parts of ranks. For
// the word that a plan from the configuration alone owes. Lists a folder, and reads an index. Threads: pure functions of the file system.
#pragma once

#include <optional>
#include <string>

#include "checkpoint/locate.hpp"

namespace plimsoll {

// A clause for a warning; nothing where the model has a checkpoint, or its folder nothing of the kind.
std::optional<std::string> left_out(const ModelFiles& files);

// Whether a file is a rank's part of a checkpoint that an engine saved as it had it: "model-rank-0-part-0.safetensors".
bool is_rank_part(std::string_view file_name);

} // namespace plimsoll
