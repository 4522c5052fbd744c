// Loads the weights of a model out of its files into memory that the caller gives, in the order in which they lie in the files.
// Called by whoever executes a Program. Reads with pread into the destination and maps nothing: a file that another process cuts
// short is an error here, where a mapping would end the process. Never allocates by what a file says. Threads: a plain function.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "plimsoll/result.hpp"
#include "plimsoll/weight_sources.hpp"

namespace plimsoll {

// Where a tensor shall lie: exactly `tensor.bytes` bytes, aligned to its elements. Asked once for each, in the order of the sources.
using PlaceWeight = std::function<Result<std::span<std::byte>>(const WeightTensor& tensor)>;

// Told every 16 MiB or so and at the end. An error stops the loading and becomes its result; may be empty.
using WeightsProgress = std::function<Result<void>(std::uint64_t done_bytes, std::uint64_t total_bytes)>;

// The memory of each tensor, in the order of sources.tensors. Sizes of all files are checked before the first is asked for.
// kBadCheckpoint: a file is not there any more, is no regular file, or ends too early.
Result<std::vector<std::span<std::byte>>> load_weights(const WeightSources& sources, const PlaceWeight& place,
                                                       const WeightsProgress& progress = {});

} // namespace plimsoll
