// Commands that are printed for people to run again. Threads: pure functions.
#pragma once

#include <string>

namespace plimsoll {

// A word as a shell takes it: quoted where it has to be.
std::string shell_word(const std::string& word);

} // namespace plimsoll
