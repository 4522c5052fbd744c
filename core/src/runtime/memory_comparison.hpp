// What was planned against what was taken: the verdicts of plimsoll/verify_run.hpp. Threads: a pure function.
#pragma once

#include <array>
#include <span>
#include <vector>

#include "plimsoll/arena.hpp"
#include "plimsoll/verify_run.hpp"

namespace plimsoll {

// What an arena says once all has been given back: live bytes are what was not.
struct RankMeasurement {
  std::vector<Usage> lines;
  std::array<Usage, kCategories> categories; // peaks of a category as a whole may be less than the sum of its lines'
};

// `own_plan`: the plan is of this runtime. Then a line that is not planned is over, and what is far from used is wasted. Overheads are
// counted where a library took them and stay taken, so they are neither wasted nor left.
std::vector<CategoryVerdict> compare_memory(const RankMeasurement& measured, bool own_plan);

} // namespace plimsoll
