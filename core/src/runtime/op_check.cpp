#include "runtime/op_check.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "base/checked.hpp"
#include "plimsoll/pipeline.h"
#include "runtime/executor_weights.hpp"

namespace plimsoll {
namespace {

constexpr std::uint64_t kValueAlignmentBytes = 64;

// Checks of one op; keeps the first thing that is wrong.
class OpCheck {
public:
  OpCheck(const Program& program, std::span<const ExecutorKvGroup> groups) : program_(program), groups_(groups) {}

  bool check(const ProgramOp& op) {
    switch (op.kind) {
    case OpKind::kEmbed:
      return operands(op, 0, 0b1) && (!out(op).of_outputs || wrong("tokens have a row each")) &&
             (weight(op, 0).dims.size() == 2 || wrong("its table is no matrix")) &&
             expect("the width of its table", weight(op, 0).dims[1], out(op).width);
    case OpKind::kNorm: return operands(op, 1, 0) && check_norm(op);
    case OpKind::kLinear: return operands(op, 1, 0b1) && check_linear(op);
    case OpKind::kRope: return operands(op, 1, 0) && check_rope(op);
    case OpKind::kAttend: return operands(op, op.in[1] == kNoIndex ? 1 : 3, 0) && check_attend(op);
    case OpKind::kAttendLatent: return operands(op, 2, 0b1) && check_latent(op);
    case OpKind::kGate: return operands(op, op.in[1] == kNoIndex ? 1 : 2, 0) && check_gate(op);
    case OpKind::kRoute: return operands(op, 1, 0b1) && check_route(op);
    case OpKind::kExperts: return operands(op, 2, 0b100) && check_experts(op);
    case OpKind::kLastRows:
      return operands(op, 1, 0) &&
             ((!in(op, 0).of_outputs && out(op).of_outputs) || wrong("it takes rows of tokens and gives rows of outputs")) &&
             expect("the width of its result", out(op).width, in(op, 0).width);
    case OpKind::kAdd: return operands(op, 1, 0) && expect("the width of its result", out(op).width, in(op, 0).width);
    case OpKind::kScaleRows:
      return operands(op, 2, 0) && expect("the width of its result", out(op).width, in(op, 0).width) &&
             expect("the width of the scale", in(op, 1).width, 1) && (op.i[0] <= PLIMSOLL_ACT_SIGMOID || wrong("activation {}", op.i[0]));
    case OpKind::kMultiply:
      return operands(op, 1, 0b1) && expect("the width of its result", out(op).width, in(op, 0).width) &&
             (elements_of_all(weight(op, 0)) == 1 || is_vector(op, 0, out(op).width));
    case OpKind::kConv: return operands(op, 1, 0b1) && check_conv(op);
    case OpKind::kSsmScan: return operands(op, 4, 0b1) && check_scan(op);
    case OpKind::kColumns: return operands(op, 1, 0) && check_columns(op);
    case OpKind::kDeltaRule: return operands(op, 5, 0b1) && check_delta_rule(op);
    case OpKind::kAttendWhole: return operands(op, 3, 0) && check_attend_whole(op);
    case OpKind::kEmbedPosition: return operands(op, 0, 0b1) && check_embed_position(op);
    case OpKind::kPool:
      return operands(op, 1, 0) &&
             ((!in(op, 0).of_outputs && out(op).of_outputs) || wrong("it takes rows of tokens and gives rows of outputs")) &&
             expect("the width of its result", out(op).width, in(op, 0).width) &&
             ((op.i[0] >= PLIMSOLL_POOL_FIRST && op.i[0] <= PLIMSOLL_POOL_LAST) || wrong("pooling {}", op.i[0]));
    case OpKind::kPatches: return operands(op, 0, 0) && check_patches(op);
    case OpKind::kRopeSections: return operands(op, 1, 0) && check_rope(op) && check_sections(op);
    case OpKind::kMergeRows: return operands(op, 1, 0) && check_merge_rows(op);
    case OpKind::kRowsInOrder:
      return operands(op, 1, 0) && (windows() != 0 || wrong("its patches have no windows")) &&
             ((op.out != op.in[0] && in(op, 0).of_outputs && out(op).of_outputs) || wrong("it takes merged rows, and gives others")) &&
             expect("the width of its result", out(op).width, in(op, 0).width);
    case OpKind::kImageRows:
      return operands(op, 1, 0) && ((op.out == op.in[0] && !out(op).of_outputs) || wrong("it works in place, on rows of tokens")) &&
             (program_.images.most_rows == 0 || expect("the elements of a row of images", program_.images.row_elements, out(op).width));
    case OpKind::kJoin:
      return operands(op, 2, 0) && (!out(op).of_outputs || wrong("tokens have a row each")) &&
             (std::find(op.in.begin(), op.in.end(), op.out) == op.in.end() || wrong("it works in place")) &&
             (op.i[0] <= 2 || wrong("blank input {}", op.i[0])) &&
             expect("the width of its result", out(op).width, (Checked(in(op, 0).width) + in(op, 1).width).saturated());
    case OpKind::kAllReduce:
      return operands(op, 1, 0) && expect("the width of its result", out(op).width, in(op, 0).width) &&
             (!op.accumulate || op.out != op.in[0] || wrong("it adds to what it sums"));
    case OpKind::kAllGather:
      return operands(op, 1, 0) && !(op.accumulate && wrong("it adds columns")) && (op.out != op.in[0] || wrong("it works in place")) &&
             ((Checked(in(op, 0).width) * program_.tensor_ranks).saturated() >= out(op).width ||
              wrong("{} columns of {} ranks for {}", in(op, 0).width, program_.tensor_ranks, out(op).width));
    case OpKind::kSumSquares: return operands(op, 1, 0) && !op.accumulate && expect("the width of its result", out(op).width, 1);
    case OpKind::kNormOfSums: return operands(op, 2, 0) && check_norm_of_sums(op);
    case OpKind::kSend: return operands(op, 1, 0) && (op.out == op.in[0] || wrong("it gives something else than it sends"));
    case OpKind::kReceive: return operands(op, 0, 0) && (!op.accumulate || wrong("it adds to what it receives"));
    case OpKind::kGatherRows:
      return operands(op, 1, 0) && (!op.accumulate || wrong("it adds rows")) && are_rows(in(op, 0), false) && are_rows(out(op), true) &&
             expect("the width of its result", out(op).width, in(op, 0).width);
    case OpKind::kScatterSum:
      return operands(op, 1, 0) && are_rows(in(op, 0), true) && are_rows(out(op), false) &&
             expect("the width of its result", out(op).width, in(op, 0).width);
    }
    return wrong("an op of no known kind");
  }

