// Lets the planners of a model declare: copies what they hand over out of the ABI, checked by the gate, into a Declared.
// Called once when a model is loaded. Threads: one load, one thread.
#pragma once

#include "model/declared.hpp"
#include "storage/quantization.hpp"

namespace plimsoll {

// Asks every planner of the planners. `dtype` is the checkpoint's common type. Errors name planner and class.
Result<Declared> declare(const Planners& planners, const Quantization& quantization, const Dtype& dtype);

} // namespace plimsoll
