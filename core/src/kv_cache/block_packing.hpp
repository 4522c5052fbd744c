// Layers of a page dealt into blocks of one size: one after another, none cut. Arithmetic only. Threads: plain values.
#pragma once

#include <cstdint>

namespace plimsoll {

// A position in blocks; `offset` may be the block's end.
struct BlockCursor {
  std::uint64_t block = 0, offset_bytes = 0;
};

// Where `layers` more layers end. 0 < layer_bytes <= block_bytes.
constexpr BlockCursor after_layers(BlockCursor at, std::uint64_t layers, std::uint64_t layer_bytes, std::uint64_t block_bytes) {
  const std::uint64_t room = (block_bytes - at.offset_bytes) / layer_bytes;
  if (layers <= room) return {at.block, at.offset_bytes + layers * layer_bytes};
  const std::uint64_t per_block = block_bytes / layer_bytes, rest = layers - room, whole = (rest - 1) / per_block;
  return {at.block + 1 + whole, (rest - whole * per_block) * layer_bytes};
}

// Where the next layer begins.
constexpr BlockCursor next_layer(BlockCursor at, std::uint64_t layer_bytes, std::uint64_t block_bytes) {
  return block_bytes - at.offset_bytes >= layer_bytes ? at : BlockCursor{at.block + 1, 0};
}

} // namespace plimsoll
