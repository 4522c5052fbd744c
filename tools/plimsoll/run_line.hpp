// What `plimsoll run` is asked for, which two programs read: plimsoll, where plimsoll-run is not beside it, and plimsoll-run. Threads: pure
// functions.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>

#include "command.hpp"

namespace plimsoll::cli {

// The schema of its document, errors included: of vectors where texts are to be embedded. Read before the arguments are parsed, as errors
// of parsing are reported in it too.
inline std::string_view run_schema(const Arguments& arguments) {
  const auto embeds = [](const std::string& word) {
    const std::string_view option = std::string_view(word).substr(0, word.find('='));
    return option == "--embed" || option == "--embed-ids";
  };
  return std::any_of(arguments.begin(), arguments.end(), embeds) ? "plimsoll.embed/1" : "plimsoll.run/1";
}

} // namespace plimsoll::cli
