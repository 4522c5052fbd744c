// What a WeightTensor is filled with, element by element, by the definition of plimsoll/weight_sources.hpp and nobody's loader.
// For tests of who makes and who reads such tensors. Threads: plain functions.
#pragma once

#include <cstdint>
#include <vector>

#include "plimsoll/weight_sources.hpp"

namespace plimsoll::test {

// For each element of the tensor the number of the element of its file that goes there, counted from the file's first byte; -1 where
// nothing does, -2 where two pieces want to, or a piece leads outside.
inline std::vector<int> filled(const WeightTensor& tensor) {
  const std::uint64_t element_bytes = tensor.dtype == "float32" ? 4 : 2;
  std::vector<int> out(tensor.bytes / element_bytes, -1);
  for (const WeightPiece& piece : tensor.pieces) {
    std::vector<WeightAxis> axes = piece.axes;
    if (axes.empty()) axes.push_back({piece.bytes / element_bytes, 1});
    for (std::uint64_t i = 0; i < piece.bytes / element_bytes; ++i) {
      std::uint64_t to = piece.to_bytes / element_bytes, rest = i;
      for (auto axis = axes.rbegin(); axis != axes.rend(); ++axis) {
        to += rest % axis->extent * axis->to_stride_elements;
        rest /= axis->extent;
      }
      if (to >= out.size() || rest != 0) return {-2};
      out[to] = out[to] == -1 ? static_cast<int>(piece.offset_bytes / element_bytes + i) : -2;
    }
  }
  return out;
}

} // namespace plimsoll::test
