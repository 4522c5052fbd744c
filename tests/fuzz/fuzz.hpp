// What a fuzz target defines. The driver (driver.cpp) mutates the seeds and calls fuzz_one; a crash, a sanitizer's
// report, an exception or ten seconds of CPU for one input is a failure, and the input is left in <target>.crash.
// Each tests/fuzz/<name>_fuzz.cpp is a target of its own; ctest runs it for a second, label `fuzz`.
// PLIMSOLL_FUZZ_SECONDS and PLIMSOLL_FUZZ_SEED change that; `<target> FILE` replays one input.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::fuzz {

std::vector<std::string> seeds();      // valid and nearly valid inputs
void fuzz_one(std::string_view input); // must return for any input

} // namespace plimsoll::fuzz
