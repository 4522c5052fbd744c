// Smaller requests that break the same property, for a person to read. Threads: any.
#pragma once

#include "property/properties.hpp"

namespace plimsoll::property {

// Without its release.
std::string engine_of(const Request& request);
// What a violation is about, figures and names left out: up to the first of them.
std::string kind_of(const std::string& violation);
// How much there is to read: options first.
std::size_t size_of(const Request& request);
// Options are left out and values made simple as long as `property` stays broken in the same way under the same engine.
Request shrunk(Request request, const Property& property);
Request request_of_json(const std::string& json);

} // namespace plimsoll::property
