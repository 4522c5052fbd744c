// Images in tiles, as LLaVA-NeXT and its relatives cut them: a grid of the best fitting resolution, one row more at the end of each line,
// and the whole image as a tile. Called while towers are constructed. Threads: pure.
#pragma once

#include <cstdint>
#include <string_view>

#include "plimsoll/plugin_util.hpp"

namespace vlm {

struct TiledImage {
  std::uint64_t rows = 0, tiles = 1; // handed to the language model; read by the encoder
};

// The largest of /image_grid_pinpoints: `side` rows a side of a tile, which has `pixels` a side. `limit`: at most as many tiles' worth of
// rows, 0 for no limit; a larger grid is shrunk where it exceeds that by more than 10 % a side.
TiledImage largest_tiling(const plimsoll::Config& model, std::uint64_t side, std::uint64_t pixels, std::uint64_t limit);

// "anyres_max_9": at most 9 tiles' worth of features; 0: no limit.
std::uint64_t feature_limit(std::string_view ratio);

} // namespace vlm
