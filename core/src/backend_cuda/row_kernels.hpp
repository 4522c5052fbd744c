// Bodies of EMBED, EMBED_POSITION, POOL, GATE, LAST_ROWS, ADD, SCALE_ROWS and COLUMNS, an element each; and of NORM, a warp for each row or
// head of one. Header only. Threads: see lanes.hpp.
#pragma once

#include "backend_cuda/activations.hpp"
#include "backend_cuda/lanes.hpp"

namespace plimsoll::gpu {

template <class Real>
PLIMSOLL_DEVICE void put(Real x, bool accumulate, Real* out) {
  *out = accumulate ? *out + x : x;
}

template <class Real>
struct EmbedElement { // of rows * width
  PassView pass;
  EmbedArgs<Real> args;
  PLIMSOLL_DEVICE void operator()(std::uint64_t n) const {
    const std::uint64_t row = n / args.out.width, column = n % args.out.width;
    const std::int64_t token = pass.narrow_ids != nullptr ? pass.narrow_ids[row] : pass.wide_ids[row];
    const std::uint64_t at = static_cast<std::uint64_t>(token) - args.first; // wraps below the first
    args.out.data[n] = at >= args.rows
                           ? Real{0}
                           : load<Real>(args.table.data, args.table.type, at * args.table.stride + column) * static_cast<Real>(args.scale);
  }
};

template <class Real>
struct EmbedPositionElement { // of rows * width
  PassView pass;
  EmbedPositionArgs<Real> args;
  PLIMSOLL_DEVICE void operator()(std::uint64_t n) const {
    const std::uint64_t row = n / args.out.width, column = n % args.out.width;
    const std::uint64_t at = args.first + args.step * position_of(pass, sequence_of(pass, row), row);
    put(load<Real>(args.table.data, args.table.type, at * args.table.stride + column) * static_cast<Real>(args.scale), args.accumulate,
        args.out.data + n);
  }
};

template <class Real>
struct PoolElement { // of sequences * width
  PassView pass;
  PoolArgs<Real> args;
  PLIMSOLL_DEVICE void operator()(std::uint64_t n) const {
    const std::uint64_t width = args.x.width, b = n / width, column = n % width;
    const std::uint64_t begin = pass.row_offsets[b], end = pass.row_offsets[b + 1];
    if (args.how != PLIMSOLL_POOL_MEAN) {
      args.out.data[n] = args.x.row(args.how == PLIMSOLL_POOL_FIRST ? begin : end - 1)[column];
      return;
    }
    double sum = 0;
    for (std::uint64_t row = begin; row < end; ++row) sum += static_cast<double>(args.x.row(row)[column]);
    args.out.data[n] = static_cast<Real>(sum / static_cast<double>(end - begin));
  }
};

template <class Real>
struct GateElement {
  GateArgs<Real> args;
  PLIMSOLL_DEVICE void operator()(std::uint64_t n) const {
    const Real limit = static_cast<Real>(args.limit), alpha = static_cast<Real>(args.alpha), a = args.a.data[n];
    const Real x = args.b.data == nullptr ? activated(args.act, limit, a) : activated_pair(args.act, limit, alpha, a, args.b.data[n]);
    put(x, args.accumulate, args.out.data + n);
  }
};

template <class Real>
struct LastRowElement { // of outputs * width
  PassView pass;
  RowsArgs<Real> args;
  PLIMSOLL_DEVICE void operator()(std::uint64_t n) const {
    const std::uint64_t width = args.x.width;
    std::uint64_t at = n / width; // counted down to the row's place among those of its sequence
    for (std::uint64_t b = 0; b < pass.sequences; ++b) {
      const std::uint64_t tokens = pass.row_offsets[b + 1] - pass.row_offsets[b];
      const std::uint64_t outputs = tokens < pass.outputs_per_sequence ? tokens : pass.outputs_per_sequence;
      if (at < outputs) {
        put(args.x.row(pass.row_offsets[b + 1] - outputs + at)[n % width], args.accumulate, args.out.data + n);
        return;
      }
      at -= outputs;
    }
  }
};

template <class Real>
struct AddElement {
  RowsArgs<Real> args;
  PLIMSOLL_DEVICE void operator()(std::uint64_t n) const {
    put(static_cast<Real>(args.scale) * args.x.data[n], args.accumulate, args.out.data + n);
  }
};

template <class Real>
struct ScaleRowElement {
  ScaleRowsArgs<Real> args;
  PLIMSOLL_DEVICE void operator()(std::uint64_t n) const {
    const Real scale = activated(args.act, Real{0}, *args.s.row(n / args.a.width));
    put(scale * args.a.data[n], args.accumulate, args.out.data + n);
  }
};

template <class Real>
struct MultiplyElement { // of rows * width
  MultiplyArgs<Real> args;
  PLIMSOLL_DEVICE void operator()(std::uint64_t n) const {
    const Real w = element(args.w, args.w.elements == 1 ? 0 : n % args.out.width, Real{1});
    args.out.data[n] = static_cast<Real>(args.scale) * w * args.x.data[n];
  }
};

template <class Real>
struct ColumnElement { // of rows * heads * columns
  ColumnsArgs<Real> args;
  PLIMSOLL_DEVICE void operator()(std::uint64_t n) const {
    const std::uint64_t width = args.heads * args.columns, row = n / width, head = n % width / args.columns, i = n % args.columns;
    args.out.row(row)[head * args.columns + i] = args.x.row(row)[head * args.stride + args.first + i];
  }
};

template <class Real>
struct JoinElement { // of rows * width
  PassView pass;
  JoinArgs<Real> args;
  PLIMSOLL_DEVICE void operator()(std::uint64_t n) const {
    const std::uint64_t row = n / args.out.width, column = n % args.out.width;
    const bool of_b = column >= args.a.width;
    const bool blank = args.blank == (of_b ? 2U : 1U) && position_of(pass, sequence_of(pass, row), row) == 0;
    args.out.data[n] = blank ? Real{0} : of_b ? args.b.row(row)[column - args.a.width] : args.a.row(row)[column];
  }
};

// Rows as they are, before a part of their columns is changed.
template <class Real>
struct CopyElement {
  const Real* x;
  Real* out;
  PLIMSOLL_DEVICE void operator()(std::uint64_t n) const { out[n] = x[n]; }
};

template <class Real, class Lanes>
PLIMSOLL_DEVICE double sum_of_squares(const Lanes& lanes, const Real* x, std::uint64_t n, double centre) {
  const auto difference = [=](std::uint64_t i) { return static_cast<double>(x[i]) - centre; };
  return dot<double>(lanes, n, difference, difference);
}

// out = (x - centre) * scale * gain + bias; gain and bias from their elements at `first` on, or all of them.
template <class Real, class Lanes>
PLIMSOLL_DEVICE void scale_columns(const Lanes& lanes, const NormArgs<Real>& args, std::uint64_t first, std::uint64_t n, double centre,
                                   double sum_of_squares, const Real* x, Real* out) {
  const std::uint64_t columns = args.columns;
  const Real scale = static_cast<Real>(1 / std::sqrt(sum_of_squares / static_cast<double>(columns) + args.epsilon));
  const Real more = args.plus_one && args.gain.data != nullptr ? Real{1} : Real{0};
  const std::uint64_t gain = args.gain.elements > n ? first : 0, bias = args.bias.elements > n ? first : 0;
  for (std::uint64_t i = lanes.index(); i < n; i += lanes.count())
    out[i] =
        (x[i] - static_cast<Real>(centre)) * scale * (element(args.gain, gain + i, Real{1}) + more) + element(args.bias, bias + i, Real{0});
}

template <class Real>
struct NormHead { // of rows * heads
  NormArgs<Real> args;
  template <class Lanes>
  PLIMSOLL_DEVICE void operator()(std::uint64_t n, const Lanes& lanes) const {
    const std::uint64_t row = n / args.heads, head = n % args.heads, columns = args.columns;
    const std::uint64_t column = head * args.stride + args.first;
    const Real* const x = args.x.row(row) + column;
    double centre = 0;
    if (args.mean) {
      for (std::uint64_t i = lanes.index(); i < columns; i += lanes.count()) centre += static_cast<double>(x[i]);
      centre = lanes.sum(centre) / static_cast<double>(columns);
    }
    const double sum = sum_of_squares(lanes, x, columns, centre);
    scale_columns(lanes, args, head * columns, columns, centre, sum, x, args.out.row(row) + column);
  }
};

template <class Real>
struct SumOfRow {
  RowsArgs<Real> args;
  template <class Lanes>
  PLIMSOLL_DEVICE void operator()(std::uint64_t row, const Lanes& lanes) const {
    const double sum = sum_of_squares(lanes, args.x.row(row), args.x.width, 0);
    if (lanes.index() == 0) *args.out.row(row) = static_cast<Real>(sum);
  }
};

template <class Real>
struct NormOfSum {
  NormArgs<Real> args;
  Rows<const Real> sums;
  template <class Lanes>
  PLIMSOLL_DEVICE void operator()(std::uint64_t row, const Lanes& lanes) const {
    scale_columns(lanes, args, args.first, args.x.width, 0, static_cast<double>(*sums.row(row)), args.x.row(row), args.out.row(row));
  }
};

} // namespace plimsoll::gpu
