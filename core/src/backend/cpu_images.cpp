// Ops of images on the CPU: PATCHES, MERGE_ROWS, IMAGE_ROWS, and what a cache of encoded images keeps. Threads: [serial].
#include <algorithm>

#include "backend/block_order.hpp"
#include "backend/cpu_ops.hpp"
#include "backend/elements.hpp"

namespace plimsoll::cpu {
namespace {

// One patch whose first pixel is (y, x), [channels, frames, side, side].
template <class Real>
void patch(const PatchesArgs<Real>& args, std::uint64_t y, std::uint64_t x, Real* out) {
  for (std::uint64_t channel = 0; channel < args.channels; ++channel)
    for (std::uint64_t frame = 0; frame < args.frames; ++frame)
      for (std::uint64_t row = y; row < y + args.side; ++row)
        for (std::uint64_t column = x; column < x + args.side; ++column)
          *out++ = static_cast<Real>(args.image.pixels[(row * args.image.width + column) * args.channels + channel]);
}

} // namespace

template <class Real>
void patches(const PatchesArgs<Real>& args) {
  const std::uint64_t merge = args.merge, block = merge * args.side; // pixels
  std::uint64_t to = 0;
  for_blocks(args.image.height / block, args.image.width / block, args.window, [&](std::uint64_t y, std::uint64_t x) {
    for (std::uint64_t in = 0; in < merge * merge; ++in)
      patch(args, y * block + in / merge * args.side, x * block + in % merge * args.side, args.out.row(to++));
  });
}

template <class Real>
void merge_rows(const RowsArgs<Real>& args) {
  std::copy_n(args.x.data, args.out.rows * args.out.width, args.out.data); // rows side by side are rows one after another
}

template <class Real>
void image_rows(const PassView& pass, const ImageRowsArgs<Real>& args) {
  if (pass.image_rows == nullptr) return;
  for (std::uint64_t t = 0; t < args.x.rows; ++t)
    if (pass.image_rows[t] != kNoImageRow)
      load_elements(args.encoded, args.type, pass.image_rows[t] * args.x.width, args.x.width, args.x.row(t));
}

template <class Real>
void store_rows(const Rows<const Real>& x, void* data, ElementType type, std::uint64_t first) {
  store_elements(x.data, x.rows * x.width, data, type, first);
}

template void patches(const PatchesArgs<float>&);
template void patches(const PatchesArgs<double>&);
template void merge_rows(const RowsArgs<float>&);
template void merge_rows(const RowsArgs<double>&);
template void image_rows(const PassView&, const ImageRowsArgs<float>&);
template void image_rows(const PassView&, const ImageRowsArgs<double>&);
template void store_rows(const Rows<const float>&, void*, ElementType, std::uint64_t);
template void store_rows(const Rows<const double>&, void*, ElementType, std::uint64_t);

} // namespace plimsoll::cpu
