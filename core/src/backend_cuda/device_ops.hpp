// The ops of a device, one launch or a few each: what they mean stands in plimsoll/pipeline.h, what they are handed in backend/backend.hpp.
// A Queue runs bodies (lanes.hpp) in the order in which they come:
//   void each(std::uint64_t n, body)              body(i) for i in [0, n), a thread each
//   void warps(std::uint64_t n, body)             body(i, lanes), a warp each
//   void multiply(x, weight, out, alpha, beta)    out = alpha * x w^T + beta * out, for a weight of the compute type; beta 0: what stands
//                                                 in out does not matter
//   void copy_in(void* device, const void* host, std::uint64_t bytes)   the host's part may be used on return
// Instantiated by cuda_device.cu, and by tests whose queue is a loop of the host's. Header only. Threads: [serial].
#pragma once

#include <algorithm>
#include <type_traits>
#include <vector>

#include "backend/backend.hpp"
#include "backend/block_order.hpp"
#include "backend_cuda/attend_kernels.hpp"
#include "backend_cuda/expert_kernels.hpp"
#include "backend_cuda/image_kernels.hpp"
#include "backend_cuda/linear_kernels.hpp"
#include "backend_cuda/rope_kernel.hpp"
#include "backend_cuda/row_kernels.hpp"
#include "backend_cuda/state_kernels.hpp"
#include "schedule/scratch_layout.hpp"

namespace plimsoll::gpu {

inline constexpr std::uint64_t kFewRows = 16; // up to which a weight is converted element by element, and not by tiles

template <class Real, class Queue>
class DeviceOps final : public Ops<Real> {
public:
  explicit DeviceOps(Queue& queue) : queue_(queue) {}

