// What plimsoll_fit_json is asked, and the command of each answer. Threads: as host.h says.
#pragma once

#include <string>

#include "plimsoll/host.hpp"

namespace plimsoll::capi {

// The document plimsoll.fit/1 of what `json` asks for. kBadRequest with a JSON pointer for what the object has wrong.
Result<std::string> fit_document_of(const Context& context, const char* json);

} // namespace plimsoll::capi