  const std::string& what_is_wrong() const { return wrong_; }

private:
  // False, and says what is wrong.
  template <class... Args>
  bool wrong(fmt::format_string<Args...> text, Args&&... args) {
    if (wrong_.empty()) wrong_ = fmt::format(text, std::forward<Args>(args)...);
    return false;
  }
  bool expect(std::string_view what, std::uint64_t is, std::uint64_t expected) {
    return is == expected || wrong("{} is {}, where {} was expected", what, is, expected);
  }

  const ProgramValue& in(const ProgramOp& op, std::size_t n) const { return program_.values[op.in[n]]; }
  const ProgramValue& out(const ProgramOp& op) const { return program_.values[op.out]; }
  bool has(const ProgramOp& op, std::size_t n) const { return op.weights[n] != kNoIndex; }
  const WeightTensor& weight(const ProgramOp& op, std::size_t n) const { return program_.weights.tensors[op.weights[n]]; }

  bool is_value(std::uint32_t number) {
    if (number >= program_.values.size()) return wrong("value {} of {}", number, program_.values.size());
    const ProgramValue& value = program_.values[number];
    const Checked bytes = Checked(program_.most_rows(value)) * value.width * sizeof(float);
    if (value.width == 0 || value.width > kMostExtent || value.offset_bytes % kValueAlignmentBytes != 0 ||
        (bytes + value.offset_bytes).saturated() > program_.slab_bytes)
      return wrong("value {} of {} elements at {} of a slab of {} B", number, value.width, value.offset_bytes, program_.slab_bytes);
    return true;
  }

