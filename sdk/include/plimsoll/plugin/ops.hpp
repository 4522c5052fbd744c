// plimsoll/plugin/ops.hpp - the ops of a forward pass as typed values: op::Norm, op::Linear and the others of plimsoll/pipeline.h, which
// says what each computes. A constructor takes what an op cannot do without, methods what it may have. Never include it by itself:
// plimsoll/plugin.hpp is the include of plugins. Threads: values.
#ifndef PLIMSOLL_PLUGIN_OPS_HPP
#define PLIMSOLL_PLUGIN_OPS_HPP

#include <array>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <utility>

#include "plimsoll/pipeline.h"
#include "plimsoll/plugin/reading.hpp"

namespace plimsoll {

enum class Activation : std::uint32_t {
  kNone = PLIMSOLL_ACT_NONE,
  kSilu = PLIMSOLL_ACT_SILU,
  kGelu = PLIMSOLL_ACT_GELU,
  kGeluTanh = PLIMSOLL_ACT_GELU_TANH,
  kRelu = PLIMSOLL_ACT_RELU,
  kSigmoid = PLIMSOLL_ACT_SIGMOID,
  kSoftCap = PLIMSOLL_ACT_SOFT_CAP,
  kSwigluOai = PLIMSOLL_ACT_SWIGLU_OAI,
  kGeluQuick = PLIMSOLL_ACT_GELU_QUICK,
  kReluSquared = PLIMSOLL_ACT_RELU_SQUARED
};
enum class Score : std::uint32_t {
  kSoftmax = PLIMSOLL_SCORE_SOFTMAX,
  kSigmoid = PLIMSOLL_SCORE_SIGMOID,
  kSoftmaxChosen = PLIMSOLL_SCORE_SOFTMAX_CHOSEN,
  kSigmoidChosen = PLIMSOLL_SCORE_SIGMOID_CHOSEN
};
enum class GroupWorth : std::uint32_t { kBest = PLIMSOLL_GROUP_BEST, kBestTwo = PLIMSOLL_GROUP_BEST_TWO };
// What a sequence's rows become where one vector is made of them.
enum class Pooling : std::uint32_t { kFirst = PLIMSOLL_POOL_FIRST, kMean = PLIMSOLL_POOL_MEAN, kLast = PLIMSOLL_POOL_LAST };
// How one tensor holds gate and up of an expert.
enum class Pairing : std::uint32_t { kRows = 1, kAlternating = 2 };

// A virtual tensor of the host's, and a table of frequencies that it took. Only a Pipeline makes them.
struct Value {
  std::uint32_t index = PLIMSOLL_NO_VALUE;
};
struct RopeTable {
  std::uint32_t index = PLIMSOLL_NO_TABLE;
};

namespace op {

// What all ops are made of.
class Op {
public:
  // Calls `emit` with the filled struct, valid for the call, and returns what it returns.
  template <class Emit>
  auto raw(std::uint32_t layer, Value out, std::uint32_t more_flags, Emit&& emit) const {
    plimsoll_op raw = op_;
    raw.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_op, f);
    raw.flags |= more_flags;
    raw.layer = layer;
    raw.out = out.index;
    for (std::size_t n = 0; n < weights_.size(); ++n) raw.weight[n] = to_str(weights_[n]);
    raw.kv_group = to_str(group_);
    return emit(raw);
  }

protected:
  Op(std::uint32_t kind, std::initializer_list<Value> in) {
    op_.kind = kind;
    for (const Value value : in) {
      if (value.index == PLIMSOLL_NO_VALUE) throw Error(PLIMSOLL_E_INTERNAL, "", "an op reads a value that the pipeline did not make");
      op_.in[op_.n_in++] = value.index;
    }
  }
  void weight(std::uint32_t n, std::string label) {
    weights_[n] = std::move(label);
    if (!weights_[n].empty() && op_.n_weights <= n) op_.n_weights = n + 1;
  }
  template <class... Sizes>
  void positive(const char* what, Sizes... sizes) const {
    for (const std::uint64_t size : {static_cast<std::uint64_t>(sizes)...})
      if (size == 0) throw Error(PLIMSOLL_E_INTERNAL, "", std::string(what) + " of an op is 0");
  }
  // Of each head, `stride` columns from one to the next, [first, first + columns): what several ops begin with.
  void head_columns(std::uint64_t heads, std::uint64_t stride, std::uint64_t first, std::uint64_t columns) {
    positive("a number of heads or columns", heads, stride, columns);
    op_.i[0] = heads;
    op_.i[1] = stride;
    op_.i[2] = first;
    op_.i[3] = columns;
  }
  plimsoll_op op_{};
  std::string group_;

private:
  std::array<std::string, PLIMSOLL_OP_MAX_WEIGHTS> weights_;
};

// An op whose result each rank of a tensor-parallel group may have a part of.
template <class Self>
class Reducible : public Op {
public:
  // What the ranks give is added up: behind a layer that is split along what it reads.
  Self& reduce() {
    op_.flags |= PLIMSOLL_OP_REDUCE;
    return static_cast<Self&>(*this);
  }

protected:
  using Op::Op;
};

// Rows of a table for the tokens of the pass.
class Embed : public Reducible<Embed> {
public:
  static constexpr bool kAdds = false;
  explicit Embed(std::string table) : Reducible(PLIMSOLL_OP_EMBED, {}) {
    weight(0, std::move(table));
    op_.f[0] = 1;
  }
  Embed& scale(double scale) {
    op_.f[0] = scale;
    return *this;
  }
};

// Rows of a table by the tokens' positions.
class EmbedPosition : public Op {
public:
  static constexpr bool kAdds = true;
  // The row of position 0.
  explicit EmbedPosition(std::string table, std::uint64_t first = 0) : Op(PLIMSOLL_OP_EMBED_POSITION, {}) {
    weight(0, std::move(table));
    op_.i[0] = first;
    op_.i[1] = 1;
    op_.f[0] = 1;
  }
  // The first row for every token: a token type.
  EmbedPosition& same(bool on = true) {
    op_.i[1] = on ? 0 : 1;
    return *this;
  }
  EmbedPosition& scale(double scale) {
    op_.f[0] = scale;
    return *this;
  }
};

// An RMS norm of the whole row, unless told otherwise.
class Norm : public Op {
public:
  static constexpr bool kAdds = false;
  Norm(Value x, std::string gain, double epsilon) : Op(PLIMSOLL_OP_NORM, {x}) {
    weight(0, std::move(gain)); // empty: none
    if (!(epsilon > 0)) throw Error(PLIMSOLL_E_CONFIG, "", "the epsilon of a norm is not above 0");
    op_.f[0] = epsilon;
  }
  Norm& bias(std::string label) {
    weight(1, std::move(label));
    return *this;
  }
  // Of each head by itself, `stride` columns from one to the next.
  Norm& heads(std::uint64_t heads, std::uint64_t stride) { return columns(heads, stride, 0, stride); }
  // Of these columns of each head; the others are copied.
  Norm& columns(std::uint64_t heads, std::uint64_t stride, std::uint64_t first, std::uint64_t columns) {
    head_columns(heads, stride, first, columns);
    return *this;
  }
  // A layer norm: the mean is taken off first.
  Norm& mean(bool on = true) {
    op_.i[4] = on ? 1 : 0;
    return *this;
  }
  // What is stored is the gain less 1.
  Norm& plus_one(bool on = true) {
    op_.i[5] = on ? 1 : 0;
    return *this;
  }
};

class Linear : public Reducible<Linear> {
public:
  static constexpr bool kAdds = true;
  Linear(Value x, std::string label) : Reducible(PLIMSOLL_OP_LINEAR, {x}) {
    weight(0, std::move(label));
    op_.i[0] = PLIMSOLL_ALL_PARTS;
    op_.f[0] = 1;
  }
  // Empty: none.
  Linear& bias(std::string label) {
    weight(1, std::move(label));
    return *this;
  }
  // One part of a fused class, as Weight::parts lists them.
  Linear& part(std::uint32_t part) {
    op_.i[0] = part;
    return *this;
  }
  Linear& scale(double scale) {
    op_.f[0] = scale;
    return *this;
  }
};

// Turns columns of each head in place: the value that is set is the one that is read.
class Rope : public Op {
public:
  static constexpr bool kAdds = false;
  Rope(Value x, RopeTable table) : Op(PLIMSOLL_OP_ROPE, {x}) { op_.i[5] = table.index; }
  Rope& columns(std::uint64_t heads, std::uint64_t stride, std::uint64_t first, std::uint64_t columns) {
    head_columns(heads, stride, first, columns);
    return *this;
  }
  // Pairs are neighbours, not half a head apart.
  Rope& interleaved(bool on = true) {
    op_.i[4] = on ? 1 : 0;
    return *this;
  }
};

// Sizes of an attention: heads of queries, of keys and values, elements of a key and of a value.
struct AttendSizes {
  std::uint64_t heads, kv_heads, k_elements, v_elements;
};

// Causal attention over what a KV group holds.
class Attend : public Op {
public:
  static constexpr bool kAdds = true;
  // Stores keys and values first.
  Attend(Value q, Value k, Value v, std::string kv_group, const AttendSizes& sizes) : Op(PLIMSOLL_OP_ATTEND, {q, k, v}) {
    take(std::move(kv_group), sizes);
  }
  // Looks into what an earlier layer stored.
  Attend(Value q, std::string kv_group, const AttendSizes& sizes) : Op(PLIMSOLL_OP_ATTEND, {q}) { take(std::move(kv_group), sizes); }
  Attend& window(std::uint64_t tokens) {
    op_.i[4] = tokens;
    return *this;
  }
  Attend& chunk(std::uint64_t tokens) {
    op_.i[5] = tokens;
    return *this;
  }
  // In place of 1 / sqrt(elements of a key).
  Attend& scale(double scale) {
    op_.f[0] = scale;
    return *this;
  }
  Attend& soft_cap(double cap) {
    op_.f[1] = cap;
    return *this;
  }
  // Keys lose score with their distance, head by head: ALiBi, whose slopes begin at 2^-most for so many heads as a power of two has.
  Attend& bias(double most) {
    op_.f[3] = most;
    return *this;
  }
  // Without k and v: what that earlier layer stored, whose group is named.
  Attend& of_layer(std::uint32_t layer) {
    op_.i[7] = std::uint64_t{layer} + 1;
    return *this;
  }
  // The query at position p times 1 + growth * log(1 + floor((p + 1) / step)).
  Attend& grow(double growth, std::uint64_t step) {
    op_.f[2] = growth;
    op_.i[6] = step;
    return *this;
  }
  // Empty: none.
  Attend& sinks(std::string label) {
    weight(0, std::move(label));
    return *this;
  }

private:
  void take(std::string kv_group, const AttendSizes& sizes) {
    positive("a size", sizes.heads, sizes.kv_heads, sizes.k_elements, sizes.v_elements);
    group_ = std::move(kv_group);
    op_.i[0] = sizes.heads;
    op_.i[1] = sizes.kv_heads;
    op_.i[2] = sizes.k_elements;
    op_.i[3] = sizes.v_elements;
    op_.f[0] = 1 / std::sqrt(static_cast<double>(sizes.k_elements));
  }
};

// Attention of a sequence to all of itself, in both directions; nothing is kept.
class AttendWhole : public Op {
public:
  static constexpr bool kAdds = true;
  AttendWhole(Value q, Value k, Value v, const AttendSizes& sizes) : Op(PLIMSOLL_OP_ATTEND_WHOLE, {q, k, v}) {
    positive("a size", sizes.heads, sizes.kv_heads, sizes.k_elements, sizes.v_elements);
    op_.i[0] = sizes.heads;
    op_.i[1] = sizes.kv_heads;
    op_.i[2] = sizes.k_elements;
    op_.i[3] = sizes.v_elements;
    op_.f[0] = 1 / std::sqrt(static_cast<double>(sizes.k_elements));
  }
  // To what is at most half of it away.
  AttendWhole& window(std::uint64_t tokens) {
    op_.i[4] = tokens;
    return *this;
  }
  // In place of 1 / sqrt(elements of a key).
  AttendWhole& scale(double scale) {
    op_.f[0] = scale;
    return *this;
  }
  AttendWhole& soft_cap(double cap) {
    op_.f[1] = cap;
    return *this;
  }
  // Of an image: to its own window alone.
  AttendWhole& apart(bool on = true) {
    op_.i[5] = on ? 1 : 0;
    return *this;
  }
};

// Sizes of a latent attention: heads, elements of a latent vector, of a head's key without and with rotation, of its value.
struct LatentSizes {
  std::uint64_t heads, rank, nope, rope, v;
};

// Attention over latent vectors: `latent` is the vector with the rotated key behind it.
class AttendLatent : public Op {
public:
  static constexpr bool kAdds = true;
  AttendLatent(Value q, Value latent, std::string kv_b, std::string kv_group, const LatentSizes& sizes)
      : Op(PLIMSOLL_OP_ATTEND_LATENT, {q, latent}) {
    positive("a size", sizes.heads, sizes.rank, sizes.nope, sizes.rope, sizes.v);
    weight(0, std::move(kv_b));
    group_ = std::move(kv_group);
    op_.i[0] = sizes.heads;
    op_.i[1] = sizes.rank;
    op_.i[2] = sizes.nope;
    op_.i[3] = sizes.rope;
    op_.i[4] = sizes.v;
    op_.f[0] = 1 / std::sqrt(static_cast<double>(sizes.nope) + static_cast<double>(sizes.rope));
  }
  // In place of 1 / sqrt(nope + rope).
  AttendLatent& scale(double scale) {
    op_.f[0] = scale;
    return *this;
  }
};

// act(a) * b, or act(a).
class Gate : public Op {
public:
  static constexpr bool kAdds = true;
  Gate(Value a, Value b, Activation act) : Op(PLIMSOLL_OP_GATE, {a, b}) { op_.i[0] = static_cast<std::uint64_t>(act); }
  Gate(Value a, Activation act) : Op(PLIMSOLL_OP_GATE, {a}) { op_.i[0] = static_cast<std::uint64_t>(act); }
  // Of kSoftCap.
  Gate& cap(double cap) {
    op_.f[0] = cap;
    return *this;
  }
  // Of kSwigluOai.
  Gate& clamp(double limit, double alpha) {
    op_.f[0] = limit;
    op_.f[1] = alpha;
    return *this;
  }
};

// Chooses k of the experts; the value has 2k columns.
class Route : public Op {
public:
  static constexpr bool kAdds = false;
  Route(Value x, std::string router, std::uint64_t experts, std::uint64_t k, Score score) : Op(PLIMSOLL_OP_ROUTE, {x}) {
    positive("a number of experts", experts, k);
    weight(0, std::move(router));
    op_.i[0] = experts;
    op_.i[1] = k;
    op_.i[4] = static_cast<std::uint64_t>(score);
    op_.f[0] = 1;
  }
  Route& bias(std::string label) {
    weight(1, std::move(label));
    return *this;
  }
  // Added to the scores while experts are chosen, not when they are weighed.
  Route& correction(std::string label) {
    weight(2, std::move(label));
    return *this;
  }
  // Only the experts of the best groups take part.
  Route& groups(std::uint64_t groups, std::uint64_t kept, GroupWorth worth) {
    op_.i[2] = groups;
    op_.i[3] = kept;
    op_.i[6] = static_cast<std::uint64_t>(worth);
    return *this;
  }
  // Times the weight of each expert. Empty: none.
  Route& gains(std::string label) {
    weight(3, std::move(label));
    return *this;
  }
  Route& renormalise(bool on = true) {
    op_.i[5] = on ? 1 : 0;
    return *this;
  }
  Route& scale(double scale) {
    op_.f[0] = scale;
    return *this;
  }
};

// The FFNs of the chosen experts, weighed and added up.
class Experts : public Reducible<Experts> {
public:
  static constexpr bool kAdds = true;
  // Gate and up apart; `gate` empty: there is none.
  Experts(Value x, Value routes, std::string gate, std::string up, std::string down) : Reducible(PLIMSOLL_OP_EXPERTS, {x, routes}) {
    weight(0, std::move(gate));
    weight(1, std::move(up));
    weight(2, std::move(down));
  }
  // One tensor for both.
  Experts(Value x, Value routes, std::string gate_up, Pairing pairing, std::string down) : Reducible(PLIMSOLL_OP_EXPERTS, {x, routes}) {
    weight(0, std::move(gate_up));
    weight(2, std::move(down));
    op_.i[4] = static_cast<std::uint64_t>(pairing);
  }
  // Empty: none; where one tensor is gate and up, `gate` is the bias of both.
  Experts& biases(std::string gate, std::string up, std::string down) {
    weight(3, std::move(gate));
    weight(4, std::move(up));
    weight(5, std::move(down));
    return *this;
  }
  Experts& sizes(std::uint64_t experts, std::uint64_t k, std::uint64_t width, Activation act) {
    positive("a number of experts or their width", experts, k, width);
    op_.i[0] = experts;
    op_.i[1] = k;
    op_.i[2] = width;
    op_.i[3] = static_cast<std::uint64_t>(act);
    return *this;
  }
  // A weight multiplies what its expert reads, not what it gives.
  Experts& weigh_inputs(bool on = true) {
    op_.i[7] = on ? 1 : 0;
    return *this;
  }
  // Of kSwigluOai.
  Experts& clamp(double limit, double alpha) {
    op_.f[0] = limit;
    op_.f[1] = alpha;
    return *this;
  }
};

// The rows that want logits.
class LastRows : public Op {
public:
  static constexpr bool kAdds = false;
  explicit LastRows(Value x) : Op(PLIMSOLL_OP_LAST_ROWS, {x}) {}
};

// One row for each sequence, in a value of outputs.
class Pool : public Op {
public:
  static constexpr bool kAdds = false;
  Pool(Value x, Pooling how) : Op(PLIMSOLL_OP_POOL, {x}) { op_.i[0] = static_cast<std::uint64_t>(how); }
};

class Add : public Op {
public:
  static constexpr bool kAdds = true;
  explicit Add(Value a, double scale = 1) : Op(PLIMSOLL_OP_ADD, {a}) { op_.f[0] = scale; }
};

// act(s) * a, s one element a row.
class ScaleRows : public Op {
public:
  static constexpr bool kAdds = true;
  ScaleRows(Value a, Value s, Activation act) : Op(PLIMSOLL_OP_SCALE_ROWS, {a, s}) { op_.i[0] = static_cast<std::uint64_t>(act); }
};

// Every row times a weight: an element for each column, or one for all. May work in place.
class Multiply : public Op {
public:
  static constexpr bool kAdds = false;
  Multiply(Value x, std::string w, double scale = 1) : Op(PLIMSOLL_OP_MULTIPLY, {x}) {
    weight(0, std::move(w));
    op_.f[0] = scale;
  }
};

// A causal convolution of every channel by itself, over `taps` tokens; those before the pass lie in a region of a group that keeps states.
class Conv : public Op {
public:
  static constexpr bool kAdds = false;
  Conv(Value x, std::string w, std::uint64_t taps, std::string kv_group, std::uint64_t region) : Op(PLIMSOLL_OP_CONV, {x}) {
    positive("a number of taps", taps);
    weight(0, std::move(w));
    group_ = std::move(kv_group);
    op_.i[0] = PLIMSOLL_ALL_PARTS;
    op_.i[1] = taps;
    op_.i[3] = region;
  }
  // Empty: none.
  Conv& bias(std::string label) {
    weight(1, std::move(label));
    return *this;
  }
  // One part of the class, as Weight::parts lists them; the region keeps so many channels before those of this one.
  Conv& part(std::uint32_t part, std::uint64_t first_channel) {
    op_.i[0] = part;
    op_.i[4] = first_channel;
    return *this;
  }
  Conv& act(Activation act) {
    op_.i[2] = static_cast<std::uint64_t>(act);
    return *this;
  }
};

// Sizes of a scan: heads, elements of one, of a head's state for each of these, groups of heads that share b and c.
struct ScanSizes {
  std::uint64_t heads, head_elements, state, groups;
};

// The scan of Mamba over x with b, c and steps dt; its states lie in a region of a group that keeps them.
class SsmScan : public Op {
public:
  static constexpr bool kAdds = false;
  SsmScan(Value x, Value b, Value c, Value dt, std::string a, std::string kv_group, std::uint64_t region, const ScanSizes& sizes)
      : Op(PLIMSOLL_OP_SSM_SCAN, {x, b, c, dt}) {
    positive("a size", sizes.heads, sizes.head_elements, sizes.state, sizes.groups);
    weight(0, std::move(a));
    group_ = std::move(kv_group);
    op_.i[0] = sizes.heads;
    op_.i[1] = sizes.head_elements;
    op_.i[2] = sizes.state;
    op_.i[3] = sizes.groups;
    op_.i[4] = region;
  }
  // What of x goes by the state. Empty: nothing.
  SsmScan& skip(std::string label) {
    weight(1, std::move(label));
    return *this;
  }
  // Empty: none.
  SsmScan& dt_bias(std::string label) {
    weight(2, std::move(label));
    return *this;
  }
  // `a` is stored as it is, not as the logarithm of its negative.
  SsmScan& stored(bool on = true) {
    op_.i[5] = on ? 1 : 0;
    return *this;
  }
  // Of a step; most 0: none.
  SsmScan& limits(double least, double most) {
    op_.f[0] = least;
    op_.f[1] = most;
    return *this;
  }
};

// Of each head, `stride` columns from one to the next, the columns [first, first + columns), side by side.
class Columns : public Op {
public:
  static constexpr bool kAdds = false;
  Columns(Value x, std::uint64_t heads, std::uint64_t stride, std::uint64_t first, std::uint64_t columns) : Op(PLIMSOLL_OP_COLUMNS, {x}) {
    head_columns(heads, stride, first, columns);
  }
};

// The columns of two values side by side: what a head that drafts makes of a token and of what the model made of the one before.
class Join : public Op {
public:
  static constexpr bool kAdds = false;
  Join(Value a, Value b) : Op(PLIMSOLL_OP_JOIN, {a, b}) {}
  // A row of the first counts as zeros where its token stands first in its sequence; or one of the second.
  Join& blank_first(bool of_second = false) {
    op_.i[0] = of_second ? 2 : 1;
    return *this;
  }
};

// Sizes of a delta rule: heads of values, of keys and queries, elements of a key and of a value.
struct DeltaSizes {
  std::uint64_t heads, key_heads, key_elements, value_elements;
};

// The gated delta rule of values over keys and queries, which it makes as long as 1, queries then times 1 / sqrt(key elements); its states
// lie in a region of a group that keeps them.
class DeltaRule : public Op {
public:
  static constexpr bool kAdds = false;
  DeltaRule(Value q, Value k, Value v, Value decay, Value write, std::string a, std::string kv_group, std::uint64_t region,
            const DeltaSizes& sizes, double epsilon)
      : Op(PLIMSOLL_OP_DELTA_RULE, {q, k, v, decay, write}) {
    positive("a size", sizes.heads, sizes.key_heads, sizes.key_elements, sizes.value_elements);
    weight(0, std::move(a));
    group_ = std::move(kv_group);
    op_.i[0] = sizes.heads;
    op_.i[1] = sizes.key_heads;
    op_.i[2] = sizes.key_elements;
    op_.i[3] = sizes.value_elements;
    op_.i[4] = region;
    op_.f[0] = epsilon;
    op_.f[1] = 1 / std::sqrt(static_cast<double>(sizes.key_elements));
  }
  // Empty: none.
  DeltaRule& dt_bias(std::string label) {
    weight(1, std::move(label));
    return *this;
  }
  // `a` is stored as it is, not as the logarithm of its negative.
  DeltaRule& stored(bool on = true) {
    op_.i[5] = on ? 1 : 0;
    return *this;
  }
  // Of the queries, in place of the usual one.
  DeltaRule& scale(double scale) {
    op_.f[1] = scale;
    return *this;
  }
};

} // namespace op
} // namespace plimsoll

#endif
