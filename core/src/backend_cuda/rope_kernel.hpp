// The bodies of ROPE and ROPE_SECTIONS: one pair of one head of one row. Angles are double. Header only. Threads: see lanes.hpp.
#pragma once

#include "backend_cuda/lanes.hpp"

namespace plimsoll::gpu {

template <class Real>
struct RopePair { // of rows * heads * pairs
  PassView pass;
  RopeArgs<Real> args;       // whose frequencies are the host's
  const double* frequencies; // the device's
  PLIMSOLL_DEVICE void operator()(std::uint64_t n) const {
    const std::uint64_t row = n / (args.columns / 2) / args.heads;
    turn(n, static_cast<double>(position_of(pass, sequence_of(pass, row), row)));
  }
  PLIMSOLL_DEVICE void turn(std::uint64_t n, double position) const {
    const std::uint64_t pairs = args.columns / 2, i = n % pairs, head = n / pairs % args.heads, row = n / pairs / args.heads;
    const double angle = position * frequencies[i];
    const Real factor = static_cast<Real>(args.attention_factor);
    const Real c = static_cast<Real>(std::cos(angle)) * factor, s = static_cast<Real>(std::sin(angle)) * factor;
    Real* const x = args.x.row(row) + head * args.stride + args.first;
    Real* const a = args.interleaved ? x + 2 * i : x + i;
    Real* const b = args.interleaved ? a + 1 : x + pairs + i;
    const Real u = *a, v = *b;
    *a = u * c - v * s;
    *b = v * c + u * s;
  }
};

template <class Real>
struct RopeSectionsPair { // likewise, of rows that have positions of their own
  RopePair<Real> rope;
  bool in_turn = false;
  std::uint64_t second_pairs = 0, third_pairs = 0;
  PLIMSOLL_DEVICE void operator()(std::uint64_t n) const {
    const std::uint64_t pairs = rope.args.columns / 2, pair = n % pairs, row = n / pairs / rope.args.heads;
    rope.turn(n, static_cast<double>(rope.pass.positions[3 * row + section(pair, pairs)]));
  }
  // Which of a row's three positions a pair turns by.
  PLIMSOLL_DEVICE std::uint64_t section(std::uint64_t pair, std::uint64_t pairs) const {
    if (in_turn) return pair % 3 == 1 && pair / 3 < second_pairs ? 1 : pair % 3 == 2 && pair / 3 < third_pairs ? 2 : 0;
    return pair < pairs - second_pairs - third_pairs ? 0 : pair < pairs - third_pairs ? 1 : 2;
  }
};

} // namespace plimsoll::gpu
