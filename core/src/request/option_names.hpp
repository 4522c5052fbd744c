// Names of options: dashes and underscores are the same, and a misspelt one gets a suggestion.
// For the option table and the readers of pipeline files and JSON requests. Threads: pure functions.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "plimsoll/options.hpp"

namespace plimsoll {

// "max-length" and "max_length" are "max_length".
std::string option_key(std::string_view name);
// The option of that name in plan_options() or in `also`; nullptr where there is none.
const OptionInfo* find_option(std::string_view name, std::span<const OptionInfo> also);
// Whether a document may give a list of values for it.
bool takes_list(const OptionInfo& option);
// The message for a name that is not: "unknown option 'max_lenght'; did you mean max_length?".
std::string unknown_option(std::string_view name, std::span<const OptionInfo> also);

} // namespace plimsoll