  static bool changes_rows(OpKind kind) {
    return kind == OpKind::kLastRows || kind == OpKind::kPool || kind == OpKind::kMergeRows || kind == OpKind::kGatherRows ||
           kind == OpKind::kScatterSum;
  }

  // Operands exist: so many inputs, and the weights whose bit is set.
  bool operands(const ProgramOp& op, std::size_t inputs, std::uint32_t weights) {
    if (!is_value(op.out)) return false;
    for (std::size_t n = 0; n < op.in.size(); ++n) {
      if ((op.in[n] != kNoIndex) != (n < inputs)) return wrong("{} inputs were expected", inputs);
      if (op.in[n] != kNoIndex && !is_value(op.in[n])) return false;
      if (op.in[n] != kNoIndex && !changes_rows(op.kind) &&
          (in(op, n).of_outputs != out(op).of_outputs || in(op, n).of_replicas != out(op).of_replicas))
        return wrong("its values have rows of different kinds");
    }
    const bool of_replicas = out(op).of_replicas && op.kind != OpKind::kExperts && op.kind != OpKind::kGatherRows;
    if (of_replicas || (out(op).of_replicas && out(op).of_outputs)) return wrong("it gives rows of all replicas");
    for (std::size_t n = 0; n < op.weights.size(); ++n) {
      if (has(op, n) && op.weights[n] >= program_.weights.tensors.size())
        return wrong("weight {} of {}", op.weights[n], program_.weights.tensors.size());
      if (!has(op, n) && ((weights >> n) & 1U) != 0) return wrong("its weight {} is missing", n);
    }
    return true;
  }

  // Of every replica, or of this one.
  bool are_rows(const ProgramValue& value, bool of_replicas) {
    return (!value.of_outputs && value.of_replicas == of_replicas) ||
           wrong("rows of tokens of {} were expected", of_replicas ? "all replicas" : "this replica");
  }
  bool sizes(std::initializer_list<std::uint64_t> list) {
    for (const std::uint64_t size : list)
      if (size == 0 || size > kMostExtent) return wrong("a size of {}", size);
    return true;
  }
  bool is_matrix(const WeightTensor& tensor, std::uint64_t part, std::uint64_t reads, std::uint64_t gives) {
    const PartRange range = part_of_matrix(tensor, part);
    if (!range.known) return wrong("'{}' is no linear layer with a part {}", tensor.label, part);
    return expect("the width that '" + tensor.label + "' reads", linear_shape(tensor).in, reads) &&
           expect("the width of '" + tensor.label + "'", range.n, gives);
  }
  bool is_vector(const ProgramOp& op, std::size_t n, std::uint64_t elements) {
    return !has(op, n) || expect("the elements of '" + weight(op, n).label + "'", elements_of_all(weight(op, n)), elements);
  }
  bool within(const HeadColumns& of, std::uint64_t width) {
    const Checked reach = Checked(of.heads - 1) * of.stride + of.first + of.columns;
    return reach.saturated() <= width ||
           wrong("{} heads of {} columns at {}, {} apart, in a row of {}", of.heads, of.columns, of.first, of.stride, width);
  }

