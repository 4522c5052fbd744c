// plimsoll/program.hpp - what a host executes for one forward pass of a model: the ops that its planners described
// (plimsoll/pipeline.h), bound to weights and KV groups, with every buffer placed in one slab. The plan's activations are
// this slab, so what is planned is what is taken. Made by Context::program; the runtime library executes it, others may.
// Values; nothing in it refers to a model or a context. Threads: immutable once made.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "plimsoll/adapters.hpp"
#include "plimsoll/weight_sources.hpp"

namespace plimsoll {

// Numbers and operands are those of PLIMSOLL_OP_* in plimsoll/pipeline.h. From kAllReduce on they are the host's own: planners mark what
// is to be summed, and the schedule of a rank has an op for it.
enum class OpKind : std::uint8_t {
  kEmbed = 1,
  kNorm,
  kLinear,
  kRope,
  kAttend,
  kAttendLatent,
  kGate,
  kRoute,
  kExperts,
  kLastRows,
  kAdd,
  kScaleRows,
  kConv,
  kSsmScan,
  kColumns,
  kDeltaRule,
  kAttendWhole,
  kEmbedPosition,
  kPool,
  kMultiply,
  kPatches = 24,
  kRopeSections,
  kMergeRows,
  kImageRows,
  kJoin,
  kRowsInOrder = 34,
  kAllReduce = 64, // x: out (+)= the sum of x over the ranks of a tensor-parallel group, the same bits on each; out may be x
  kAllGather,      // x: out = the columns of x of all ranks, side by side; what goes beyond the width of out is padding and left out
  kSend,           // x: to the rank in its place on the next pipeline stage; out is x
  kReceive,        // -: out = what the rank in its place on the stage before sends
  kSumSquares,     // x: out, one column, = the sum of the squares of each row
  kNormOfSums, // x, s; gain?, bias?; columns, first, plus_one; epsilon: an RMS norm of rows that ranks share: s is the sum of the squares
               // of `columns` columns, x those of this rank, for which gain and bias begin at `first`
  kGatherRows, // x: out, a value of all replicas, = the rows of x of each of them, one replica after another
  kScatterSum  // x, a value of all replicas: out (+)= this replica's rows of the sum of x over all ranks of the stage, of every replica
};
constexpr bool is_collective(OpKind kind) noexcept {
  return (kind >= OpKind::kAllReduce && kind <= OpKind::kReceive) || kind == OpKind::kGatherRows || kind == OpKind::kScatterSum;
}

// Ops whose KV group keeps states.
constexpr bool keeps_state(OpKind kind) noexcept { return kind == OpKind::kConv || kind == OpKind::kSsmScan || kind == OpKind::kDeltaRule; }

inline constexpr std::uint32_t kNoIndex = UINT32_MAX;
inline constexpr std::uint64_t kExpertRows = 128; // rows that go through an expert together

// A tensor [rows, width] of float32 elements, row after row, at an offset of the slab. The slab has room for the most rows of a pass.
struct ProgramValue {
  bool of_outputs = false; // a row for each that wants logits, not for each token; see Program::encoder
  std::uint64_t width = 0;
  std::uint64_t offset_bytes = 0;
  bool of_replicas = false; // a row for each token of every replica; see Program::replicas
};

struct ProgramOp {
  OpKind kind = OpKind::kEmbed;
  bool accumulate = false;
  std::uint32_t layer = kNoIndex;
  std::uint32_t out = kNoIndex;                                                                     // value
  std::array<std::uint32_t, 6> in{kNoIndex, kNoIndex, kNoIndex, kNoIndex, kNoIndex, kNoIndex};      // values
  std::array<std::uint32_t, 6> weights{kNoIndex, kNoIndex, kNoIndex, kNoIndex, kNoIndex, kNoIndex}; // of Program::weights.tensors
  std::uint32_t kv_group = kNoIndex;                                                                // of the plan's KvGeometry
  std::uint32_t kv_layer = 0;                                                                       // position among the group's layers
  // As described, heads and widths of this rank. Besides, where a rank has a part: EMBED: the table's first token and how many the model
  // has; EXPERTS: i[5], i[6] its first expert and how many. 0, 0: all.
  std::array<std::uint64_t, 8> i{};
  std::array<double, 4> f{};
  std::uint64_t first_head = 0, all_heads = 0;               // of an ATTEND with a bias: this rank's first head, and how many the model has
  std::uint64_t scratch_offset_bytes = 0, scratch_bytes = 0; // in the slab, for this op alone
  std::uint32_t adapter = kNoIndex;                          // of Program::adapters.targets: what adapters add to a LINEAR
};

// What one vector is made of a sequence's; numbers of PLIMSOLL_POOL_*.
enum class RowPooling : std::uint8_t { kNone = 0, kFirst, kMean, kLast };
// "first", "mean", "last".
constexpr const char* pooling_name(RowPooling pooling) noexcept {
  switch (pooling) {
  case RowPooling::kFirst: return "first";
  case RowPooling::kMean: return "mean";
  case RowPooling::kLast: return "last";
  case RowPooling::kNone: break;
  }
  return "none";
}

struct ProgramRope {
  std::vector<double> inverse_frequencies;
  double attention_factor = 1;
  friend bool operator==(const ProgramRope&, const ProgramRope&) = default;
};

// What a plan with a vision cache takes of images; rows of 0: none. An image lies in blocks of the cache's rows, as many as it needs.
struct ProgramImages {
  std::uint64_t most_rows = 0;    // of the language model, for the largest image
  std::uint64_t row_elements = 0; // of the cache, of `dtype`
  std::string dtype;
  std::uint64_t block_rows = 1;                                // of the cache
  std::uint64_t channels = 0, frames = 0, side = 0, merge = 0; // as PATCHES says
  std::uint64_t token = 0;                                     // that stands for a row, as IMAGE_ROWS says
  // What height and width of an image are multiples of.
  std::uint64_t step_pixels() const { return side * merge; }
  std::uint64_t patches_of_row() const { return merge * merge; }
};

struct Program {
  std::uint32_t rank = 0, tensor_ranks = 1, stages = 1; // of the plan; ranks of its tensor-parallel group, and such groups of a replica
  std::vector<ProgramValue> values;
  std::vector<ProgramRope> ropes;
  std::vector<ProgramOp> ops;
  WeightSources weights;
  AdapterSlots adapters;           // none where the plan has no room for any
  std::uint32_t logits = kNoIndex; // the value of the logits
  std::uint64_t vocab_tokens = 0;  // its width; of a model that gives vectors, the tokens that it reads
  // Where they are no logits: a vector of so many elements for each sequence, how it is made, and whether its length is 1.
  std::uint64_t vector_elements = 0;
  RowPooling pooling = RowPooling::kNone;
  bool normalised = false;
  std::uint64_t hidden_elements = 0;
  std::uint64_t most_tokens = 0; // of one pass, as planned
  std::uint64_t most_sequences = 0;
  std::uint64_t most_outputs = 0;        // rows that want logits
  std::uint64_t most_context_tokens = 0; // of a request
  std::uint64_t slab_bytes = 0;
  ProgramImages images;
  // The encoder of one image, on ranks of the first stage where images are planned: a program whose tokens are patches, whose outputs are
  // rows of the text, and whose logits are what the cache keeps. It has the weights of this one, and the same slab when this one rests.
  std::shared_ptr<const Program> encoder;
  // The model's own head that drafts, where one is planned: run behind passes of this program, over what its last layer left, and then over
  // what it handed on itself. It has the weights of this one, a slab of its own and groups of the same cache.
  std::shared_ptr<const Program> head;
  // Rows of tokens, [most_tokens, hidden_elements], that stay until the next pass: of a model with a head what its last layer left; of a
  // head what its next run takes.
  std::uint32_t hands_on = kNoIndex;
  // Of a head: where what the model left is put before a run, and where what the run before handed on, for which ops begin with `own_ops`.
  std::uint32_t takes_model = kNoIndex, takes = kNoIndex, own_ops = 0;
  // That share the experts, so that all compute their passes together; 1: this one has its own. Each has as many ranks and stages.
  std::uint32_t replicas = 1;
  std::uint64_t most_rows_of_replicas() const { return most_tokens * replicas; } // both are below 2^32
  // That are multiplied together: of all replicas only those that go through one expert.
  std::uint64_t most_rows_at_once() const {
    const std::uint64_t of_expert = most_rows_of_replicas() < kExpertRows ? most_rows_of_replicas() : kExpertRows;
    const std::uint64_t rows = of_expert > most_tokens ? of_expert : most_tokens;
    return encoder && encoder->most_tokens > rows ? encoder->most_tokens : rows;
  }
  // Rows of a value that there is room for.
  std::uint64_t most_rows(const ProgramValue& value) const {
    return value.of_outputs ? most_outputs : value.of_replicas ? most_rows_of_replicas() : most_tokens;
  }
  std::uint64_t shared_slab_bytes() const { return encoder && encoder->slab_bytes > slab_bytes ? encoder->slab_bytes : slab_bytes; }
};

} // namespace plimsoll
