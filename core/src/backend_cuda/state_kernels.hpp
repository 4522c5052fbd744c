// Bodies of the ops that keep states: CONV, a thread for each channel; SSM_SCAN and DELTA_RULE, a warp for each row of a head's state,
// which looks at no other row. Each goes through the sequences and their tokens in order, the state at hand in scratch memory. Header only.
// Threads: see lanes.hpp.
#pragma once

#include "backend_cuda/activations.hpp"
#include "backend_cuda/lanes.hpp"

namespace plimsoll::gpu {

PLIMSOLL_DEVICE inline void* state_row(const StateView& state, std::uint64_t b) {
  return static_cast<char*>(state.pool) + state.rows[b * state.rows_each] * state.row_stride_bytes + state.offset_bytes;
}

// An element of the state of sequence b. A sequence that begins has zeros, whatever an earlier one left in its row.
template <class Real>
PLIMSOLL_DEVICE Real load_state(const PassView& pass, const StateView& state, std::uint64_t b, std::uint64_t n) {
  return pass.cache_lengths[b] == 0 ? Real{0} : load<Real>(state_row(state, b), state.type, n);
}

template <class Real>
struct ConvChannel {
  PassView pass;
  ConvArgs<Real> args;
  Real* rows = nullptr; // [taps, channels]: row r of a sequence, counted from its oldest, at r % taps
  PLIMSOLL_DEVICE void operator()(std::uint64_t c) const {
    const std::uint64_t channels = args.x.width, taps = args.taps;
    const Real bias = element(args.bias, c, Real{0});
    for (std::uint64_t b = 0; b < pass.sequences; ++b) {
      for (std::uint64_t j = 0; j + 1 < taps; ++j) rows[j * channels + c] = load_state<Real>(pass, args.state, b, j * channels + c);
      std::uint64_t next = taps - 1; // the row that comes
      for (std::uint64_t t = pass.row_offsets[b]; t < pass.row_offsets[b + 1]; ++t, ++next) {
        rows[next % taps * channels + c] = args.x.row(t)[c];
        Real sum = bias;
        for (std::uint64_t j = 0; j < taps; ++j)
          sum += load<Real>(args.weight.data, args.weight.type, c * taps + j) * rows[(next + 1 + j) % taps * channels + c];
        args.out.row(t)[c] = activated(args.act, Real{0}, sum); // out may be x
      }
      for (std::uint64_t j = 0; j + 1 < taps; ++j)
        store(rows[(next - (taps - 1) + j) % taps * channels + c], state_row(args.state, b), args.state.type, j * channels + c);
    }
  }
};

// Row i of the state of a head, n elements, through all sequences: `token(t)` changes `row` and gives what stands for it in the result.
template <class Real, class Lanes, class Token>
PLIMSOLL_DEVICE void over_tokens(const Lanes& lanes, const PassView& pass, const StateView& state, std::uint64_t first, std::uint64_t n,
                                 Real* row, const Token& token) {
  for (std::uint64_t b = 0; b < pass.sequences; ++b) {
    for (std::uint64_t s = lanes.index(); s < n; s += lanes.count()) row[s] = load_state<Real>(pass, state, b, first + s);
    for (std::uint64_t t = pass.row_offsets[b]; t < pass.row_offsets[b + 1]; ++t) token(t);
    for (std::uint64_t s = lanes.index(); s < n; s += lanes.count()) store(row[s], state_row(state, b), state.type, first + s);
  }
}

// S = decay * S + step * x b; out = S c + d x.
template <class Real>
struct ScanRow { // of head_elements
  PassView pass;
  ScanArgs<Real> args;
  std::uint64_t head = 0;
  Real* state = nullptr; // [head_elements, state_elements]
  template <class Lanes>
  PLIMSOLL_DEVICE void operator()(std::uint64_t i, const Lanes& lanes) const {
    const std::uint64_t n = args.state_elements, p = args.head_elements, group = head / (args.heads / args.groups);
    const Real d = element(args.d, head, Real{0}), bias = element(args.dt_bias, head, Real{0});
    Real* const row = state + i * n;
    over_tokens(lanes, pass, args.state, (head * p + i) * n, n, row, [&](std::uint64_t t) {
      const Real x = args.x.row(t)[head * p + i], by = step(args.dt.row(t)[head] + bias);
      const Real *const b = args.b.row(t) + group * n, *const c = args.c.row(t) + group * n;
      Real part = 0;
      for (std::uint64_t s = lanes.index(); s < n; s += lanes.count()) {
        row[s] = std::exp(by * decay_rate(s)) * row[s] + by * x * b[s];
        part += row[s] * c[s];
      }
      const Real sum = lanes.sum(part); // all have read x, which out may be
      if (lanes.index() == 0) args.out.row(t)[head * p + i] = sum + d * x;
    });
  }

private:
  // Of element s: A is one number a head, or one for each element of its state.
  PLIMSOLL_DEVICE Real decay_rate(std::uint64_t s) const {
    const Real a = element(args.a, args.a.elements == args.heads ? head : head * args.state_elements + s, Real{0});
    return args.stored ? a : -std::exp(a);
  }
  PLIMSOLL_DEVICE Real step(Real dt) const {
    const Real least = static_cast<Real>(args.least), most = static_cast<Real>(args.most), x = softplus(dt);
    const Real bounded = x < least ? least : x;
    return most > 0 && most < bounded ? most : bounded;
  }
};

// S decays; e = write * (v - S k); S += e k; out = S q.
template <class Real>
struct DeltaRow { // of value_elements
  PassView pass;
  DeltaArgs<Real> args;
  std::uint64_t head = 0;
  Real* state = nullptr; // [value_elements, key_elements]
  template <class Lanes>
  PLIMSOLL_DEVICE void operator()(std::uint64_t i, const Lanes& lanes) const {
    const std::uint64_t n = args.key_elements, p = args.value_elements, at = head / (args.heads / args.key_heads) * n;
    const std::uint64_t decays = args.decay.width / args.heads; // of a head: one, or one for each key element
    const Real stored = element(args.a, head, Real{0}), a = args.stored ? stored : -std::exp(stored);
    Real* const row = state + i * n;
    over_tokens(lanes, pass, args.state, (head * p + i) * n, n, row, [&](std::uint64_t t) {
      const Real *const k = args.k.row(t) + at, *const q = args.q.row(t) + at, *const decay = args.decay.row(t) + head * decays;
      const Real by_key = length_factor(lanes, k, 1), by_query = length_factor(lanes, q, args.scale);
      Real held = 0;
      for (std::uint64_t s = lanes.index(); s < n; s += lanes.count()) {
        const std::uint64_t of = decays == 1 ? 0 : s;
        row[s] *= std::exp(a * softplus(decay[of] + element(args.dt_bias, head * decays + of, Real{0})));
        held += row[s] * (k[s] * by_key);
      }
      const Real v = args.v.row(t)[head * p + i];
      const Real difference = sigmoid(args.write.row(t)[head]) * (v - lanes.sum(held));
      Real part = 0;
      for (std::uint64_t s = lanes.index(); s < n; s += lanes.count()) {
        row[s] += difference * (k[s] * by_key);
        part += row[s] * (q[s] * by_query);
      }
      const Real sum = lanes.sum(part); // all have read v, which out may be
      if (lanes.index() == 0) args.out.row(t)[head * p + i] = sum;
    });
  }

private:
  // What makes a direction as long as `scale`.
  template <class Lanes>
  PLIMSOLL_DEVICE Real length_factor(const Lanes& lanes, const Real* x, double scale) const {
    const auto at = [=](std::uint64_t s) { return x[s]; };
    return static_cast<Real>(scale / std::sqrt(static_cast<double>(dot<Real>(lanes, args.key_elements, at, at)) + args.epsilon));
  }
};

} // namespace plimsoll::gpu