  bool check_norm(const ProgramOp& op) {
    const HeadColumns of = norm_columns(op, out(op).width);
    if (!expect("the width of its result", out(op).width, in(op, 0).width) || !sizes({of.columns}) || !within(of, out(op).width))
      return false;
    for (std::size_t n = 0; n < 2; ++n)
      if (has(op, n) && elements_of_all(weight(op, n)) != of.columns && !is_vector(op, n, of.heads * of.columns)) return false;
    return op.f[0] >= 0 || wrong("an epsilon below 0");
  }
  bool check_norm_of_sums(const ProgramOp& op) {
    if (!expect("the width of its result", out(op).width, in(op, 0).width) || !expect("the width of the sums", in(op, 1).width, 1) ||
        !sizes({op.i[0]}))
      return false;
    for (std::size_t n = 0; n < 2; ++n)
      if (has(op, n) && elements_of_all(weight(op, n)) != out(op).width &&
          (Checked(op.i[1]) + out(op).width).saturated() > elements_of_all(weight(op, n)))
        return wrong("'{}' has {} elements, of which those from {} on are taken for {} columns", weight(op, n).label,
                     elements_of_all(weight(op, n)), op.i[1], out(op).width);
    return op.f[0] >= 0 || wrong("an epsilon below 0");
  }
  bool check_linear(const ProgramOp& op) {
    if (weight(op, 0).experts != 0) return wrong("'{}' is a weight of experts", weight(op, 0).label);
    if (!is_matrix(weight(op, 0), op.i[0], in(op, 0).width, out(op).width)) return false;
    if (!has(op, 1)) return true;
    const PartRange bias = part_of_bias(weight(op, 1), op.i[0]);
    return (bias.known || wrong("'{}' has no part {}", weight(op, 1).label, op.i[0])) &&
           expect("the elements of its bias", bias.n, out(op).width);
  }
  bool check_rope(const ProgramOp& op) {
    if (op.out != op.in[0] || out(op).of_outputs) return wrong("it works in place, on rows of tokens");
    if (op.i[5] >= program_.ropes.size()) return wrong("table {} of {}", op.i[5], program_.ropes.size());
    return sizes({op.i[0], op.i[3]}) && within({op.i[0], op.i[1], op.i[2], op.i[3]}, out(op).width) &&
           expect("twice the number of frequencies", 2 * program_.ropes[static_cast<std::size_t>(op.i[5])].inverse_frequencies.size(),
                  op.i[3]);
  }
  bool check_sections(const ProgramOp& op) {
    return (Checked(op.i[6]) + op.i[7]).saturated() <= op.i[3] / 2 || wrong("{} and {} pairs of {}", op.i[6], op.i[7], op.i[3] / 2);
  }
  bool check_patches(const ProgramOp& op) {
    const auto [channels, frames, side, merge] = std::array{op.i[0], op.i[1], op.i[2], op.i[3]};
    if (!sizes({channels, frames, side, merge}) || std::max({channels, frames, side, merge, op.i[4]}) > UINT16_MAX || out(op).of_outputs)
      return wrong("patches of {} x {} pixels, {} channels, {} frames, {} merged", side, side, channels, frames, merge);
    return expect("the width of its result", out(op).width, (Checked(channels) * frames * side * side).saturated());
  }
  std::vector<ProgramOp>::const_iterator patches_op() const {
    return std::find_if(program_.ops.begin(), program_.ops.end(), [](const ProgramOp& one) { return one.kind == OpKind::kPatches; });
  }
  std::uint64_t windows() const { return patches_op() == program_.ops.end() ? 0 : patches_op()->i[4]; }
  bool check_merge_rows(const ProgramOp& op) {
    const auto patches = patches_op();
    if (patches == program_.ops.end() || in(op, 0).of_outputs || !out(op).of_outputs) return wrong("it takes rows of patches");
    return expect("the number of rows that become one", op.i[0], (Checked(patches->i[3]) * patches->i[3]).saturated()) &&
           expect("the width of its result", out(op).width, (Checked(in(op, 0).width) * op.i[0]).saturated());
  }
  // The group that an op attends in; null where there is none.
  const KvGroupGeometry* group_of(const ProgramOp& op) {
    if (op.kv_group >= groups_.size() || op.kv_layer >= groups_[op.kv_group].layers.size()) {
      wrong("layer {} of KV group {}, which is not there", op.kv_layer, op.kv_group);
      return nullptr;
    }
    return &groups_[op.kv_group].geometry;
  }
  bool check_attend(const ProgramOp& op) {
    const auto [heads, kv_heads, k, v] = std::array{op.i[0], op.i[1], op.i[2], op.i[3]};
    const KvGroupGeometry* group = group_of(op);
    if (group == nullptr || !sizes({heads, kv_heads, k, v})) return false;
    if (heads % kv_heads != 0 || out(op).of_outputs) return wrong("{} heads over {} of keys, on rows of tokens", heads, kv_heads);
    if (op.in[1] != kNoIndex && !(expect("the width of the keys", in(op, 1).width, kv_heads * k) &&
                                  expect("the width of the values", in(op, 2).width, kv_heads * v)))
      return false;
    return expect("the width of the queries", in(op, 0).width, heads * k) && expect("the width of its result", out(op).width, heads * v) &&
           expect("the heads of its KV group", group->kv_heads, kv_heads) && expect("a key of its KV group", group->k_elements, k) &&
           expect("a value of its KV group", group->v_elements, v) && is_vector(op, 0, heads);
  }
  bool check_attend_whole(const ProgramOp& op) {
    const auto [heads, kv_heads, k, v] = std::array{op.i[0], op.i[1], op.i[2], op.i[3]};
    if (!sizes({heads, kv_heads, k, v})) return false;
    if (heads % kv_heads != 0 || out(op).of_outputs) return wrong("{} heads over {} of keys, on rows of tokens", heads, kv_heads);
    if (std::find(op.in.begin(), op.in.end(), op.out) != op.in.end()) return wrong("it works in place");
    if (op.i[5] != 0 && windows() == 0) return wrong("it works in windows, of which its patches have none");
    return expect("the width of the queries", in(op, 0).width, heads * k) &&
           expect("the width of the keys", in(op, 1).width, kv_heads * k) &&
           expect("the width of the values", in(op, 2).width, kv_heads * v) && expect("the width of its result", out(op).width, heads * v);
  }
  // Every position of a request has a row.
  bool check_embed_position(const ProgramOp& op) {
    const WeightTensor& table = weight(op, 0);
    if (out(op).of_outputs || table.dims.size() != 2 || table.experts != 0) return wrong("it gives rows of a matrix to rows of tokens");
    const std::uint64_t most = program_.most_context_tokens != 0 ? program_.most_context_tokens : UINT32_MAX;
    const Checked end = op.i[1] == 0 ? Checked(op.i[0]) + 1 : Checked(op.i[0]) + most;
    return (op.i[1] <= 1 || wrong("a step of {}", op.i[1])) && expect("the width of its table", table.dims[1], out(op).width) &&
           (end.saturated() <= table.dims[0] ||
            wrong("requests of {} tokens, where '{}' has {} rows from {} on", most, table.label, table.dims[0], op.i[0]));
  }
  bool check_latent(const ProgramOp& op) {
    const auto [heads, rank, nope, rope, value] = std::array{op.i[0], op.i[1], op.i[2], op.i[3], op.i[4]};
    const KvGroupGeometry* group = group_of(op);
    if (group == nullptr || !sizes({heads, rank, nope, rope, value})) return false;
    if (weight(op, 0).experts != 0 || out(op).of_outputs) return wrong("it needs one up projection, and rows of tokens");
    return expect("the width of the queries", in(op, 0).width, heads * (nope + rope)) &&
           expect("the width of the latent", in(op, 1).width, rank + rope) &&
           expect("the width of its result", out(op).width, heads * value) &&
           expect("the latent of its KV group", group->k_elements, rank + rope) &&
           expect("the heads of its KV group", group->kv_heads, 1) && is_matrix(weight(op, 0), kAllParts, rank, heads * (nope + value));
  }
  // The elements [first, first + n) of a region are there.
  bool is_state(const ProgramOp& op, std::uint64_t region, Checked first, Checked n) {
    const KvGroupGeometry* group = group_of(op);
    if (group == nullptr) return false;
    const StateRegionPlace place = region_of_state(*group, region);
    if (group->kind != CacheKind::kState || !place.known) return wrong("region {} of KV group '{}', which is none", region, group->label);
    return (first + n).saturated() <= place.elements ||
           wrong("{} elements of a state at {}, where '{}' has {}", n.saturated(), first.saturated(), group->label, place.elements);
  }
  bool check_conv(const ProgramOp& op) {
    const std::uint64_t taps = op.i[1], channels = out(op).width;
    if (!sizes({taps}) || out(op).of_outputs) return wrong("it works on rows of tokens");
    const WeightTensor& w = weight(op, 0);
    const PartRange part = part_of_channels(w, op.i[0]);
    if (w.experts != 0 || !part.known) return wrong("'{}' is no convolution with a part {}", w.label, op.i[0]);
    if (has(op, 1)) {
      const PartRange bias = part_of_bias(weight(op, 1), op.i[0]);
      if (!bias.known || !expect("the elements of its bias", bias.n, channels)) return wrong("its bias has no part {}", op.i[0]);
    }
    return expect("the width of its result", channels, in(op, 0).width) && expect("the channels of '" + w.label + "'", part.n, channels) &&
           expect("the elements of '" + w.label + "'", elements_of_one(w), (Checked(w.dims[0]) * taps).saturated()) &&
           (op.i[2] <= PLIMSOLL_ACT_SIGMOID || wrong("activation {}", op.i[2])) &&
           is_state(op, op.i[3], Checked(op.i[4]) * (taps - 1), Checked(channels) * (taps - 1));
  }
  bool check_scan(const ProgramOp& op) {
    const auto [heads, elements, state, groups] = std::array{op.i[0], op.i[1], op.i[2], op.i[3]};
    if (!sizes({heads, elements, state, groups}) || heads % groups != 0 || out(op).of_outputs)
      return wrong("{} heads in {} groups, on rows of tokens", heads, groups);
    return expect("the width of its result", out(op).width, (Checked(heads) * elements).saturated()) &&
           expect("the width of x", in(op, 0).width, out(op).width) &&
           expect("the width of b", in(op, 1).width, (Checked(groups) * state).saturated()) &&
           expect("the width of c", in(op, 2).width, in(op, 1).width) && expect("the width of its steps", in(op, 3).width, heads) &&
           (elements_of_all(weight(op, 0)) == heads || is_vector(op, 0, (Checked(heads) * state).saturated())) && is_vector(op, 1, heads) &&
           is_vector(op, 2, heads) && is_state(op, op.i[4], 0, Checked(heads) * elements * state);
  }
  bool check_columns(const ProgramOp& op) {
    const auto [heads, stride, first, columns] = std::array{op.i[0], op.i[1], op.i[2], op.i[3]};
    return sizes({heads, stride, columns}) && (op.out != op.in[0] || wrong("it works in place")) &&
           within({heads, stride, first, columns}, in(op, 0).width) &&
           expect("the width of its result", out(op).width, (Checked(heads) * columns).saturated());
  }
  bool check_delta_rule(const ProgramOp& op) {
    const auto [heads, key_heads, key, value] = std::array{op.i[0], op.i[1], op.i[2], op.i[3]};
    if (!sizes({heads, key_heads, key, value}) || heads % key_heads != 0 || out(op).of_outputs)
      return wrong("{} heads over {} of keys, on rows of tokens", heads, key_heads);
    const std::uint64_t decays = in(op, 3).width == heads ? heads : (Checked(heads) * key).saturated();
    return expect("the width of its result", out(op).width, (Checked(heads) * value).saturated()) &&
           expect("the width of the values", in(op, 2).width, out(op).width) &&
           expect("the width of the queries", in(op, 0).width, (Checked(key_heads) * key).saturated()) &&
           expect("the width of the keys", in(op, 1).width, in(op, 0).width) &&
           expect("the width of what decays", in(op, 3).width, decays) && expect("the width of what is written", in(op, 4).width, heads) &&
           is_vector(op, 0, heads) && is_vector(op, 1, decays) && (op.f[0] >= 0 || wrong("an epsilon below 0")) &&
           is_state(op, op.i[4], 0, Checked(heads) * key * value);
  }
  bool check_gate(const ProgramOp& op) {
    if (op.i[0] > PLIMSOLL_ACT_RELU_SQUARED) return wrong("activation {}", op.i[0]);
    if (op.i[0] == PLIMSOLL_ACT_SWIGLU_OAI && op.in[1] == kNoIndex) return wrong("an activation of pairs, but one input");
    return expect("the width of its result", out(op).width, in(op, 0).width) &&
           (op.in[1] == kNoIndex || expect("the width of its second input", in(op, 1).width, out(op).width));
  }
  bool check_route(const ProgramOp& op) {
    const auto [experts, k, groups, kept] = std::array{op.i[0], op.i[1], op.i[2], op.i[3]};
    if (!sizes({experts, k}) || k > experts || experts > PLIMSOLL_MAX_EXPERTS) return wrong("{} of {} experts", k, experts);
    if (groups > 1 && (experts % groups != 0 || kept == 0 || kept > groups || kept * (experts / groups) < k))
      return wrong("{} of {} groups of {} experts, {} of which are chosen", kept, groups, experts, k);
    return (op.i[4] <= PLIMSOLL_SCORE_SIGMOID_CHOSEN || wrong("score {}", op.i[4])) &&
           expect("the width of its result", out(op).width, 2 * k) && (weight(op, 0).experts == 0 || wrong("its router is of experts")) &&
           is_matrix(weight(op, 0), kAllParts, in(op, 0).width, experts) && is_vector(op, 1, experts) && is_vector(op, 2, experts) &&
           is_vector(op, 3, experts);
  }
  bool check_experts(const ProgramOp& op) {
    const auto [experts, k, width, act, paired] = std::array{op.i[0], op.i[1], op.i[2], op.i[3], op.i[4]};
    if (!sizes({experts, k, width, 2 * width}) || k > experts || experts > PLIMSOLL_MAX_EXPERTS)
      return wrong("{} of {} experts", k, experts);
    const std::uint64_t rows = program_.most_rows(out(op));
    if ((Checked(rows) * k).saturated() > kMostExtent) return wrong("{} rows of {} experts each", rows, k);
    if (act > PLIMSOLL_ACT_RELU_SQUARED || paired > 2 || (act == PLIMSOLL_ACT_SWIGLU_OAI && !has(op, 0)))
      return wrong("activation {}, pairing {}", act, paired);
    if (paired != 0 ? !has(op, 0) || has(op, 1) || has(op, 4) : !has(op, 1)) return wrong("gate and up are not where its pairing says");
    const std::uint64_t held = op.i[6] == 0 ? experts : op.i[6];
    if (held > experts || op.i[5] > experts - held) return wrong("{} experts from {} of {}", held, op.i[5], experts);
    const std::uint64_t model = in(op, 0).width, first = paired != 0 ? 2 * width : width;
    return expect("the width of the routes", in(op, 1).width, 2 * k) && expect("the width of its result", out(op).width, model) &&
           is_expert(op, 0, held, model, first) && is_expert(op, 1, held, model, width) && is_expert(op, 2, held, width, model) &&
           is_vector(op, 3, held * first) && is_vector(op, 4, held * width) && is_vector(op, 5, held * model);
  }
  bool is_expert(const ProgramOp& op, std::size_t n, std::uint64_t experts, std::uint64_t reads, std::uint64_t gives) {
    return !has(op, n) || (expect("the experts of '" + weight(op, n).label + "'", weight(op, n).experts, experts) &&
                           is_matrix(weight(op, n), kAllParts, reads, gives));
  }

