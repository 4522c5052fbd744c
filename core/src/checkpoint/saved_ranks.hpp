// A checkpoint that an engine saved as its ranks had it (vLLM and SGLang, --load-format sharded_state): for every rank of its tensor
// parallelism the files model-rank-{rank}-part-{part}.safetensors, whose tensors are fused and cut as that rank holds them. No other
// number of ranks can load it. Reads headers. Threads: pure functions of the file system.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "plimsoll/result.hpp"

namespace plimsoll {

// Whether a file is such a part: "model-rank-0-part-0.safetensors".
bool is_rank_part(std::string_view file_name);

// Bytes of the tensors of each rank, by rank. `parts`: paths of all such files of a folder, at least one. kBadCheckpoint where one between
// the first and the last is missing, or is no safetensors file.
Result<std::vector<std::uint64_t>> saved_rank_bytes(const std::vector<std::string>& parts);

} // namespace plimsoll
