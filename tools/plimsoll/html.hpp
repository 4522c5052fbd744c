// Text and numbers as HTML that is well-formed XML too, so that any checker reads it. Knows nothing about plans; never writes.
// Threads: pure functions.
#pragma once

#include <string>
#include <string_view>

namespace plimsoll::cli {

// Whatever a text holds as content or as the value of a quoted attribute: markup, quotes and control characters are taken out of it, and
// bytes that are no UTF-8 become U+FFFD.
std::string html_text(std::string_view text);

// <name attributes>content</name>; attributes and content are HTML already.
std::string html_element(std::string_view name, std::string_view attributes, std::string_view content);

} // namespace plimsoll::cli
