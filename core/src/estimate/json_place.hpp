// Where a JSON text goes wrong, as a pointer: the fast parser says only that it does. Called for errors alone.
// Never recurses, never throws; text and depth are bounded by the caller's limits. Threads: pure functions.
#pragma once

#include <string>
#include <string_view>

namespace plimsoll {

// A key as one token of an RFC 6901 pointer: ~ becomes ~0, / becomes ~1. Cut at 128 bytes.
std::string json_pointer_token(std::string_view key);

// The pointer of the value at which `text` stops being JSON: a bad literal, a number beyond a double or 64 bits,
// a missing comma, nesting beyond 256. "" for the document itself, or where nothing is wrong.
std::string json_error_pointer(std::string_view text);

} // namespace plimsoll