  const Program& program_;
  std::span<const ExecutorKvGroup> groups_;
  std::string wrong_;
};

} // namespace

HeadColumns norm_columns(const ProgramOp& op, std::uint64_t width) {
  HeadColumns of{std::max<std::uint64_t>(op.i[0], 1), op.i[1], op.i[2], op.i[3]};
  if (of.stride == 0) of.stride = width / of.heads;
  if (of.columns == 0) of.columns = of.stride - std::min(of.stride, of.first);
  return of;
}

StateRegionPlace region_of_state(const KvGroupGeometry& group, std::uint64_t region) {
  StateRegionPlace place;
  if (region >= group.regions.size()) return place;
  Checked before = 0;
  for (std::size_t n = 0; n <= region; ++n) {
    const std::optional<ElementType> type = find_element_type(group.regions[n].dtype);
    if (type != ElementType::kFloat32 && type != ElementType::kBfloat16 && type != ElementType::kFloat16) return place;
    place.offset_bytes = before.saturated();
    place.elements = group.regions[n].elements;
    place.type = *type;
    before += Checked(place.elements) * element_bytes(*type);
  }
  place.known = !before.overflowed() && place.offset_bytes % element_bytes(place.type) == 0;
  return place;
}

std::string wrong_operands(const ProgramOp& op, const Program& program, std::span<const ExecutorKvGroup> groups) {
  OpCheck check(program, groups);
  check.check(op);
  return check.what_is_wrong();
}

} // namespace plimsoll
