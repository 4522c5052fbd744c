// DELTA_RULE on the CPU: head by head, token by token, with the state of one head at hand. Threads: [serial].
#include <cmath>

#include "backend/cpu_ops.hpp"
#include "backend/cpu_states.hpp"
#include "backend/simd.hpp"
#include "schedule/scratch_layout.hpp"

namespace plimsoll::cpu {
namespace {

template <class Real>
PLIMSOLL_VECTORS Real dot(const Real* a, const Real* b, std::uint64_t n) {
  Real sum = 0;
  for (std::uint64_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

// A row of the state decays; gives what it holds for the key.
template <class Real>
PLIMSOLL_VECTORS Real decay_and_read(Real* state, const Real* decay, const Real* key, std::uint64_t n) {
  Real sum = 0;
  for (std::uint64_t i = 0; i < n; ++i) {
    state[i] *= decay[i];
    sum += state[i] * key[i];
  }
  return sum;
}

// A row of the state takes what is new at the key; gives what it then holds for the query.
template <class Real>
PLIMSOLL_VECTORS Real write_and_read(Real* state, const Real* key, Real difference, const Real* query, std::uint64_t n) {
  Real sum = 0;
  for (std::uint64_t i = 0; i < n; ++i) {
    state[i] += difference * key[i];
    sum += state[i] * query[i];
  }
  return sum;
}

template <class Real>
class DeltaRule {
public:
  DeltaRule(const PassView& pass, const DeltaArgs<Real>& args)
      : pass_(pass), args_(args), at_(delta_scratch({args.heads, args.key_heads, args.key_elements, args.value_elements})),
        state_(piece<Real>(args.scratch, at_.state)), decay_(piece<Real>(args.scratch, at_.decay)),
        key_(piece<Real>(args.scratch, at_.key)), query_(piece<Real>(args.scratch, at_.query)), bias_(piece<Real>(args.scratch, at_.bias)) {
  }

  void head(std::uint64_t h) {
    load_head(h);
    const std::uint64_t elements = args_.key_elements * args_.value_elements;
    over_tokens(pass_, args_.state, h * elements, elements, state_, [&](std::uint64_t t) { token(h, t); });
  }

private:
  std::uint64_t decays() const { return args_.decay.width / args_.heads; } // of a head: one, or one for each key element
  void load_head(std::uint64_t h) {
    Real* const a = piece<Real>(args_.scratch, at_.a);
    load_elements(args_.a.data, args_.a.type, h, 1, a);
    a_ = args_.stored ? *a : -std::exp(*a);
    if (args_.dt_bias.data == nullptr) std::fill_n(bias_, decays(), Real{0});
    else load_elements(args_.dt_bias.data, args_.dt_bias.type, h * decays(), decays(), bias_);
  }
  void load_decay(std::uint64_t h, std::uint64_t t) {
    const Real* const from = args_.decay.row(t) + h * decays();
    for (std::uint64_t i = 0; i < decays(); ++i) decay_[i] = std::exp(a_ * softplus(from[i] + bias_[i]));
    if (decays() == 1) std::fill_n(decay_, args_.key_elements, decay_[0]);
  }
  // As long as `scale`.
  void load_direction(const Real* x, double scale, Real* out) const {
    const std::uint64_t n = args_.key_elements;
    const auto by = static_cast<Real>(scale / std::sqrt(static_cast<double>(dot(x, x, n)) + args_.epsilon));
    for (std::uint64_t i = 0; i < n; ++i) out[i] = x[i] * by;
  }
  void token(std::uint64_t h, std::uint64_t t) {
    const std::uint64_t n = args_.key_elements, p = args_.value_elements, key_head = h / (args_.heads / args_.key_heads);
    load_decay(h, t);
    load_direction(args_.k.row(t) + key_head * n, 1, key_);
    load_direction(args_.q.row(t) + key_head * n, args_.scale, query_);
    const Real write = 1 / (1 + std::exp(-args_.write.row(t)[h]));
    const Real* const v = args_.v.row(t) + h * p;
    Real* const out = args_.out.row(t) + h * p;
    for (std::uint64_t i = 0; i < p; ++i) {
      Real* const row = state_ + i * n;
      const Real held = decay_and_read(row, decay_, key_, n);
      out[i] = write_and_read(row, key_, write * (v[i] - held), query_, n); // out may be v
    }
  }

  const PassView& pass_;
  const DeltaArgs<Real>& args_;
  DeltaScratch at_;
  Real *state_, *decay_, *key_, *query_, *bias_;
  Real a_ = 0;
};

} // namespace

template <class Real>
void delta_rule(const PassView& pass, const DeltaArgs<Real>& args) {
  DeltaRule<Real> rule(pass, args);
  for (std::uint64_t h = 0; h < args.heads; ++h) rule.head(h);
}

template void delta_rule(const PassView&, const DeltaArgs<float>&);
template void delta_rule(const PassView&, const DeltaArgs<double>&);

} // namespace plimsoll::cpu
