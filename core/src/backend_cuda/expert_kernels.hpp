// Bodies of ROUTE, one thread for a row, and of EXPERTS, a warp for each element that an expert gives. Rows go through one of their
// experts after the other, so no two threads add to the same element. Header only. Threads: see lanes.hpp.
#pragma once

#include <limits>

#include "backend_cuda/activations.hpp"
#include "backend_cuda/lanes.hpp"
#include "backend_cuda/row_kernels.hpp"

namespace plimsoll::gpu {

template <class Real>
PLIMSOLL_DEVICE void softmax(Real* x, std::uint64_t n) {
  Real most = x[0], sum = 0;
  for (std::uint64_t i = 1; i < n; ++i) most = most < x[i] ? x[i] : most;
  for (std::uint64_t i = 0; i < n; ++i) {
    x[i] = std::exp(x[i] - most);
    sum += x[i];
  }
  for (std::uint64_t i = 0; i < n; ++i) x[i] /= sum;
}

template <class Real>
struct RouteRow {
  RouteArgs<Real> args;
  Real* logits = nullptr; // [rows, experts] from row `first` on; become scores
  std::uint64_t first = 0;
  PLIMSOLL_DEVICE void operator()(std::uint64_t n) const {
    Real* const scores = logits + n * args.experts;
    Real* const out = args.out.row(first + n);
    for (std::uint64_t e = 0; e < args.experts; ++e) {
      scores[e] += element(args.bias, e, Real{0});
      if (args.score == PLIMSOLL_SCORE_SIGMOID) scores[e] = sigmoid(scores[e]);
    }
    if (args.score == PLIMSOLL_SCORE_SOFTMAX) softmax(scores, args.experts);
    for (std::uint64_t chosen = 0; chosen < args.k; ++chosen) {
      const std::uint64_t best = best_of(scores, out, chosen);
      out[chosen] = static_cast<Real>(best);
      out[args.k + chosen] = scores[best];
    }
    weigh(out, out + args.k);
  }

private:
  // What an expert is chosen by. What is no number, or endlessly small, is chosen last.
  PLIMSOLL_DEVICE Real choice(const Real* scores, std::uint64_t expert) const {
    const Real last = std::numeric_limits<Real>::lowest(), x = scores[expert] + element(args.correction, expert, Real{0});
    return x >= last ? x : last;
  }
  PLIMSOLL_DEVICE Real worth(const Real* scores, std::uint64_t group) const {
    const Real last = std::numeric_limits<Real>::lowest(), never = -std::numeric_limits<Real>::infinity();
    const std::uint64_t size = args.experts / args.groups;
    Real best = never, second = never;
    for (std::uint64_t e = group * size; e < (group + 1) * size; ++e) {
      const Real x = choice(scores, e), lower = x < best ? x : best;
      second = second < lower ? lower : second;
      best = best < x ? x : best;
    }
    if (args.group_worth != PLIMSOLL_GROUP_BEST_TWO || size <= 1) return best;
    return best + second < last ? last : best + second;
  }
  // Whether a group is among those that are kept. Computed anew each time: there is no memory for it.
  PLIMSOLL_DEVICE bool is_kept(const Real* scores, std::uint64_t group) const {
    const Real own = worth(scores, group);
    std::uint64_t before = 0; // groups that come first
    for (std::uint64_t other = 0; other < args.groups; ++other) {
      const Real its = worth(scores, other);
      before += its > own || (its == own && other < group) ? 1U : 0U;
    }
    return before < args.kept_groups;
  }
  // The best that is not among the first `chosen` of `out`; the first of equals.
  PLIMSOLL_DEVICE std::uint64_t best_of(const Real* scores, const Real* out, std::uint64_t chosen) const {
    const std::uint64_t groups = args.groups > 1 ? args.groups : 1, size = args.experts / groups;
    std::uint64_t best = 0;
    Real most = -std::numeric_limits<Real>::infinity();
    for (std::uint64_t e = 0; e < args.experts; ++e) {
      if (groups > 1 && e % size == 0 && e / size < groups && !is_kept(scores, e / size)) {
        e += size - 1;
        continue;
      }
      bool is_new = true;
      for (std::uint64_t i = 0; i < chosen; ++i) is_new = is_new && out[i] != static_cast<Real>(e);
      const Real x = choice(scores, e);
      if (!is_new || !(x > most)) continue;
      best = e;
      most = x;
    }
    return best;
  }
  PLIMSOLL_DEVICE void weigh(const Real* chosen, Real* weights) const {
    if (args.score == PLIMSOLL_SCORE_SOFTMAX_CHOSEN) softmax(weights, args.k);
    if (args.score == PLIMSOLL_SCORE_SIGMOID_CHOSEN)
      for (std::uint64_t n = 0; n < args.k; ++n) weights[n] = sigmoid(weights[n]);
    Real sum = static_cast<Real>(1e-20); // as the models that renormalise have it
    for (std::uint64_t n = 0; n < args.k; ++n) sum += weights[n];
    const Real by = static_cast<Real>(args.scale) / (args.renormalise ? sum : Real{1});
    for (std::uint64_t n = 0; n < args.k; ++n) weights[n] *= by * element(args.gains, static_cast<std::uint64_t>(chosen[n]), Real{1});
  }
};

// One expert of a row: its number counted from the first that is held, `held` where it is none of these.
template <class Real>
PLIMSOLL_DEVICE std::uint64_t expert_of(const ExpertsArgs<Real>& args, std::uint64_t row, std::uint64_t slot) {
  const Real expert = args.routes.row(row)[slot] - static_cast<Real>(args.first);
  return expert >= 0 && expert < static_cast<Real>(args.held) ? static_cast<std::uint64_t>(expert) : args.held;
}

template <class Real>
PLIMSOLL_DEVICE Real expert_element(const ExpertMatrices& matrices, std::uint64_t expert, std::uint64_t out, std::uint64_t in) {
  const Matrix& m = matrices.first;
  return load<Real>(m.data, m.type, expert * matrices.elements_of_one + (m.in_major ? in * m.stride + out : out * m.stride + in));
}

// What lies between: element j of row `first + r` in its expert number `slot`.
template <class Real>
struct ExpertHidden { // of rows * width
  ExpertsArgs<Real> args;
  std::uint64_t first = 0, slot = 0;
  Real* hidden = nullptr; // [rows, width]
  template <class Lanes>
  PLIMSOLL_DEVICE void operator()(std::uint64_t n, const Lanes& lanes) const {
    const std::uint64_t row = first + n / args.width, j = n % args.width, expert = expert_of(args, row, slot);
    if (expert == args.held) return;
    const bool has_gate = args.gate.first.data != nullptr;
    const auto product = [&](const ExpertMatrices& matrices, const Vector& bias, std::uint64_t out) {
      const Real* const x = args.x.row(row);
      const Real by = args.weighs_inputs ? args.routes.row(row)[args.k + slot] : Real{1};
      return dot<Real>(
                 lanes, args.x.width, [=](std::uint64_t i) { return by * x[i]; },
                 [&](std::uint64_t i) { return expert_element<Real>(matrices, expert, out, i); }) +
             element(bias, expert * matrices.first.out + out, Real{0});
    };
    const Real limit = static_cast<Real>(args.limit), alpha = static_cast<Real>(args.alpha);
    Real x = 0;
    if (!has_gate) {
      x = activated(args.act, limit, product(args.up, args.up_bias, j));
    } else {
      const Real gate = product(args.gate, args.gate_bias, args.paired == 2 ? 2 * j : j);
      const Real up = args.paired == 0 ? product(args.up, args.up_bias, j)
                                       : product(args.gate, args.gate_bias, args.paired == 2 ? 2 * j + 1 : args.width + j);
      x = activated_pair(args.act, limit, alpha, gate, up);
    }
    if (lanes.index() == 0) hidden[n] = x;
  }
};

template <class Real>
struct ExpertOut { // of rows * out.width
  ExpertsArgs<Real> args;
  std::uint64_t first = 0, slot = 0;
  const Real* hidden = nullptr;
  template <class Lanes>
  PLIMSOLL_DEVICE void operator()(std::uint64_t n, const Lanes& lanes) const {
    const std::uint64_t width = args.out.width, row = first + n / width, o = n % width, expert = expert_of(args, row, slot);
    if (expert == args.held) return;
    const Real* const from = hidden + n / width * args.width;
    const Real x = dot<Real>(
                       lanes, args.width, [=](std::uint64_t i) { return from[i]; },
                       [&](std::uint64_t i) { return expert_element<Real>(args.down, expert, o, i); }) +
                   element(args.down_bias, expert * width + o, Real{0});
    if (lanes.index() == 0) args.out.row(row)[o] += args.weighs_inputs ? x : args.routes.row(row)[args.k + slot] * x;
  }
};

} // namespace plimsoll::gpu
