// What a device does for the executor: memory, and one function for each kind of op of plimsoll/pipeline.h. Called by the executor alone,
// which has checked all operands. An op reads and writes what it is handed and takes no memory; it may still run when it returns.
// Addresses are the device's: nobody but the backend looks behind them. Threads: [serial] per backend.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "backend/nccl.hpp"
#include "plimsoll/arena.hpp"
#include "plimsoll/element_type.hpp"
#include "plimsoll/result.hpp"

namespace plimsoll {

// [rows, width] elements, row after row.
template <class Real>
struct Rows {
  Real* data = nullptr;
  std::uint64_t rows = 0, width = 0;
  constexpr Real* row(std::uint64_t n) const { return data + n * width; }
};

// Elements of a weight, in their stored type; none where data is null.
struct Vector {
  const void* data = nullptr;
  ElementType type = ElementType::kFloat32;
  std::uint64_t elements = 0;
};

// A weight as a linear map of `in` elements to `out`: element (o, i) stands at o * stride + i, or at i * stride + o where in_major.
struct Matrix {
  const void* data = nullptr;
  ElementType type = ElementType::kFloat32;
  std::uint64_t out = 0, in = 0, stride = 0;
  bool in_major = false;
};

// `experts` matrices of one shape, one after another.
struct ExpertMatrices {
  Matrix first;
  std::uint64_t elements_of_one = 0;
};

// What a pass is about. Tables are memory that both the host and the device can read.
struct PassView {
  std::uint64_t tokens = 0, outputs = 0, sequences = 0;
  const std::int32_t* narrow_ids = nullptr; // [tokens]; or
  const std::int64_t* wide_ids = nullptr;
  const std::uint32_t* row_offsets = nullptr;   // [sequences + 1]
  const std::uint32_t* cache_lengths = nullptr; // [sequences]
  std::uint64_t outputs_per_sequence = 1;       // the last so many rows of each, or all that it has
  const std::uint32_t* positions = nullptr;     // [tokens, 3] of each row; null: all three are the token's place
  const std::uint32_t* image_rows = nullptr;    // [tokens]: row of the encoded images in its place, kNoImageRow: none; null: none at all
};
inline constexpr std::uint32_t kNoImageRow = UINT32_MAX;

// An image of an encoder's pass, in the host's memory.
struct ImageView {
  const float* pixels = nullptr; // [height, width, channels]
  std::uint64_t height = 0, width = 0;
};

// One layer of one KV group: element (head, e) of token t of sequence b lies in page table[b * columns + t / page_tokens].
struct KvView {
  void* pool = nullptr;
  std::uint64_t page_stride_bytes = 0, page_tokens = 0;
  std::uint64_t k_offset_bytes = 0, v_offset_bytes = 0; // of the layer's keys and values, from a page's begin
  ElementType k_type = ElementType::kFloat32, v_type = ElementType::kFloat32;
  std::uint64_t heads = 0, k_elements = 0, v_elements = 0; // a latent has one head and no values
  const std::uint32_t* table = nullptr;
  std::uint64_t columns = 0;
};

// Some elements of the states of one layer, one row after another: those of sequence b begin at `offset_bytes` of row
// rows[b * rows_each].
struct StateView {
  void* pool = nullptr;
  std::uint64_t row_stride_bytes = 0, offset_bytes = 0;
  ElementType type = ElementType::kFloat32;
  const std::uint32_t* rows = nullptr; // [sequences, rows_each], of which the first is the state
  std::uint64_t rows_each = 1;
};

// Which keys the query at a position sees: those of [first, end).
struct Visibility {
  std::uint64_t window = 0, chunk = 0; // the last so many; those of its chunk of so many; 0: all
  std::uint64_t ahead = 0;             // and so many behind its own
  constexpr std::uint64_t first(std::uint64_t position) const {
    const std::uint64_t of_window = window != 0 && position >= window ? position - window + 1 : 0;
    const std::uint64_t of_chunk = chunk != 0 ? position - position % chunk : 0;
    return of_window > of_chunk ? of_window : of_chunk;
  }
  constexpr std::uint64_t end(std::uint64_t position) const { return ahead < UINT64_MAX - position ? position + 1 + ahead : UINT64_MAX; }
  friend bool operator==(const Visibility&, const Visibility&) = default;
};

// How queries grow with their position; step 0: they do not.
struct Growth {
  std::uint64_t step = 0;
  double by = 0;
  constexpr double at(std::uint64_t position) const {
    return step == 0 ? 1 : 1 + by * std::log(1 + static_cast<double>((position + 1) / step));
  }
};

// What a key loses for every position that it is away, head by head; most 0: nothing. `first` of `all` heads is the first here.
struct HeadSlopes {
  double most = 0;
  std::uint64_t first = 0, all = 0;
  constexpr double of(std::uint64_t head) const {
    if (most == 0) return 0;
    std::uint64_t power = 1;
    while (power <= all / 2) power *= 2;
    const std::uint64_t h = first + head;
    const double m = static_cast<double>(power);
    return std::exp2(h < power ? -most * static_cast<double>(h + 1) / m : -most * static_cast<double>(2 * (h - power) + 1) / (2 * m));
  }
};

// Memory of one op, laid out as schedule/scratch_layout.hpp says. The tile is there where a weight is not of the compute type.
struct Scratch {
  void* data = nullptr;
  void* tile = nullptr;
};

template <class Real>
struct EmbedArgs {
  Matrix table;
  std::uint64_t first = 0, rows = 0; // its tokens, [first, first + rows); others give zeros
  double scale = 1;
  Rows<Real> out;
};
template <class Real>
struct EmbedPositionArgs {
  Matrix table;
  std::uint64_t first = 0, step = 1; // of a token: row first + step * position
  double scale = 1;
  bool accumulate = false;
  Rows<Real> out;
};
template <class Real>
struct PoolArgs {
  Rows<const Real> x; // of tokens
  Rows<Real> out;     // of sequences
  std::uint64_t how = 0;
};
template <class Real>
struct NormArgs {
  Rows<const Real> x;
  Rows<Real> out; // may be x
  Vector gain, bias;
  std::uint64_t heads = 1, stride = 0, first = 0, columns = 0;
  bool mean = false, plus_one = false;
  double epsilon = 0;
};
template <class Real>
struct LinearArgs {
  Rows<const Real> x;
  Rows<Real> out;
  Matrix weight;
  Vector bias;
  double scale = 1;
  bool accumulate = false;
  Scratch scratch;
};
template <class Real>
struct RopeArgs {
  Rows<Real> x;
  std::uint64_t heads = 1, stride = 0, first = 0, columns = 0;
  bool interleaved = false;
  const double* inverse_frequencies = nullptr; // [columns / 2], the host's: a backend copies them with the call
  double attention_factor = 1;
  Scratch scratch;
};
template <class Real>
struct StoreArgs {
  Rows<const Real> k, v; // v without data for latents
  KvView kv;
};
template <class Real>
struct AttendArgs {
  Rows<const Real> q;
  Rows<Real> out;
  KvView kv;
  Vector sinks;
  std::uint64_t heads = 0;
  Visibility visible;
  double scale = 1, soft_cap = 0; // 0: none
  Growth growth;
  HeadSlopes slopes;
  bool accumulate = false;
  Scratch scratch;
};
template <class Real>
struct AttendWholeArgs { // each row of a segment [segments[n], segments[n + 1]) to the rows of the same one
  Rows<const Real> q, k, v;
  Rows<Real> out;                          // none of them
  const std::uint32_t* segments = nullptr; // [n_segments + 1], which a backend reads with the call
  std::uint64_t n_segments = 0;
  std::uint64_t heads = 0, kv_heads = 0, k_elements = 0, v_elements = 0;
  std::uint64_t window = 0;       // rows at most half of it away; 0: all
  double scale = 1, soft_cap = 0; // 0: none
  bool accumulate = false;
  Scratch scratch;
};
template <class Real>
struct LatentArgs {
  Rows<const Real> q;
  Rows<Real> out;
  KvView kv;
  Matrix up; // [heads * (nope + value), rank]
  std::uint64_t heads = 0, rank = 0, nope = 0, rope = 0, value = 0;
  double scale = 1;
  bool accumulate = false, absorbed = true;
  Scratch scratch;
};
template <class Real>
struct GateArgs {
  Rows<const Real> a, b; // b may have no data
  Rows<Real> out;        // may be a or b
  std::uint64_t act = 0;
  double limit = 0, alpha = 0;
  bool accumulate = false;
};
template <class Real>
struct RouteArgs {
  Rows<const Real> x;
  Rows<Real> out; // [rows, 2k]
  Matrix router;
  Vector bias, correction, gains;
  std::uint64_t experts = 0, k = 0, groups = 0, kept_groups = 0, score = 0, group_worth = 0;
  bool renormalise = false;
  double scale = 1;
  Scratch scratch;
};
template <class Real>
struct ExpertsArgs {
  Rows<const Real> x, routes;
  Rows<Real> out;
  ExpertMatrices gate, up, down;
  Vector gate_bias, up_bias, down_bias; // of all experts
  std::uint64_t experts = 0, k = 0, width = 0, act = 0, paired = 0;
  std::uint64_t first = 0, held = 0; // experts that the matrices are of: [first, first + held) of `experts`
  bool weighs_inputs = false;        // the weight of an expert is of what it reads, not of what it gives
  double limit = 0, alpha = 0;
  bool accumulate = false;
  Scratch scratch;
};
template <class Real>
struct RowsArgs { // LAST_ROWS and ADD: out (+)= scale * rows of x
  Rows<const Real> x;
  Rows<Real> out;
  double scale = 1;
  bool accumulate = false;
};
template <class Real>
struct MultiplyArgs { // out = scale * w * x
  Rows<const Real> x;
  Rows<Real> out; // may be x
  Vector w;       // of a row's elements, or one
  double scale = 1;
};
template <class Real>
struct ScaleRowsArgs {
  Rows<const Real> a, s; // s: one element a row
  Rows<Real> out;
  std::uint64_t act = 0;
  bool accumulate = false;
};

template <class Real>
struct ConvArgs {
  Rows<const Real> x;
  Rows<Real> out;  // may be x
  Matrix weight;   // [channels, taps]
  Vector bias;     // may have no data
  StateView state; // [taps - 1, channels]
  std::uint64_t taps = 0, act = 0;
  Scratch scratch;
};
template <class Real>
struct ScanArgs {
  Rows<const Real> x, b, c, dt;
  Rows<Real> out;
  Vector a, d, dt_bias; // d and dt_bias may have no data
  StateView state;      // [heads, head_elements, state_elements]
  std::uint64_t heads = 0, head_elements = 0, state_elements = 0, groups = 1;
  bool stored = false; // a is what decays, not the logarithm of its negative
  double least = 0, most = 0;
  Scratch scratch;
};

template <class Real>
struct ColumnsArgs {
  Rows<const Real> x;
  Rows<Real> out;
  std::uint64_t heads = 1, stride = 0, first = 0, columns = 0;
};
template <class Real>
struct DeltaArgs {
  Rows<const Real> q, k, v, decay, write;
  Rows<Real> out;
  Vector a, dt_bias; // dt_bias may have no data
  StateView state;   // [heads, value_elements, key_elements]
  std::uint64_t heads = 0, key_heads = 0, key_elements = 0, value_elements = 0;
  bool stored = false; // a is what decays, not the logarithm of its negative
  double epsilon = 0, scale = 1;
  Scratch scratch;
};

template <class Real>
struct PatchesArgs { // rows of `out` for as many patches as the image has
  ImageView image;
  Rows<Real> out;
  std::uint64_t channels = 0, frames = 0, side = 0, merge = 0;
  std::uint64_t window = 0; // blocks of a window's side; 0: none
};
template <class Real>
struct RopeSectionsArgs {
  RopeArgs<Real> rope;
  bool in_turn = false;
  std::uint64_t second_pairs = 0, third_pairs = 0; // that turn by the second and the third position; the rest by the first
};
template <class Real>
struct ImageRowsArgs {
  Rows<Real> x;                  // of tokens
  const void* encoded = nullptr; // [rows, x.width]
  ElementType type = ElementType::kFloat32;
};
template <class Real>
struct JoinArgs {
  Rows<const Real> a, b;
  Rows<Real> out;
  std::uint64_t blank = 0; // 1: rows of a at the first place of a sequence are zeros, 2: of b
};

// The ops in one compute type.
template <class Real>
class Ops {
public:
  virtual ~Ops() = default;
  virtual void embed(const PassView& pass, const EmbedArgs<Real>& args) = 0;
  virtual void embed_position(const PassView& pass, const EmbedPositionArgs<Real>& args) = 0;
  virtual void pool(const PassView& pass, const PoolArgs<Real>& args) = 0;
  virtual void norm(const NormArgs<Real>& args) = 0;
  // Where ranks share the rows: each row's sum of squares, into a column; and the RMS norm by the sums of `columns` squares, with gains
  // and biases from `first` on.
  virtual void sum_squares(const RowsArgs<Real>& args) = 0;
  virtual void norm_of_sums(const NormArgs<Real>& args, const Rows<const Real>& sums) = 0;
  virtual void linear(const LinearArgs<Real>& args) = 0;
  virtual void rope(const PassView& pass, const RopeArgs<Real>& args) = 0;
  virtual void store(const PassView& pass, const StoreArgs<Real>& args) = 0;
  virtual void attend(const PassView& pass, const AttendArgs<Real>& args) = 0;
  virtual void attend_whole(const AttendWholeArgs<Real>& args) = 0;
  virtual void attend_latent(const PassView& pass, const LatentArgs<Real>& args) = 0;
  virtual void gate(const GateArgs<Real>& args) = 0;
  virtual void route(const RouteArgs<Real>& args) = 0;
  virtual void experts(const ExpertsArgs<Real>& args) = 0;
  virtual void last_rows(const PassView& pass, const RowsArgs<Real>& args) = 0;
  virtual void add(const RowsArgs<Real>& args) = 0;
  virtual void scale_rows(const ScaleRowsArgs<Real>& args) = 0;
  virtual void multiply_rows(const MultiplyArgs<Real>& args) = 0;
  virtual void conv(const PassView& pass, const ConvArgs<Real>& args) = 0;
  virtual void ssm_scan(const PassView& pass, const ScanArgs<Real>& args) = 0;
  virtual void columns(const ColumnsArgs<Real>& args) = 0;
  virtual void delta_rule(const PassView& pass, const DeltaArgs<Real>& args) = 0;
  // Of images: see plimsoll/pipeline.h. MERGE_ROWS gives as many rows as `out` has.
  virtual void patches(const PatchesArgs<Real>& args) = 0;
  virtual void rope_sections(const PassView& pass, const RopeSectionsArgs<Real>& args) = 0;
  virtual void merge_rows(const RowsArgs<Real>& args) = 0;
  virtual void image_rows(const PassView& pass, const ImageRowsArgs<Real>& args) = 0;
  virtual void join(const PassView& pass, const JoinArgs<Real>& args) = 0;
  // Rows as elements of a stored type, from the element `first` on: what a cache of encoded images keeps.
  virtual void store_rows(const Rows<const Real>& x, void* data, ElementType type, std::uint64_t first) = 0;
};

class Backend : public MemorySource {
public:
  virtual std::string_view name() const = 0;
  // Within the device; the ranges do not overlap. copy_in and copy_out (MemorySource) are to and from the host.
  virtual void copy(void* to, const void* from, std::uint64_t bytes) = 0;
  virtual void zero(void* device, std::uint64_t bytes) = 0;
  // `rows` runs of `width_bytes`, which begin at every so many bytes; likewise.
  virtual void copy_rows(void* to, std::uint64_t to_stride_bytes, const void* from, std::uint64_t from_stride_bytes,
                         std::uint64_t width_bytes, std::uint64_t rows) {
    for (std::uint64_t row = 0; row < rows; ++row)
      copy(static_cast<std::byte*>(to) + row * to_stride_bytes, static_cast<const std::byte*>(from) + row * from_stride_bytes, width_bytes);
  }
  // Waits for all that was asked for. The first thing that failed since the last call.
  virtual Result<void> synchronize() = 0;
  // Whether that is all done; the same without waiting.
  virtual Result<bool> is_done() { return true; }
  // Of a device whose ranks NCCL joins: its functions (kBadRequest: why there are none), and the stream that all is asked for on, whose
  // device is the calling thread's current one from now on.
  virtual Result<const Nccl*> nccl() { return load_nccl(); }
  virtual void* stream() { return nullptr; }
  // Memory that a device's BLAS works in from now on, and none of its own; until another call, or null, says otherwise.
  virtual Result<void> use_workspace(void*, std::uint64_t) { return {}; }

  virtual Ops<float>& ops(float) = 0;
  virtual Ops<double>& ops(double) = 0;
};

} // namespace plimsoll
