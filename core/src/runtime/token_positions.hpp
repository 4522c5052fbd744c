// Three positions for every token of a request with images, as ROPE_SECTIONS turns by them (plimsoll/pipeline.h). Text goes on by one in
// all three. An image of r x c tokens that begins at p has its token (y, x) at (p, p + y, p + x); what follows begins at p + max(r, c).
// Worked example: 4 tokens, an image of 2 x 3, then "." : (0,0,0) ... (3,3,3), (4,4,4) (4,4,5) (4,4,6) (4,5,4) (4,5,5) (4,5,6), (7,7,7).
// Source: get_rope_index of the transformers library's Qwen2-VL. Threads: pure function.
#pragma once

#include <cstdint>
#include <span>

#include "plimsoll/text_context.hpp"

namespace plimsoll {

// Of the tokens [begin, begin + out.size() / 3). Media without rows count as text.
void write_token_positions(std::span<const MediaSpan> media, std::uint64_t begin, std::span<std::uint32_t> out);

} // namespace plimsoll
