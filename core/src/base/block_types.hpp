// Types that pack elements in blocks with a scale of their own, as GGUF files have them: what one block's elements are.
// Called by whoever loads weights. The layouts are those that ggml dequantises row by row. Threads: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace plimsoll {

struct BlockType {
  std::string_view name; // as Dtype::name
  std::uint32_t block_elements = 0, block_bytes = 0;
  void (*unpack)(const unsigned char* block, float* out) noexcept = nullptr; // block_bytes in, block_elements out
};

// float16 and bfloat16 are blocks of one element. nullptr: a type that nothing here unpacks.
const BlockType* find_block_type(std::string_view name);

} // namespace plimsoll
