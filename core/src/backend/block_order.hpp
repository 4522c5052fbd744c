// The order in which an encoder has the blocks of an image, each of merge x merge patches: row by row, or window by window. Called by
// whoever cuts an image, numbers its patches, or puts rows in order again. Threads: pure functions.
#pragma once

#include <algorithm>
#include <cstdint>

namespace plimsoll {

// Calls window(y, x, end_y, end_x) for every window of `side` x `side` blocks of an image of rows x columns; side 0: one that is all.
template <class Function>
void for_windows(std::uint64_t rows, std::uint64_t columns, std::uint64_t side, Function window) {
  const std::uint64_t step = side == 0 ? std::max<std::uint64_t>(std::max(rows, columns), 1) : side;
  for (std::uint64_t y = 0; y < rows; y += step)
    for (std::uint64_t x = 0; x < columns; x += step) window(y, x, std::min(y + step, rows), std::min(x + step, columns));
}

// Calls block(y, x) for every block, in order.
template <class Function>
void for_blocks(std::uint64_t rows, std::uint64_t columns, std::uint64_t side, Function block) {
  for_windows(rows, columns, side, [&](std::uint64_t first_y, std::uint64_t first_x, std::uint64_t end_y, std::uint64_t end_x) {
    for (std::uint64_t y = first_y; y < end_y; ++y)
      for (std::uint64_t x = first_x; x < end_x; ++x) block(y, x);
  });
}

} // namespace plimsoll
