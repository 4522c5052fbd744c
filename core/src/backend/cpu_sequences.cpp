// Ops of the CPU that know where in its sequence a row stands: EMBED_POSITION, POOL, JOIN. Threads: [serial].
#include <algorithm>
#include <array>

#include "backend/cpu_ops.hpp"
#include "backend/elements.hpp"
#include "plimsoll/pipeline.h"

namespace plimsoll::cpu {
namespace {

constexpr std::uint64_t kColumns = 256; // that are worked on at a time

// what(first, n) for blocks of columns.
template <class Function>
void for_columns(std::uint64_t width, Function what) {
  for (std::uint64_t first = 0; first < width; first += kColumns) what(first, std::min(kColumns, width - first));
}

} // namespace

template <class Real>
void embed_position(const PassView& pass, const EmbedPositionArgs<Real>& args) {
  std::array<Real, kColumns> block;
  const auto scale = static_cast<Real>(args.scale);
  for (std::uint64_t b = 0; b < pass.sequences; ++b)
    for (std::uint64_t row = pass.row_offsets[b]; row < pass.row_offsets[b + 1]; ++row) {
      const std::uint64_t position = pass.cache_lengths[b] + row - pass.row_offsets[b];
      const std::uint64_t at = (args.first + args.step * position) * args.table.stride;
      Real* const out = args.out.row(row);
      for_columns(args.out.width, [&](std::uint64_t first, std::uint64_t n) {
        load_elements(args.table.data, args.table.type, at + first, n, block.data());
        for (std::uint64_t i = 0; i < n; ++i) out[first + i] = (args.accumulate ? out[first + i] : Real{0}) + scale * block[i];
      });
    }
}

template <class Real>
void pool(const PassView& pass, const PoolArgs<Real>& args) {
  std::array<double, kColumns> sums;
  for (std::uint64_t b = 0; b < std::min(pass.sequences, args.out.rows); ++b) {
    const std::uint64_t begin = pass.row_offsets[b], end = pass.row_offsets[b + 1];
    Real* const out = args.out.row(b);
    if (args.how != PLIMSOLL_POOL_MEAN) {
      std::copy_n(args.x.row(args.how == PLIMSOLL_POOL_FIRST ? begin : end - 1), args.x.width, out);
      continue;
    }
    for_columns(args.x.width, [&](std::uint64_t first, std::uint64_t n) {
      std::fill_n(sums.begin(), n, 0.0);
      for (std::uint64_t row = begin; row < end; ++row)
        for (std::uint64_t i = 0; i < n; ++i) sums[i] += static_cast<double>(args.x.row(row)[first + i]);
      for (std::uint64_t i = 0; i < n; ++i) out[first + i] = static_cast<Real>(sums[i] / static_cast<double>(end - begin));
    });
  }
}

template <class Real>
void join(const PassView& pass, const JoinArgs<Real>& args) {
  const auto put = [](const Rows<const Real>& from, std::uint64_t row, bool blank, Real* to) {
    if (blank) std::fill_n(to, from.width, Real{0});
    else std::copy_n(from.row(row), from.width, to);
  };
  for (std::uint64_t b = 0; b < pass.sequences; ++b)
    for (std::uint64_t row = pass.row_offsets[b]; row < pass.row_offsets[b + 1]; ++row) {
      const bool first = pass.cache_lengths[b] + row == pass.row_offsets[b];
      put(args.a, row, first && args.blank == 1, args.out.row(row));
      put(args.b, row, first && args.blank == 2, args.out.row(row) + args.a.width);
    }
}

template void embed_position(const PassView&, const EmbedPositionArgs<float>&);
template void embed_position(const PassView&, const EmbedPositionArgs<double>&);
template void pool(const PassView&, const PoolArgs<float>&);
template void pool(const PassView&, const PoolArgs<double>&);
template void join(const PassView&, const JoinArgs<float>&);
template void join(const PassView&, const JoinArgs<double>&);

} // namespace plimsoll::cpu
