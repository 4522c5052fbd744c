// plimsoll/gpus.hpp - what the ranks of a plan compute on: this machine's processors, unless options name something else, such as GPUs.
// `plimsoll run --device-backend cuda` does. GPUs stand in a library of their own, libplimsoll_cuda.so, which is loaded when one is asked
// for; memory that the arenas of such a rank give is the GPU's then. Ranks that share a model have a GPU each and are joined by NCCL, which
// is loaded then too (libnccl.so.2). Threads: [any]; a backend is [serial].
//
//   options.backend = [](std::uint32_t rank) { return open_gpu(rank); };
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "plimsoll/export.hpp"
#include "plimsoll/result.hpp"

namespace plimsoll {

class Backend; // the library's own

// What a rank of the plan computes on; asked once for each. Empty: the processors.
using OpenBackend = std::function<Result<std::shared_ptr<Backend>>(std::uint32_t rank)>;

// A GPU by the number that the driver gives it. kBadRequest where there is none, or this installation was built without the CUDA Toolkit.
Result<std::shared_ptr<Backend>> PLIMSOLL_API open_gpu(std::uint32_t index);

} // namespace plimsoll
