// The projector of a model that sees or hears, as llama.cpp keeps it: a GGUF file of its own beside the model's. Called by Context. Reads
// the header and no tensor data. Threads: pure functions of the file system.
#pragma once

#include <optional>
#include <string>

#include "checkpoint/gguf.hpp"
#include "checkpoint/locate.hpp"
#include "plan/settled.hpp"

namespace plimsoll {

// Whether a file with this metadata is a projector.
bool is_projector(const GgufMetadata& metadata);

// kBadRequest where the file is no projector; kBadCheckpoint where it is no GGUF file.
Result<Projector> read_projector(const std::string& path);

// The projector that lies beside a model's GGUF files: of several the largest file. Nothing beside other checkpoints, nor in a folder of
// several models, where it may be of any.
std::optional<std::string> projector_beside(const ModelFiles& files);

} // namespace plimsoll
