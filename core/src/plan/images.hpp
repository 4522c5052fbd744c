// What a plan of an engine that executes described pipelines takes of images: nothing where its vision cache has no share, else the encoder
// that the planner describes, for one image of the largest size. Called by the steps that price a pass and the cache. Threads: pure
// functions.
#pragma once

#include "plan/settled.hpp"
#include "plimsoll/program.hpp"
#include "schedule/tables.hpp"

namespace plimsoll {

// Rows of 0 where no image is taken. kUnsupportedArchitecture where one could be and no encoder is described.
Result<ProgramImages> planned_images(const Settled& settled);

// The pass of the encoder: tokens are patches, outputs rows of the text.
PassShape encoder_pass(const ProgramImages& images);

} // namespace plimsoll
