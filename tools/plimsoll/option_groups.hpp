// Under which heading of the help an option of a plan stands. Called by command.cpp. Threads: constants.
#pragma once

#include <span>
#include <string_view>

namespace plimsoll::cli {

// By the option's name in a request; options without a heading of their own are "More". What matters most is "Options", which comes first.
std::string_view group_of(std::string_view option);

// The options that change what `plimsoll weights` answers.
std::span<const std::string_view> options_of_weights();

} // namespace plimsoll::cli
