// Completions of three shells: commands, options, the words that an option's value may be, paths. Threads: pure functions.
#pragma once

#include <string>

#include "asked_help.hpp"

namespace plimsoll::pages {

std::string bash_completion(const Help& help);
std::string zsh_completion(const Help& help);
std::string fish_completion(const Help& help);

} // namespace plimsoll::pages
