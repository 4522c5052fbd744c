// Whether a program, its weights, its KV groups and its memory belong together: everything that a pass relies on, so that none of its ops
// can leave its memory. Called once, when an executor is made. Threads: pure functions.
#pragma once

#include <span>

#include "runtime/executor.hpp"

namespace plimsoll {

// kBadRequest with the op and what is wrong with it. `slab_bytes`: of the program, for float32.
Result<void> check_program(const Program& program, std::span<const void* const> weights, std::span<const ExecutorKvGroup> groups);

} // namespace plimsoll
