// SSM_SCAN on the CPU: head by head, token by token, with the state of one head at hand. Threads: [serial].
#include <cmath>

#include "backend/cpu_ops.hpp"
#include "backend/cpu_states.hpp"
#include "backend/simd.hpp"
#include "schedule/scratch_layout.hpp"

namespace plimsoll::cpu {
namespace {

template <class Real>
PLIMSOLL_VECTORS void decays_of(const Real* a, Real step, std::uint64_t n, Real* out) {
  for (std::uint64_t s = 0; s < n; ++s) out[s] = fast_exp(step * a[s]);
}

// One row of the state: S = decay * S + xb b; gives S c.
template <class Real>
PLIMSOLL_VECTORS Real step_row(const Real* decay, Real xb, const Real* b, const Real* c, std::uint64_t n, Real* state) {
  for (std::uint64_t s = 0; s < n; ++s) state[s] = decay[s] * state[s] + xb * b[s];
  Real sum = 0;
  for (std::uint64_t s = 0; s < n; ++s) sum += state[s] * c[s];
  return sum;
}

template <class Real>
class Scan {
public:
  Scan(const PassView& pass, const ScanArgs<Real>& args)
      : pass_(pass), args_(args), at_(scan_scratch({args.heads, args.head_elements, args.state_elements})),
        state_(piece<Real>(args.scratch, at_.state)), decay_(piece<Real>(args.scratch, at_.decay)), a_(piece<Real>(args.scratch, at_.a)) {}

  void head(std::uint64_t h) {
    load_head(h);
    const std::uint64_t elements = args_.head_elements * args_.state_elements;
    over_tokens(pass_, args_.state, h * elements, elements, state_, [&](std::uint64_t t) { token(h, t); });
  }

private:
  // A is one number a head, or one for each element of its state.
  void load_head(std::uint64_t h) {
    const std::uint64_t n = args_.state_elements;
    if (args_.a.elements == args_.heads) {
      load_elements(args_.a.data, args_.a.type, h, 1, a_);
      std::fill_n(a_, n, a_[0]);
    } else {
      load_elements(args_.a.data, args_.a.type, h * n, n, a_);
    }
    if (!args_.stored)
      for (std::uint64_t s = 0; s < n; ++s) a_[s] = -std::exp(a_[s]);
    d_ = one(args_.d, h, at_.d);
    bias_ = one(args_.dt_bias, h, at_.bias);
  }
  Real one(const Vector& of, std::uint64_t h, std::uint64_t at) const {
    if (of.data == nullptr) return 0;
    Real* const value = piece<Real>(args_.scratch, at);
    load_elements(of.data, of.type, h, 1, value);
    return *value;
  }
  Real step(std::uint64_t h, std::uint64_t t) const {
    const Real step = std::max(softplus(args_.dt.row(t)[h] + bias_), static_cast<Real>(args_.least));
    return args_.most > 0 ? std::min(step, static_cast<Real>(args_.most)) : step;
  }
  void token(std::uint64_t h, std::uint64_t t) {
    const std::uint64_t n = args_.state_elements, p = args_.head_elements, group = h / (args_.heads / args_.groups);
    const Real by = step(h, t);
    decays_of(a_, by, n, decay_);
    const Real* const x = args_.x.row(t) + h * p;
    const Real* const b = args_.b.row(t) + group * n;
    const Real* const c = args_.c.row(t) + group * n;
    Real* const out = args_.out.row(t) + h * p;
    for (std::uint64_t i = 0; i < p; ++i) {
      const Real in = x[i]; // out may be x
      out[i] = step_row(decay_, by * in, b, c, n, state_ + i * n) + d_ * in;
    }
  }

  const PassView& pass_;
  const ScanArgs<Real>& args_;
  ScanScratch at_;
  Real *state_, *decay_, *a_;
  Real d_ = 0, bias_ = 0;
};

} // namespace

template <class Real>
void ssm_scan(const PassView& pass, const ScanArgs<Real>& args) {
  Scan<Real> scan(pass, args);
  for (std::uint64_t h = 0; h < args.heads; ++h) scan.head(h);
}

template void ssm_scan(const PassView&, const ScanArgs<float>&);
template void ssm_scan(const PassView&, const ScanArgs<double>&);

} // namespace plimsoll::cpu