  void embed(const PassView& pass, const EmbedArgs<Real>& args) override {
    queue_.each(args.out.rows * args.out.width, EmbedElement<Real>{pass, args});
  }
  void embed_position(const PassView& pass, const EmbedPositionArgs<Real>& args) override {
    queue_.each(args.out.rows * args.out.width, EmbedPositionElement<Real>{pass, args});
  }
  void pool(const PassView& pass, const PoolArgs<Real>& args) override {
    queue_.each(std::min(pass.sequences, args.out.rows) * args.x.width, PoolElement<Real>{pass, args});
  }
  void join(const PassView& pass, const JoinArgs<Real>& args) override {
    queue_.each(args.out.rows * args.out.width, JoinElement<Real>{pass, args});
  }
  void norm(const NormArgs<Real>& args) override {
    if (args.heads * args.columns != args.x.width && args.out.data != args.x.data)
      queue_.each(args.x.rows * args.x.width, CopyElement<Real>{args.x.data, args.out.data});
    queue_.warps(args.x.rows * args.heads, NormHead<Real>{args});
  }
  void sum_squares(const RowsArgs<Real>& args) override { queue_.warps(args.x.rows, SumOfRow<Real>{args}); }
  void norm_of_sums(const NormArgs<Real>& args, const Rows<const Real>& sums) override {
    queue_.warps(args.x.rows, NormOfSum<Real>{args, sums});
  }
  void linear(const LinearArgs<Real>& args) override {
    const Strided<Real> out{args.out.data, args.out.rows, args.out.width};
    multiply({args.x.data, args.x.rows, args.x.width}, args.weight, out, args.scale, args.accumulate ? 1 : 0, args.scratch);
    add_vector(args.bias, args.out.width, args.scale, out);
  }
  void rope(const PassView& pass, const RopeArgs<Real>& args) override {
    queue_.each(args.x.rows * args.heads * (args.columns / 2), RopePair<Real>{pass, args, frequencies(args)});
  }
  void store(const PassView& pass, const StoreArgs<Real>& args) override {
    store_part(pass, args.kv, keys_of(args.kv), args.k);
    if (args.v.data != nullptr) store_part(pass, args.kv, values_of(args.kv), args.v);
  }
  void attend(const PassView& pass, const AttendArgs<Real>& args) override {
    queue_.warps(args.q.rows * args.heads, AttendHead<Real>{pass, args});
  }
  void attend_whole(const AttendWholeArgs<Real>& args) override {
    for (std::uint64_t n = 0; n < args.n_segments; ++n) {
      const std::uint64_t first = args.segments[n], rows = args.segments[n + 1] - first;
      queue_.warps(rows * args.heads, AttendWholeHead<Real>{args, first, rows});
    }
  }
  // Expanded latents give the same: they are computed as absorbed ones here.
  void attend_latent(const PassView& pass, const LatentArgs<Real>& args) override {
    const std::array<std::uint64_t, 8> sizes{args.heads, args.rank, args.nope, args.rope, args.value};
    const LatentScratch at = absorbed_scratch(sizes, pass.tokens);
    const std::uint64_t all = args.q.rows * args.heads, together = query_block(args.heads, pass.tokens).rows();
    for (std::uint64_t first = 0; first < all; first += together)
      queue_.warps(std::min(together, all - first),
                   LatentHead<Real>{pass, args, first, piece(args.scratch, at.queries), piece(args.scratch, at.sums)});
  }
  void gate(const GateArgs<Real>& args) override { queue_.each(args.out.rows * args.out.width, GateElement<Real>{args}); }
  void route(const RouteArgs<Real>& args) override {
    Real* const logits = piece(args.scratch, route_scratch({args.experts, args.k, args.groups}, args.x.rows).logits);
    for (std::uint64_t first = 0; first < args.x.rows; first += kRouteRows) {
      const std::uint64_t rows = std::min(kRouteRows, args.x.rows - first);
      multiply({args.x.row(first), rows, args.x.width}, args.router, {logits, rows, args.experts}, 1, 0, args.scratch);
      queue_.each(rows, RouteRow<Real>{args, logits, first});
    }
  }
  void experts(const ExpertsArgs<Real>& args) override {
    if (!args.accumulate) queue_.each(args.out.rows * args.out.width, ZeroElement<Real>{args.out.data});
    Real* const hidden = piece(args.scratch, expert_scratch({args.experts, args.k, args.width}, args.x.rows, args.x.width).hidden);
    for (std::uint64_t first = 0; first < args.x.rows; first += kExpertRows) {
      const std::uint64_t rows = std::min(kExpertRows, args.x.rows - first);
      for (std::uint64_t slot = 0; slot < args.k; ++slot) {
        queue_.warps(rows * args.width, ExpertHidden<Real>{args, first, slot, hidden});
        queue_.warps(rows * args.out.width, ExpertOut<Real>{args, first, slot, hidden});
      }
    }
  }
  void last_rows(const PassView& pass, const RowsArgs<Real>& args) override {
    queue_.each(pass.outputs * args.x.width, LastRowElement<Real>{pass, args});
  }
  void add(const RowsArgs<Real>& args) override { queue_.each(args.x.rows * args.x.width, AddElement<Real>{args}); }
  void scale_rows(const ScaleRowsArgs<Real>& args) override { queue_.each(args.out.rows * args.a.width, ScaleRowElement<Real>{args}); }
  void multiply_rows(const MultiplyArgs<Real>& args) override { queue_.each(args.out.rows * args.out.width, MultiplyElement<Real>{args}); }
  void conv(const PassView& pass, const ConvArgs<Real>& args) override {
    queue_.each(args.x.width, ConvChannel<Real>{pass, args, piece(args.scratch, conv_scratch(args.taps, args.x.width).rows)});
  }
  void ssm_scan(const PassView& pass, const ScanArgs<Real>& args) override {
    Real* const state = piece(args.scratch, scan_scratch({args.heads, args.head_elements, args.state_elements}).state);
    for (std::uint64_t head = 0; head < args.heads; ++head) queue_.warps(args.head_elements, ScanRow<Real>{pass, args, head, state});
  }
  void columns(const ColumnsArgs<Real>& args) override {
    queue_.each(args.out.rows * args.heads * args.columns, ColumnElement<Real>{args});
  }
  void delta_rule(const PassView& pass, const DeltaArgs<Real>& args) override {
    Real* const state = piece(args.scratch, delta_scratch({args.heads, args.key_heads, args.key_elements, args.value_elements}).state);
    for (std::uint64_t head = 0; head < args.heads; ++head) queue_.warps(args.value_elements, DeltaRow<Real>{pass, args, head, state});
  }
  // Pixels are the host's, so it cuts them into rows, as many blocks at a time as lie beside one another.
  void patches(const PatchesArgs<Real>& args) override {
    const std::uint64_t block = args.merge * args.side, columns = args.image.width / block,
                        elements = args.merge * args.merge * args.out.width;
    cut_.resize(columns * elements);
    std::uint64_t n = 0;
    for_blocks(args.image.height / block, columns, args.window, [&](std::uint64_t y, std::uint64_t x) {
      cut_block(args, y * block, x * block, cut_.data() + n % columns * elements);
      if (++n % columns == 0) queue_.copy_in(args.out.data + (n - columns) * elements, cut_.data(), cut_.size() * sizeof(Real));
    });
  }
  void rope_sections(const PassView& pass, const RopeSectionsArgs<Real>& args) override {
    if (pass.positions == nullptr) return rope(pass, args.rope);
    const RopePair<Real> pair{pass, args.rope, frequencies(args.rope)};
    queue_.each(args.rope.x.rows * args.rope.heads * (args.rope.columns / 2),
                RopeSectionsPair<Real>{pair, args.in_turn, args.second_pairs, args.third_pairs});
  }
  void merge_rows(const RowsArgs<Real>& args) override { // rows side by side are rows one after another
    queue_.each(args.out.rows * args.out.width, CopyElement<Real>{args.x.data, args.out.data});
  }
  void image_rows(const PassView& pass, const ImageRowsArgs<Real>& args) override {
    if (pass.image_rows != nullptr) queue_.each(args.x.rows * args.x.width, ImageRowElement<Real>{pass, args});
  }
  void store_rows(const Rows<const Real>& x, void* data, ElementType type, std::uint64_t first) override {
    queue_.each(x.rows * x.width, StoreRowElement<Real>{x.data, data, type, first});
  }

private:
  // The host's, where the device reads them.
  const double* frequencies(const RopeArgs<Real>& args) {
    auto* const to = static_cast<double*>(args.scratch.data);
    queue_.copy_in(to, args.inverse_frequencies, args.columns / 2 * sizeof(double));
    return to;
  }

