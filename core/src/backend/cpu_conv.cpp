// CONV on the CPU: the last rows of x stand in a ring, so that the result may take the place of x. Threads: [serial].
#include "backend/cpu_activations.hpp"
#include "backend/cpu_ops.hpp"
#include "backend/cpu_states.hpp"
#include "backend/simd.hpp"
#include "schedule/scratch_layout.hpp"

namespace plimsoll::cpu {
namespace {

template <class Real>
PLIMSOLL_VECTORS void multiply_add_rows(const Real* weight, const Real* x, std::uint64_t n, Real* out) {
  for (std::uint64_t i = 0; i < n; ++i) out[i] += weight[i] * x[i];
}

// Weight [channels][taps] as [taps][channels].
template <class Real>
void load_taps(const ConvArgs<Real>& args, std::uint64_t channels, Real* channel, Real* out) {
  for (std::uint64_t c = 0; c < channels; ++c) {
    load_elements(args.weight.data, args.weight.type, c * args.taps, args.taps, channel);
    for (std::uint64_t j = 0; j < args.taps; ++j) out[j * channels + c] = channel[j];
  }
}

} // namespace

template <class Real>
void conv(const PassView& pass, const ConvArgs<Real>& args) {
  const std::uint64_t channels = args.x.width, taps = args.taps;
  const ConvScratch at = conv_scratch(taps, channels);
  Real* const weight = piece<Real>(args.scratch, at.weight);
  Real* const bias = piece<Real>(args.scratch, at.bias);
  Real* const rows = piece<Real>(args.scratch, at.rows); // row r of a sequence, counted from its oldest, at r % taps
  load_taps(args, channels, piece<Real>(args.scratch, at.channel), weight);
  if (args.bias.data != nullptr) load_elements(args.bias.data, args.bias.type, 0, channels, bias);
  else std::fill_n(bias, channels, Real{0});

  for (std::uint64_t b = 0; b < pass.sequences; ++b) {
    load_state(pass, args.state, b, 0, (taps - 1) * channels, rows);
    std::uint64_t next = taps - 1; // the row that comes
    for (std::uint64_t t = pass.row_offsets[b]; t < pass.row_offsets[b + 1]; ++t, ++next) {
      std::copy_n(args.x.row(t), channels, rows + next % taps * channels);
      Real* const out = args.out.row(t);
      std::copy_n(bias, channels, out);
      for (std::uint64_t j = 0; j < taps; ++j)
        multiply_add_rows(weight + j * channels, rows + (next + 1 + j) % taps * channels, channels, out);
      activate(args.act, ActLimits{}, out, channels, out);
    }
    for (std::uint64_t j = 0; j + 1 < taps; ++j)
      store_state(args.state, b, j * channels, channels, rows + (next - (taps - 1) + j) % taps * channels);
  }
}

template void conv(const PassView&, const ConvArgs<float>&);
template void conv(const PassView&, const ConvArgs<double>&);

} // namespace plimsoll::cpu
