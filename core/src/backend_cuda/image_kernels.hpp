// Bodies of IMAGE_ROWS and of what a cache of encoded images keeps, an element each; and the rows of PATCHES, which the host cuts out of
// its own memory. Header only. Threads: see lanes.hpp.
#pragma once

#include "backend_cuda/lanes.hpp"

namespace plimsoll::gpu {

template <class Real>
struct ImageRowElement { // of rows * width
  PassView pass;
  ImageRowsArgs<Real> args;
  PLIMSOLL_DEVICE void operator()(std::uint64_t n) const {
    const std::uint64_t row = pass.image_rows[n / args.x.width];
    if (row != kNoImageRow) args.x.data[n] = load<Real>(args.encoded, args.type, row * args.x.width + n % args.x.width);
  }
};

template <class Real>
struct StoreRowElement { // of rows * width
  const Real* x;
  void* data;
  ElementType type;
  std::uint64_t first;
  PLIMSOLL_DEVICE void operator()(std::uint64_t n) const { store(x[n], data, type, first + n); }
};

// The patches of the block whose first pixel is (y, x), as PATCHES has them one after another: [patches, channels, frames, side, side].
template <class Real>
void cut_block(const PatchesArgs<Real>& args, std::uint64_t y, std::uint64_t x, Real* out) {
  const std::uint64_t merge = args.merge, side = args.side;
  for (std::uint64_t in = 0; in < merge * merge; ++in)
    for (std::uint64_t channel = 0; channel < args.channels; ++channel)
      for (std::uint64_t frame = 0; frame < args.frames; ++frame)
        for (std::uint64_t pixel = 0; pixel < side * side; ++pixel) {
          const std::uint64_t row = y + in / merge * side + pixel / side, column = x + in % merge * side + pixel % side;
          *out++ = static_cast<Real>(args.image.pixels[(row * args.image.width + column) * args.channels + channel]);
        }
}

} // namespace plimsoll::gpu
