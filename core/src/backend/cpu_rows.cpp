// Ops of the CPU that take rows as they are: EMBED, LAST_ROWS, ADD, SCALE_ROWS, COLUMNS. Threads: [serial].
#include <algorithm>

#include "backend/cpu_activations.hpp"
#include "backend/cpu_ops.hpp"
#include "backend/elements.hpp"

namespace plimsoll::cpu {
namespace {

template <class Real>
void scale_row(const Real* x, std::uint64_t n, Real scale, bool accumulate, Real* out) {
  if (accumulate)
    for (std::uint64_t i = 0; i < n; ++i) out[i] += scale * x[i];
  else
    for (std::uint64_t i = 0; i < n; ++i) out[i] = scale * x[i];
}

} // namespace

template <class Real>
void embed(const PassView& pass, const EmbedArgs<Real>& args) {
  const auto scale = static_cast<Real>(args.scale);
  for (std::uint64_t t = 0; t < args.out.rows; ++t) {
    const std::int64_t token = pass.narrow_ids != nullptr ? pass.narrow_ids[t] : pass.wide_ids[t];
    Real* row = args.out.row(t);
    const std::uint64_t at = static_cast<std::uint64_t>(token) - args.first; // wraps below the first
    if (at >= args.rows) {
      std::fill_n(row, args.out.width, Real{0});
      continue;
    }
    load_elements(args.table.data, args.table.type, at * args.table.stride, args.out.width, row);
    if (scale != 1) scale_row(row, args.out.width, scale, false, row);
  }
}

template <class Real>
void last_rows(const PassView& pass, const RowsArgs<Real>& args) {
  std::uint64_t to = 0;
  for (std::uint64_t b = 0; b < pass.sequences; ++b) {
    const std::uint64_t begin = pass.row_offsets[b], end = pass.row_offsets[b + 1];
    for (std::uint64_t row = end - std::min(pass.outputs_per_sequence, end - begin); row < end; ++row)
      scale_row(args.x.row(row), args.x.width, Real{1}, args.accumulate, args.out.row(to++));
  }
}

template <class Real>
void add(const RowsArgs<Real>& args) {
  scale_row(args.x.data, args.x.rows * args.x.width, static_cast<Real>(args.scale), args.accumulate, args.out.data);
}

template <class Real>
void scale_rows(const ScaleRowsArgs<Real>& args) {
  for (std::uint64_t row = 0; row < args.out.rows; ++row) {
    Real scale = 0;
    activate(args.act, ActLimits{}, args.s.row(row), 1, &scale);
    scale_row(args.a.row(row), args.a.width, scale, args.accumulate, args.out.row(row));
  }
}

template <class Real>
void multiply_rows(const MultiplyArgs<Real>& args) {
  constexpr std::uint64_t kPiece = 256;
  std::array<Real, kPiece> w;
  const Real scale = static_cast<Real>(args.scale);
  for (std::uint64_t first = 0; first < args.out.width; first += kPiece) {
    const std::uint64_t n = std::min(kPiece, args.out.width - first);
    if (args.w.elements != 1) {
      load_elements(args.w.data, args.w.type, first, n, w.data());
    } else {
      load_elements(args.w.data, args.w.type, 0, 1, w.data());
      std::fill(w.begin() + 1, w.end(), w[0]);
    }
    for (std::uint64_t row = 0; row < args.out.rows; ++row) {
      const Real* const from = args.x.row(row) + first;
      Real* const to = args.out.row(row) + first;
      for (std::uint64_t i = 0; i < n; ++i) to[i] = scale * w[i] * from[i];
    }
  }
}

template <class Real>
void columns(const ColumnsArgs<Real>& args) {
  for (std::uint64_t row = 0; row < args.out.rows; ++row)
    for (std::uint64_t head = 0; head < args.heads; ++head)
      std::copy_n(args.x.row(row) + head * args.stride + args.first, args.columns, args.out.row(row) + head * args.columns);
}

template void embed(const PassView&, const EmbedArgs<float>&);
template void embed(const PassView&, const EmbedArgs<double>&);
template void last_rows(const PassView&, const RowsArgs<float>&);
template void last_rows(const PassView&, const RowsArgs<double>&);
template void add(const RowsArgs<float>&);
template void add(const RowsArgs<double>&);
template void scale_rows(const ScaleRowsArgs<float>&);
template void scale_rows(const ScaleRowsArgs<double>&);
template void multiply_rows(const MultiplyArgs<float>&);
template void multiply_rows(const MultiplyArgs<double>&);
template void columns(const ColumnsArgs<float>&);
template void columns(const ColumnsArgs<double>&);

} // namespace plimsoll::cpu