  static Real* piece(const Scratch& scratch, std::uint64_t offset_elements) { return static_cast<Real*>(scratch.data) + offset_elements; }

  void store_part(const PassView& pass, const KvView& kv, const PagePart& part, const Rows<const Real>& x) {
    queue_.each(x.rows * part.row_elements, StoreElement<Real>{pass, kv, part, x});
  }

  void add_vector(const Vector& vector, std::uint64_t columns, double scale, Strided<Real> out) {
    if (vector.data != nullptr) queue_.each(out.rows * columns, BiasElement<Real>{vector, columns, static_cast<Real>(scale), out});
  }

  // out = alpha * x w^T + beta * out, for a weight of any stored type.
  void multiply(Strided<const Real> x, const Matrix& w, Strided<Real> out, double alpha, double beta, const Scratch& scratch) {
    if (x.rows == 0 || w.out == 0) return;
    if (w.type == (std::is_same_v<Real, float> ? ElementType::kFloat32 : ElementType::kFloat64))
      return queue_.multiply(x, w, out, alpha, beta);
    if (x.rows <= kFewRows)
      return queue_.warps(x.rows * w.out, ProductElement<Real>{x, w, out, static_cast<Real>(alpha), static_cast<Real>(beta)});
    auto* const tile = static_cast<Real*>(scratch.tile);
    for (std::uint64_t first_out = 0; first_out < w.out; first_out += kTileRows)
      for (std::uint64_t first_in = 0; first_in < w.in; first_in += kTileColumns) {
        Matrix part = w;
        part.data = tile;
        part.type = std::is_same_v<Real, float> ? ElementType::kFloat32 : ElementType::kFloat64;
        part.out = std::min(kTileRows, w.out - first_out);
        part.in = std::min(kTileColumns, w.in - first_in);
        part.stride = w.in_major ? part.out : part.in;
        queue_.each(part.out * part.in, TileElement<Real>{w, first_out, first_in, part.stride, tile});
        queue_.multiply(Strided<const Real>{x.data + first_in, x.rows, x.stride}, part,
                        Strided<Real>{out.data + first_out, out.rows, out.stride}, alpha, first_in == 0 ? beta : 1);
      }
  }

  Queue& queue_;
  std::vector<Real> cut_; // patches on their way to the device
};

} // namespace plimsoll::gpu
