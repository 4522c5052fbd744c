// ROPE and ROPE_SECTIONS on the CPU. Angles are double. The rows of a sequence stand at positions that follow one another, so each row's
// sines and cosines come from the row's before by one rotation; after kFresh rows they are computed anew, and so are all of rows that have
// positions of their own. Threads: [serial].
#include <cmath>

#include "backend/cpu_ops.hpp"
#include "backend/simd.hpp"

namespace plimsoll::cpu {
namespace {

constexpr std::uint64_t kFresh = 64; // rotations lose about 1e-16 each

// Of each pair: the row's cosine and sine, and those of one step.
struct Angles {
  double *cosine, *sine, *step_cosine, *step_sine;
};

void start(const Angles& at, const double* frequencies, std::uint64_t pairs, double position) {
  for (std::uint64_t i = 0; i < pairs; ++i) {
    at.cosine[i] = std::cos(position * frequencies[i]);
    at.sine[i] = std::sin(position * frequencies[i]);
  }
}

PLIMSOLL_VECTORS void advance(double* cosine, double* sine, const double* step_cosine, const double* step_sine, std::uint64_t pairs) {
  for (std::uint64_t i = 0; i < pairs; ++i) {
    const double next = cosine[i] * step_cosine[i] - sine[i] * step_sine[i];
    sine[i] = sine[i] * step_cosine[i] + cosine[i] * step_sine[i];
    cosine[i] = next;
  }
}

template <class Real>
PLIMSOLL_VECTORS void turn_halves(const double* cosine, const double* sine, Real factor, std::uint64_t pairs, Real* x, Real* y) {
  for (std::uint64_t i = 0; i < pairs; ++i) {
    const Real c = static_cast<Real>(cosine[i]) * factor, s = static_cast<Real>(sine[i]) * factor;
    const Real u = x[i], v = y[i];
    x[i] = u * c - v * s;
    y[i] = v * c + u * s;
  }
}
template <class Real>
void turn_neighbours(const double* cosine, const double* sine, Real factor, std::uint64_t pairs, Real* x) {
  for (std::uint64_t i = 0; i < pairs; ++i) {
    const Real c = static_cast<Real>(cosine[i]) * factor, s = static_cast<Real>(sine[i]) * factor;
    const Real u = x[2 * i], v = x[2 * i + 1];
    x[2 * i] = u * c - v * s;
    x[2 * i + 1] = v * c + u * s;
  }
}

} // namespace

template <class Real>
void rope(const PassView& pass, const RopeArgs<Real>& args) {
  const std::uint64_t pairs = args.columns / 2;
  const auto factor = static_cast<Real>(args.attention_factor);
  auto* doubles = static_cast<double*>(args.scratch.data);
  const Angles at{doubles, doubles + pairs, doubles + 2 * pairs, doubles + 3 * pairs};
  start({at.step_cosine, at.step_sine, nullptr, nullptr}, args.inverse_frequencies, pairs, 1);
  for (std::uint64_t b = 0; b < pass.sequences; ++b) {
    const std::uint64_t begin = pass.row_offsets[b], end = pass.row_offsets[b + 1];
    for (std::uint64_t row = begin; row < end; ++row) {
      const std::uint64_t position = pass.cache_lengths[b] + (row - begin);
      if (row == begin || position % kFresh == 0) start(at, args.inverse_frequencies, pairs, static_cast<double>(position));
      else advance(at.cosine, at.sine, at.step_cosine, at.step_sine, pairs);
      for (std::uint64_t head = 0; head < args.heads; ++head) {
        Real* x = args.x.row(row) + head * args.stride + args.first;
        if (args.interleaved) turn_neighbours(at.cosine, at.sine, factor, pairs, x);
        else turn_halves(at.cosine, at.sine, factor, pairs, x, x + pairs);
      }
    }
  }
}

template <class Real>
void rope_sections(const PassView& pass, const RopeSectionsArgs<Real>& args) {
  const RopeArgs<Real>& by = args.rope;
  if (pass.positions == nullptr) return rope(pass, by);
  const std::uint64_t pairs = by.columns / 2;
  const auto factor = static_cast<Real>(by.attention_factor);
  auto* const cosine = static_cast<double*>(by.scratch.data);
  auto* const sine = cosine + pairs;
  const auto section = [&](std::uint64_t pair) -> std::uint64_t {
    if (args.in_turn) return pair % 3 == 1 && pair / 3 < args.second_pairs ? 1 : pair % 3 == 2 && pair / 3 < args.third_pairs ? 2 : 0;
    return pair < pairs - args.second_pairs - args.third_pairs ? 0 : pair < pairs - args.third_pairs ? 1 : 2;
  };
  for (std::uint64_t row = 0; row < by.x.rows; ++row) {
    const std::uint32_t* const position = pass.positions + 3 * row;
    for (std::uint64_t i = 0; i < pairs; ++i) {
      const double angle = position[section(i)] * by.inverse_frequencies[i];
      cosine[i] = std::cos(angle);
      sine[i] = std::sin(angle);
    }
    for (std::uint64_t head = 0; head < by.heads; ++head) {
      Real* const x = by.x.row(row) + head * by.stride + by.first;
      turn_halves(cosine, sine, factor, pairs, x, x + pairs);
    }
  }
}

template void rope(const PassView&, const RopeArgs<float>&);
template void rope_sections(const PassView&, const RopeSectionsArgs<float>&);
template void rope_sections(const PassView&, const RopeSectionsArgs<double>&);
template void rope(const PassView&, const RopeArgs<double>&);

} // namespace plimsoll::cpu
