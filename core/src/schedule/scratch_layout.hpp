// Where the intermediate results of one op lie in its scratch memory: the plan takes the sizes from here, kernels the offsets, so they
// agree. Everything is counted in elements of the compute type (float32 where a plan counts bytes); every piece is a multiple of 64 bytes
// of float32. Work goes in blocks, so that no piece grows with the length of a context. Threads: pure functions.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "base/checked.hpp"
#include "plimsoll/program.hpp"

namespace plimsoll {

inline constexpr std::uint64_t kScratchAlignElements = 16;
inline constexpr std::uint64_t kQueryRows = 64;                    // rows of queries (token and head) that attend together
inline constexpr std::uint64_t kKeyBlockTokens = 64;               // keys that they look at together; blocks begin at multiples of it
inline constexpr std::uint64_t kRouteRows = 64;                    // rows that are routed together
inline constexpr std::uint64_t kAdapterRows = 128;                 // rows that an adapter is added to together
inline constexpr std::uint64_t kTileRows = 64, kTileColumns = 512; // of a weight that is not of the compute type, converted at a time
inline constexpr std::uint64_t kTileElements = kTileRows * kTileColumns;

// Cuts pieces one after another.
class ScratchCutter {
public:
  // The offset of a new piece; saturates.
  constexpr std::uint64_t cut(Checked elements) {
    const std::uint64_t begin = end_.saturated();
    end_ += Checked(ceil_div(elements.saturated(), kScratchAlignElements)) * kScratchAlignElements;
    return begin;
  }
  constexpr Checked end() const { return end_; }

private:
  Checked end_;
};

// A block of queries of one sequence: `heads` of those that share a key's head, `tokens` of each, one head after another.
struct QueryBlock {
  std::uint64_t heads = 0, tokens = 0;
  constexpr std::uint64_t rows() const { return heads * tokens; }
};
constexpr QueryBlock query_block(std::uint64_t sharing_heads, std::uint64_t tokens) {
  const std::uint64_t heads = std::clamp<std::uint64_t>(sharing_heads, 1, kQueryRows);
  return {heads, std::clamp<std::uint64_t>(tokens, 1, kQueryRows / heads)};
}

// ATTEND: a block of queries, a block of keys and values as compute elements, their scores, and the running sums.
struct AttendScratch {
  std::uint64_t queries = 0, keys = 0, values = 0, scores = 0, sums = 0, maxima = 0, weights = 0;
  Checked elements;
};
// ATTEND_WHOLE has no block of keys and values: they lie in rows.
constexpr AttendScratch attend_scratch(const std::array<std::uint64_t, 8>& i, std::uint64_t tokens, bool whole = false) {
  const std::uint64_t rows = query_block(i[1] == 0 ? 1 : i[0] / i[1], tokens).rows();
  ScratchCutter cutter;
  AttendScratch at;
  at.queries = cutter.cut(Checked(rows) * i[2]);
  if (!whole) {
    at.keys = cutter.cut(Checked(kKeyBlockTokens) * i[2]);
    at.values = cutter.cut(Checked(kKeyBlockTokens) * i[3]);
  }
  at.scores = cutter.cut(Checked(rows) * kKeyBlockTokens);
  at.sums = cutter.cut(Checked(rows) * i[3]);
  at.maxima = cutter.cut(rows);
  at.weights = cutter.cut(rows);
  at.elements = cutter.end();
  return at;
}

// ATTEND_LATENT. Absorbed: queries are projected onto the latent, all heads look at the same keys, of which the first `rank` elements are
// the values too. Expanded: a block of latents becomes keys and values of one head.
struct LatentScratch {
  std::uint64_t queries = 0, latents = 0, keys = 0, values = 0, scores = 0, sums = 0, maxima = 0, weights = 0;
  Checked elements;
};
constexpr LatentScratch absorbed_scratch(const std::array<std::uint64_t, 8>& i, std::uint64_t tokens) {
  const std::uint64_t rows = query_block(i[0], tokens).rows();
  ScratchCutter cutter;
  LatentScratch at;
  at.queries = cutter.cut(Checked(rows) * (Checked(i[1]) + i[3]));
  at.latents = cutter.cut(Checked(kKeyBlockTokens) * (Checked(i[1]) + i[3]));
  at.scores = cutter.cut(Checked(rows) * kKeyBlockTokens);
  at.sums = cutter.cut(Checked(rows) * i[1]);
  at.maxima = cutter.cut(rows);
  at.weights = cutter.cut(rows);
  at.elements = cutter.end();
  return at;
}
constexpr LatentScratch expanded_scratch(const std::array<std::uint64_t, 8>& i, std::uint64_t tokens) {
  const std::uint64_t rows = query_block(1, tokens).rows();
  const Checked key = Checked(i[2]) + i[3];
  ScratchCutter cutter;
  LatentScratch at;
  at.queries = cutter.cut(Checked(rows) * key);
  at.latents = cutter.cut(Checked(kKeyBlockTokens) * (Checked(i[1]) + i[3]));
  at.keys = cutter.cut(Checked(kKeyBlockTokens) * key);
  at.values = cutter.cut(Checked(kKeyBlockTokens) * i[4]);
  at.scores = cutter.cut(Checked(rows) * kKeyBlockTokens);
  at.sums = cutter.cut(Checked(rows) * i[4]);
  at.maxima = cutter.cut(rows);
  at.weights = cutter.cut(rows);
  at.elements = cutter.end();
  return at;
}

// ROPE: sine and cosine of a token's angles and of one step, as doubles: 4 * 8 bytes a pair.
constexpr Checked rope_scratch_elements(const std::array<std::uint64_t, 8>& i) { return Checked(i[3] / 2) * 8; }

// ROUTE: logits of a block of rows; of one row the scores, what it is chosen by, and what its groups are worth.
struct RouteScratch {
  std::uint64_t logits = 0, scores = 0, choice = 0, worth = 0;
  Checked elements;
};
constexpr RouteScratch route_scratch(const std::array<std::uint64_t, 8>& i, std::uint64_t rows) {
  ScratchCutter cutter;
  RouteScratch at;
  at.logits = cutter.cut(Checked(std::min(rows, kRouteRows)) * i[0]);
  at.scores = cutter.cut(i[0]);
  at.choice = cutter.cut(i[0]);
  at.worth = cutter.cut(std::max<std::uint64_t>(i[2], 1));
  at.elements = cutter.end();
  return at;
}

// EXPERTS: which rows go where (begins [experts + 1], then rows' slots by expert), and of a block of rows of one expert what goes in (and
// comes out) and what lies between. `width`: elements of a row of x.
struct ExpertScratch {
  std::uint64_t begins = 0, slots = 0, inputs = 0, hidden = 0;
  Checked elements;
};
constexpr ExpertScratch expert_scratch(const std::array<std::uint64_t, 8>& i, std::uint64_t rows, std::uint64_t width) {
  const std::uint64_t block = std::min(rows, kExpertRows);
  ScratchCutter cutter;
  ExpertScratch at;
  at.begins = cutter.cut(Checked(i[0]) + 1);
  at.slots = cutter.cut(Checked(rows) * i[1]);
  at.inputs = cutter.cut(Checked(block) * width);
  at.hidden = cutter.cut(Checked(block) * 2 * i[2]);
  at.elements = cutter.end();
  return at;
}

// CONV: the weight as [taps][channels] and the bias as compute elements, the taps of one channel, and as many rows of x as it looks at.
struct ConvScratch {
  std::uint64_t weight = 0, bias = 0, channel = 0, rows = 0;
  Checked elements;
};
constexpr ConvScratch conv_scratch(std::uint64_t taps, std::uint64_t channels) {
  ScratchCutter cutter;
  ConvScratch at;
  at.weight = cutter.cut(Checked(taps) * channels);
  at.bias = cutter.cut(channels);
  at.channel = cutter.cut(taps);
  at.rows = cutter.cut(Checked(taps) * channels);
  at.elements = cutter.end();
  return at;
}

// SSM_SCAN: the state of one head, what it decays by in a step, its row of a; then its d and its bias.
struct ScanScratch {
  std::uint64_t state = 0, decay = 0, a = 0, d = 0, bias = 0;
  Checked elements;
};
constexpr ScanScratch scan_scratch(const std::array<std::uint64_t, 8>& i) {
  ScratchCutter cutter;
  ScanScratch at;
  at.state = cutter.cut(Checked(i[1]) * i[2]);
  at.decay = cutter.cut(i[2]);
  at.a = cutter.cut(i[2]);
  at.d = cutter.cut(1);
  at.bias = cutter.cut(1);
  at.elements = cutter.end();
  return at;
}

// DELTA_RULE: the state of one head; what its columns decay by, its key and its query; its a and its biases.
struct DeltaScratch {
  std::uint64_t state = 0, decay = 0, key = 0, query = 0, a = 0, bias = 0;
  Checked elements;
};
constexpr DeltaScratch delta_scratch(const std::array<std::uint64_t, 8>& i) {
  ScratchCutter cutter;
  DeltaScratch at;
  at.state = cutter.cut(Checked(i[2]) * i[3]);
  at.decay = cutter.cut(i[2]);
  at.key = cutter.cut(i[2]);
  at.query = cutter.cut(i[2]);
  at.a = cutter.cut(1);
  at.bias = cutter.cut(i[2]);
  at.elements = cutter.end();
  return at;
}

// Whether a weight is read through the tile: kernels compute in float32.
inline bool reads_through_tile(const ProgramOp& op, const WeightSources& weights, std::size_t n) {
  return op.weights[n] != kNoIndex && weights.tensors[op.weights[n]].dtype != "float32";
}

inline Checked tile_elements(const ProgramOp& op, const WeightSources& weights, std::size_t n_matrices) {
  for (std::size_t n = 0; n < n_matrices; ++n)
    if (reads_through_tile(op, weights, n)) return kTileElements;
  return 0;
}

// Elements of a row that an expert gives, which are those that it reads.
inline std::uint64_t expert_row_elements(const ProgramOp& op, const WeightSources& weights) {
  if (op.weights[2] == kNoIndex) return 0;
  const WeightTensor& down = weights.tensors[op.weights[2]];
  return down.dims.size() == 2 && down.in_dim < 2 ? down.dims[1 - down.in_dim] : 0;
}

// Channels of a convolution: rows of its weight, or of one of its parts.
inline std::uint64_t conv_channels(const ProgramOp& op, const WeightSources& weights) {
  if (op.weights[0] == kNoIndex) return 0;
  const WeightTensor& weight = weights.tensors[op.weights[0]];
  if (op.i[0] < weight.parts.size()) return weight.parts[static_cast<std::size_t>(op.i[0])];
  return weight.dims.empty() ? 0 : weight.dims[0];
}

// LINEAR with adapters: A x of a block of rows, and the tile where the adapters' or the weight's elements are no float32.
inline Checked linear_scratch_elements(const ProgramOp& op, const WeightSources& weights, const AdapterSlots& adapters,
                                       std::uint64_t rows) {
  if (op.adapter == kNoIndex) return tile_elements(op, weights, 1);
  ScratchCutter cutter;
  cutter.cut(Checked(std::min(rows, kAdapterRows)) * adapters.max_rank);
  return cutter.end() + (adapters.dtype != "float32" ? Checked(kTileElements) : tile_elements(op, weights, 1));
}

// Of any op, for so many rows, the tile last. Weights are numbers of `weights.tensors`.
inline Checked scratch_elements(const ProgramOp& op, const WeightSources& weights, const AdapterSlots& adapters, std::uint64_t tokens) {
  switch (op.kind) {
  case OpKind::kLinear: return linear_scratch_elements(op, weights, adapters, tokens);
  case OpKind::kRope: return rope_scratch_elements(op.i);
  case OpKind::kRopeSections: return rope_scratch_elements(op.i); // as where all positions are alike
  case OpKind::kAttend: return attend_scratch(op.i, tokens).elements;
  case OpKind::kAttendWhole: return attend_scratch(op.i, tokens, true).elements;
  case OpKind::kAttendLatent: {
    const Checked absorbed = absorbed_scratch(op.i, tokens).elements, expanded = expanded_scratch(op.i, tokens).elements;
    return (absorbed.saturated() > expanded.saturated() ? absorbed : expanded) + tile_elements(op, weights, 1);
  }
  case OpKind::kRoute: return route_scratch(op.i, tokens).elements + tile_elements(op, weights, 1);
  case OpKind::kExperts: return expert_scratch(op.i, tokens, expert_row_elements(op, weights)).elements + tile_elements(op, weights, 3);
  case OpKind::kConv: return conv_scratch(op.i[1], conv_channels(op, weights)).elements;
  case OpKind::kSsmScan: return scan_scratch(op.i).elements;
  case OpKind::kDeltaRule: return delta_scratch(op.i).elements;
  case OpKind::kEmbed:
  case OpKind::kNorm:
  case OpKind::kGate:
  case OpKind::kLastRows:
  case OpKind::kAdd:
  case OpKind::kScaleRows:
  case OpKind::kColumns:
  case OpKind::kMultiply:
  case OpKind::kEmbedPosition:
  case OpKind::kPool:
  case OpKind::kPatches:
  case OpKind::kMergeRows:
  case OpKind::kImageRows:
  case OpKind::kJoin:
  case OpKind::kRowsInOrder:
  case OpKind::kAllReduce:
  case OpKind::kAllGather:
  case OpKind::kSend:
  case OpKind::kReceive:
  case OpKind::kSumSquares:
  case OpKind::kNormOfSums:
  case OpKind::kGatherRows:
  case OpKind::kScatterSum: break;
  }
  return 0;
}

// Rows that an op may have to work on: of tokens, or of all replicas'.
inline std::uint64_t most_scratch_rows(const ProgramOp& op, const Program& program) {
  const bool of_replicas = op.out < program.values.size() && program.values[op.out].of_replicas;
  return of_replicas ? program.most_rows_of_replicas() : program.most_tokens;
}

} // namespace plimsoll
