// Manual pages, section 1. Threads: pure functions.
#pragma once

#include <string>

#include "asked_help.hpp"

namespace plimsoll::pages {

std::string program_page(const Help& help);
std::string command_page(const Help& help, const HelpCommand& command);

} // namespace plimsoll::pages
