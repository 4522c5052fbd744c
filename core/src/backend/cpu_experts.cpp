// EXPERTS on the CPU: rows are sorted by expert, and go through each expert in blocks, so that its weights are read once for all of them.
// Every row adds up its experts in the order of their numbers, whatever else is in the pass. Threads: [serial].
#include <algorithm>

#include "backend/cpu_activations.hpp"
#include "backend/cpu_multiply.hpp"
#include "backend/cpu_ops.hpp"
#include "schedule/scratch_layout.hpp"

namespace plimsoll::cpu {
namespace {

Matrix expert_of(const ExpertMatrices& matrices, std::uint64_t expert) {
  Matrix one = matrices.first;
  one.data = static_cast<const std::byte*>(one.data) + expert * matrices.elements_of_one * element_bytes(one.type);
  return one;
}

template <class Real>
class Experts {
public:
  explicit Experts(const ExpertsArgs<Real>& args) : args_(args), tile_(static_cast<Real*>(args.scratch.tile)) {
    const ExpertScratch at = expert_scratch({args.experts, args.k, args.width}, args.x.rows, args.x.width);
    begins_ = piece<Real, std::uint32_t>(args.scratch, at.begins);
    slots_ = piece<Real, std::uint32_t>(args.scratch, at.slots);
    inputs_ = piece<Real>(args.scratch, at.inputs);
    hidden_ = piece<Real>(args.scratch, at.hidden);
  }

  void run() {
    if (!args_.accumulate) std::fill_n(args_.out.data, args_.out.rows * args_.out.width, Real{0});
    sort();
    for (std::uint64_t expert = 0; expert < args_.held; ++expert)
      for (std::uint64_t at = begins_[expert]; at < begins_[expert + 1]; at += kExpertRows)
        run_block(expert, slots_ + at, std::min<std::uint64_t>(kExpertRows, begins_[expert + 1] - at));
  }

private:
  // The expert of slot n of a row, counted from the first that is held; `held` where it is none of them.
  std::uint64_t expert_at(std::uint64_t slot) const {
    const Real expert = args_.routes.row(slot / args_.k)[slot % args_.k] - static_cast<Real>(args_.first);
    const bool is_one = expert >= 0 && expert < static_cast<Real>(args_.held);
    return is_one ? static_cast<std::uint64_t>(expert) : args_.held;
  }

  Real weight_of(std::uint64_t slot) const { return args_.routes.row(slot / args_.k)[args_.k + slot % args_.k]; }

  // slots_[begins_[e] ... begins_[e + 1]): slots (row * k + n) of expert e, rows ascending.
  void sort() {
    const std::uint64_t slots = args_.x.rows * args_.k, experts = args_.held;
    std::fill_n(begins_, experts + 1, 0U);
    for (std::uint64_t slot = 0; slot < slots; ++slot)
      if (const std::uint64_t expert = expert_at(slot); expert < experts) ++begins_[expert];
    for (std::uint64_t expert = 1; expert <= experts; ++expert) begins_[expert] += begins_[expert - 1]; // ends, so far
    for (std::uint64_t slot = slots; slot-- > 0;)
      if (const std::uint64_t expert = expert_at(slot); expert < experts) slots_[--begins_[expert]] = static_cast<std::uint32_t>(slot);
  }

  void run_block(std::uint64_t expert, const std::uint32_t* slots, std::uint64_t rows) {
    const std::uint64_t model = args_.x.width, width = args_.width;
    for (std::uint64_t r = 0; r < rows; ++r) {
      const Real* from = args_.x.row(slots[r] / args_.k);
      const Real by = args_.weighs_inputs ? weight_of(slots[r]) : Real{1};
      for (std::uint64_t i = 0; i < model; ++i) inputs_[r * model + i] = by * from[i];
    }
    const Strided<const Real> x{inputs_, rows, model};
    if (args_.gate.first.data != nullptr) project(x, args_.gate, args_.gate_bias, expert, hidden_);
    if (args_.paired == 0) project(x, args_.up, args_.up_bias, expert, args_.gate.first.data != nullptr ? hidden_ + width : hidden_);
    for (std::uint64_t r = 0; r < rows; ++r) join(hidden_ + 2 * r * width, hidden_ + r * width);
    const Strided<Real> y{inputs_, rows, model};
    multiply<Real>({hidden_, rows, width}, expert_of(args_.down, expert), y, 1, 0, tile_);
    if (args_.down_bias.data != nullptr) add_vector(args_.down_bias, expert * model, model, 1, y);
    for (std::uint64_t r = 0; r < rows; ++r) {
      const Real weight = args_.weighs_inputs ? Real{1} : weight_of(slots[r]);
      Real* out = args_.out.row(slots[r] / args_.k);
      for (std::uint64_t i = 0; i < model; ++i) out[i] += weight * inputs_[r * model + i];
    }
  }

  // Into rows of twice the width.
  void project(Strided<const Real> x, const ExpertMatrices& matrices, const Vector& bias, std::uint64_t expert, Real* to) {
    const Matrix w = expert_of(matrices, expert);
    const Strided<Real> out{to, x.rows, 2 * args_.width};
    multiply(x, w, out, 1, 0, tile_);
    if (bias.data != nullptr) add_vector(bias, expert * w.out, w.out, 1, out);
  }

  // Makes one row of what gate and up gave; `to` may be the same place or an earlier one.
  void join(const Real* from, Real* to) const {
    const ActLimits limits{args_.limit, args_.alpha};
    const std::uint64_t width = args_.width;
    if (args_.gate.first.data == nullptr) return activate(args_.act, limits, from, width, to);
    if (args_.paired != 2) return activate_pairs(args_.act, limits, from, from + width, width, to);
    std::array<Real, 128> gate, up;
    for (std::uint64_t at = 0; at < width; at += gate.size()) {
      const std::uint64_t n = std::min<std::uint64_t>(gate.size(), width - at);
      for (std::uint64_t i = 0; i < n; ++i) {
        gate[i] = from[2 * (at + i)];
        up[i] = from[2 * (at + i) + 1];
      }
      activate_pairs(args_.act, limits, gate.data(), up.data(), n, to + at);
    }
  }

  const ExpertsArgs<Real>& args_;
  Real* tile_;
  std::uint32_t *begins_, *slots_;
  Real *inputs_, *hidden_;
};

} // namespace

template <class Real>
void experts(const ExpertsArgs<Real>& args) {
  Experts<Real>(args).run();
}

template void experts(const ExpertsArgs<float>&);
template void experts(const ExpertsArgs<double>&);

} // namespace plimsoll::cpu
