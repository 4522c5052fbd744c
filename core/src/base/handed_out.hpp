// Everything that the C API hands out starts with the same hidden head, so that one function frees texts and objects alike.
// Never throws. Threads: a block belongs to one caller.
#pragma once

#include <string_view>

namespace plimsoll::capi {

// A copy of the text with its NUL, to be freed by release(); nullptr where there is no memory.
char* hand_out_text(std::string_view text) noexcept;
// Room for an object; `destroy` is run on it by release(). nullptr where there is no memory.
void* hand_out_room(std::size_t size_bytes, void (*destroy)(void*) noexcept) noexcept;
// Destroys and frees what one of the above gave; nullptr is allowed.
void release(void* handed_out) noexcept;

} // namespace plimsoll::capi
