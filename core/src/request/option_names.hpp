// Names of options: dashes and underscores are the same, and a misspelt one gets a suggestion.
// Called by the option table and by the readers of pipeline files and JSON requests. Threads: pure functions.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace plimsoll {

// "max-length" and "max_length" are "max_length".
std::string option_key(std::string_view name);
// Whether `name` is one of plan_options() or of `also`.
bool known_option(std::string_view name, std::span<const std::string_view> also);
// The message for a name that is not: "unknown option 'max_lenght'; did you mean max_length?".
std::string unknown_option(std::string_view name, std::span<const std::string_view> also);

} // namespace plimsoll
