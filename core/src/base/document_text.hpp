// What every document has alike: how an error stands in it, and its text. Threads: pure functions.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "plimsoll/result.hpp"

namespace plimsoll {

// {"code", "message", "where"}
nlohmann::ordered_json error_object(const Error& error);

// The text of a document. Bytes that are not UTF-8 become U+FFFD; the text ends without a newline.
std::string dump_document(const nlohmann::ordered_json& document, int indent);

} // namespace plimsoll
