// What must hold for any request: a table of properties, each a function that says how an answer breaks it.
// No property knows a model, an engine or a formula of the core; each reads documents only. Threads: any.
#pragma once

#include <span>
#include <string>

#include "property/library.hpp"
#include "property/request.hpp"

namespace plimsoll::property {

struct Property {
  const char* name;
  unsigned once_in; // of how many requests it is tried: those that plan again, or run the command, cost more
  // What is wrong with `answer`, the library's to `request`; empty: nothing. May plan other requests.
  std::string (*violation)(const Request& request, const Answer& answer);
};

std::span<const Property> properties();

} // namespace plimsoll::property
