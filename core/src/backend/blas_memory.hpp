// What OpenBLAS really took for itself, measured: the plan's bound stands in schedule/blas_memory.hpp. Threads: [any].
#pragma once

#include <cstdint>

#include "plimsoll/result.hpp"

namespace plimsoll {

// Multiplies matrices of so many tokens, as large as packs the most, on so many threads at the same time, and says by how many bytes the
// memory of this process has grown through that and through earlier calls. Called once, before the first pass: what a pass takes is then
// there. What other threads take meanwhile counts too. kInternal where the system does not say what a process has.
Result<std::uint64_t> blas_bytes(std::uint64_t most_tokens, std::uint32_t threads = 1);

} // namespace plimsoll
