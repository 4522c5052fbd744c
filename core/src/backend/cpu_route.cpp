// ROUTE on the CPU. What it computes row by row stands in plimsoll/pipeline.h. Threads: [serial].
#include <algorithm>
#include <cmath>
#include <limits>

#include "backend/cpu_activations.hpp"
#include "backend/cpu_multiply.hpp"
#include "backend/cpu_ops.hpp"
#include "backend/elements.hpp"
#include "plimsoll/pipeline.h"
#include "schedule/scratch_layout.hpp"

namespace plimsoll::cpu {
namespace {

template <class Real>
void softmax(Real* x, std::uint64_t n) {
  const Real most = *std::max_element(x, x + n);
  Real sum = 0;
  for (std::uint64_t i = 0; i < n; ++i) sum += x[i] = std::exp(x[i] - most);
  for (std::uint64_t i = 0; i < n; ++i) x[i] /= sum;
}

template <class Real>
class Router {
public:
  explicit Router(const RouteArgs<Real>& args) : args_(args) {
    const RouteScratch at = route_scratch({args.experts, args.k, args.groups}, args.x.rows);
    logits_ = piece<Real>(args.scratch, at.logits);
    scores_ = piece<Real>(args.scratch, at.scores);
    choice_ = piece<Real>(args.scratch, at.choice);
    worth_ = piece<Real>(args.scratch, at.worth);
  }

  void run() {
    const std::uint64_t experts = args_.experts;
    for (std::uint64_t first = 0; first < args_.x.rows; first += kRouteRows) {
      const std::uint64_t rows = std::min(kRouteRows, args_.x.rows - first);
      multiply<Real>({args_.x.row(first), rows, args_.x.width}, args_.router, {logits_, rows, experts}, 1, 0,
                     static_cast<Real*>(args_.scratch.tile));
      if (args_.bias.data != nullptr) add_vector<Real>(args_.bias, 0, experts, 1, {logits_, rows, experts});
      for (std::uint64_t row = 0; row < rows; ++row) route_row(logits_ + row * experts, args_.out.row(first + row));
    }
  }

private:
  void route_row(const Real* logits, Real* out) {
    const std::uint64_t experts = args_.experts;
    if (args_.score == PLIMSOLL_SCORE_SIGMOID) activate<Real>(PLIMSOLL_ACT_SIGMOID, {}, logits, experts, scores_);
    else std::copy_n(logits, experts, scores_);
    if (args_.score == PLIMSOLL_SCORE_SOFTMAX) softmax(scores_, experts);
    std::copy_n(scores_, experts, choice_);
    if (args_.correction.data != nullptr) add_vector<Real>(args_.correction, 0, experts, 1, {choice_, 1, experts});
    // What is no number, or endlessly small, is chosen last; what may not be chosen is below that.
    for (std::uint64_t e = 0; e < experts; ++e) choice_[e] = choice_[e] >= kLast ? choice_[e] : kLast;
    if (args_.groups > 1) drop_groups();
    choose(out);
    weigh(out);
  }

  // Leaves the experts of the groups that are worth most.
  void drop_groups() {
    const std::uint64_t size = args_.experts / args_.groups;
    for (std::uint64_t g = 0; g < args_.groups; ++g) {
      Real best = kNever, second = kNever;
      for (std::uint64_t e = g * size; e < (g + 1) * size; ++e) {
        second = std::max(second, std::min(best, choice_[e]));
        best = std::max(best, choice_[e]);
      }
      worth_[g] = args_.group_worth == PLIMSOLL_GROUP_BEST_TWO && size > 1 ? std::max(best + second, kLast) : best;
    }
    for (std::uint64_t g = 0; g < args_.groups; ++g) {
      std::uint64_t before = 0; // groups that come first
      for (std::uint64_t other = 0; other < args_.groups; ++other)
        before += worth_[other] > worth_[g] || (worth_[other] == worth_[g] && other < g) ? 1 : 0;
      if (before >= args_.kept_groups) std::fill_n(choice_ + g * size, size, kNever);
    }
  }

  void choose(Real* out) {
    for (std::uint64_t n = 0; n < args_.k; ++n) {
      const auto best = static_cast<std::uint64_t>(std::max_element(choice_, choice_ + args_.experts) - choice_); // the first of equals
      choice_[best] = kNever;
      out[n] = static_cast<Real>(best);
      out[args_.k + n] = scores_[best];
    }
  }

  void weigh(Real* out) {
    Real* weights = out + args_.k;
    if (args_.score == PLIMSOLL_SCORE_SOFTMAX_CHOSEN) softmax(weights, args_.k);
    if (args_.score == PLIMSOLL_SCORE_SIGMOID_CHOSEN) activate<Real>(PLIMSOLL_ACT_SIGMOID, {}, weights, args_.k, weights);
    Real sum = static_cast<Real>(1e-20); // as the models that renormalise have it
    for (std::uint64_t n = 0; n < args_.k; ++n) sum += weights[n];
    const Real by = static_cast<Real>(args_.scale) / (args_.renormalise ? sum : Real{1});
    for (std::uint64_t n = 0; n < args_.k; ++n) {
      Real gain = 1;
      if (args_.gains.data != nullptr) load_elements(args_.gains.data, args_.gains.type, static_cast<std::uint64_t>(out[n]), 1, &gain);
      weights[n] *= by * gain;
    }
  }

  static constexpr Real kNever = -std::numeric_limits<Real>::infinity(), kLast = std::numeric_limits<Real>::lowest();
  const RouteArgs<Real>& args_;
  Real *logits_, *scores_, *choice_, *worth_;
};

} // namespace

template <class Real>
void route(const RouteArgs<Real>& args) {
  Router<Real>(args).run();
}

template void route(const RouteArgs<float>&);
template void route(const RouteArgs<double>&);

} // namespace plimsoll::cpu
