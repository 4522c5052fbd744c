// What the tables of a GGUF file divide rotary frequencies by, read out of its data and applied to a program.
// Called by Context::program. Threads: pure functions.
#pragma once

#include "checkpoint/checkpoint.hpp"
#include "plimsoll/program.hpp"

namespace plimsoll {

// llama.cpp: frequency i is divided by entry i of "rope_freqs.weight" (Llama 3), or of "rope_factors_long.weight" where requests may be
// longer than the model was first trained for, else of "rope_factors_short.weight" (Phi-3); sine and cosine are multiplied by
// rope.scaling.attn_factor. Nothing changes for a checkpoint without such tables.
// kBadCheckpoint: a table of another type or of values that divide nothing, or data that is not there. kUnsupportedArchitecture: a
// program with other frequencies than the table has entries for.
Result<void> apply_rope_factors(const Checkpoint& checkpoint, Program& program);

} // namespace plimsoll
