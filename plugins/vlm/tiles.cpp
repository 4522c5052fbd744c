// See tiles.hpp. NeXT, 672 x 672 over 336: 48 x 48 + 48 + 576 = 2,928 rows from 5 tiles. OneVision keeps the features of 9 tiles.
#include "tiles.hpp"

#include <algorithm>
#include <cmath>
#include <string>

namespace vlm {

using plimsoll::Bytes;
using plimsoll::Config;
using plimsoll::Error;

namespace {

constexpr std::uint64_t kMostTiles = 256, kMostGrid = 64; // a side

void consider(std::uint64_t down, std::uint64_t across, std::uint64_t side, std::uint64_t limit, TiledImage& largest) {
  const std::uint64_t base = side * side;
  std::uint64_t height = down * side, width = across * side;
  if (limit > 0) {
    const double ratio = std::sqrt(static_cast<double>(height * width) / static_cast<double>(limit * base));
    if (ratio > 1.1) {
      height = static_cast<std::uint64_t>(static_cast<double>(height) / ratio);
      width = static_cast<std::uint64_t>(static_cast<double>(width) / ratio);
    }
  }
  largest.rows = std::max(largest.rows, height * width + height + base);
  largest.tiles = std::max(largest.tiles, down * across + 1);
}

// "(1x1),...,(6x6)": the last pair, all grids up to which are meant.
std::pair<std::uint64_t, std::uint64_t> last_grid(std::string_view text) {
  std::uint64_t numbers[2] = {0, 0};
  for (int i = 1; i >= 0; --i) {
    std::size_t end = text.size();
    while (end > 0 && (text[end - 1] < '0' || text[end - 1] > '9')) --end;
    std::size_t begin = end;
    while (begin > 0 && end - begin < 4 && text[begin - 1] >= '0' && text[begin - 1] <= '9') --begin;
    for (const char c : text.substr(begin, end - begin)) numbers[i] = numbers[i] * 10 + static_cast<std::uint64_t>(c - '0');
    text = text.substr(0, begin);
  }
  return {numbers[0], numbers[1]};
}

} // namespace

TiledImage largest_tiling(const Config& model, std::uint64_t side, std::uint64_t pixels, std::uint64_t limit) {
  TiledImage largest{(Bytes(side) * side).value(), 1};
  plimsoll_str text{nullptr, 0};
  constexpr std::string_view kKey = "/image_grid_pinpoints";
  if (model.host()->get_str(model.view(), plimsoll::to_str(kKey), &text) == PLIMSOLL_OK) {
    const auto [down, across] = last_grid(plimsoll::to_view(text));
    if (down == 0 || across == 0 || down > kMostGrid || across > kMostGrid)
      throw Error(PLIMSOLL_E_CONFIG, std::string(kKey), "sizes in a list, or grids as in \"(1x1),...,(6x6)\", were expected");
    for (std::uint64_t i = 1; i <= down; ++i)
      for (std::uint64_t j = 1; j <= across; ++j) consider(i, j, side, limit, largest);
    return largest;
  }
  const std::uint64_t n = plimsoll::bounded(model.find_len(kKey).value_or(0), 4096, kKey);
  for (std::uint64_t i = 0; i < n; ++i) {
    const std::string at = std::string(kKey) + "/" + std::to_string(i);
    const std::uint64_t down = std::max<std::uint64_t>(1, model.positive(at + "/0") / pixels);
    const std::uint64_t across = std::max<std::uint64_t>(1, model.positive(at + "/1") / pixels);
    if (down > kMostTiles || across > kMostTiles)
      throw Error(PLIMSOLL_E_CONFIG, at, "is more than 256 tiles a side; check the sizes in pixels");
    consider(down, across, side, limit, largest);
  }
  return largest;
}

std::uint64_t feature_limit(std::string_view ratio) {
  const std::size_t at = ratio.rfind('_');
  std::uint64_t limit = 0;
  if (ratio.substr(0, 11) != "anyres_max_") return 0;
  for (const char c : ratio.substr(at + 1)) {
    if (c < '0' || c > '9' || limit > 1000) return 0;
    limit = limit * 10 + static_cast<std::uint64_t>(c - '0');
  }
  return limit;
}

} // namespace vlm
