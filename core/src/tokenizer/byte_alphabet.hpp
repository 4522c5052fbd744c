// The alphabet in which byte-level vocabularies are written (GPT-2's): each byte as a printable character, so that JSON can hold it.
// Called by the readers of such vocabularies. Threads: pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace plimsoll {

// The bytes that a piece stands for: "Ġthe" is " the". Nothing where a character is none of the alphabet.
std::optional<std::string> bytes_of_alphabet(std::string_view piece);

} // namespace plimsoll
