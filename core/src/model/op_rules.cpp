#include "model/op_rules.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <fmt/format.h>

namespace plimsoll {
namespace {

struct OpShape {
  OpKind kind;
  std::string_view name;
  std::uint32_t least_in, most_in;
  std::uint32_t needed; // weights that it cannot do without, as bits
  std::uint32_t most_weights;
  bool accumulates;
};
constexpr std::array<OpShape, 26> kShapes{{{OpKind::kEmbed, "embed", 0, 0, 0b1, 1, false},
                                           {OpKind::kNorm, "norm", 1, 1, 0, 2, false},
                                           {OpKind::kLinear, "linear", 1, 1, 0b1, 2, true},
                                           {OpKind::kRope, "rope", 1, 1, 0, 0, false},
                                           {OpKind::kAttend, "attend", 1, 3, 0, 1, true},
                                           {OpKind::kAttendLatent, "attend_latent", 2, 2, 0b1, 1, true},
                                           {OpKind::kGate, "gate", 1, 2, 0, 0, true},
                                           {OpKind::kRoute, "route", 1, 1, 0b1, 4, false},
                                           {OpKind::kExperts, "experts", 2, 2, 0b100, 6, true},
                                           {OpKind::kLastRows, "last_rows", 1, 1, 0, 0, true},
                                           {OpKind::kAdd, "add", 1, 1, 0, 0, true},
                                           {OpKind::kScaleRows, "scale_rows", 2, 2, 0, 0, true},
                                           {OpKind::kConv, "conv", 1, 1, 0b1, 2, false},
                                           {OpKind::kSsmScan, "ssm_scan", 4, 4, 0b1, 3, false},
                                           {OpKind::kColumns, "columns", 1, 1, 0, 0, false},
                                           {OpKind::kDeltaRule, "delta_rule", 5, 5, 0b1, 2, false},
                                           {OpKind::kAttendWhole, "attend_whole", 3, 3, 0, 0, true},
                                           {OpKind::kEmbedPosition, "embed_position", 0, 0, 0b1, 1, true},
                                           {OpKind::kPool, "pool", 1, 1, 0, 0, false},
                                           {OpKind::kMultiply, "multiply", 1, 1, 0b1, 1, false},
                                           {OpKind::kPatches, "patches", 0, 0, 0, 0, false},
                                           {OpKind::kRopeSections, "rope_sections", 1, 1, 0, 0, false},
                                           {OpKind::kMergeRows, "merge_rows", 1, 1, 0, 0, false},
                                           {OpKind::kImageRows, "image_rows", 1, 1, 0, 0, false},
                                           {OpKind::kJoin, "join", 2, 2, 0, 0, false},
                                           {OpKind::kRowsInOrder, "rows_in_order", 1, 1, 0, 0, false}}};

const OpShape* find_shape(OpKind kind) {
  const auto* const found = std::find_if(kShapes.begin(), kShapes.end(), [&](const OpShape& shape) { return shape.kind == kind; });
  return found == kShapes.end() ? nullptr : found;
}
const OpShape& shape_of(OpKind kind) { return *find_shape(kind); }

// Checks of one op against what it works on. Every check leaves the first thing that is wrong.
class OpCheck {
public:
  OpCheck(const DescribedOp& op, const Described& described, const Declared& declared)
      : op_(op), described_(described), declared_(declared), out_(described.values[op.out]) {}

  std::string run() {
    check_counts();
    if (!wrong_.empty()) return wrong_;
    switch (op_.kind) {
    case OpKind::kEmbed: check_embed(); break;
    case OpKind::kNorm: check_norm(); break;
    case OpKind::kLinear: check_linear(); break;
    case OpKind::kRope: check_rope(); break;
    case OpKind::kAttend: check_attend(); break;
    case OpKind::kAttendLatent: check_latent(); break;
    case OpKind::kGate: check_gate(); break;
    case OpKind::kRoute: check_route(); break;
    case OpKind::kExperts: check_experts(); break;
    case OpKind::kLastRows: check_last_rows(); break;
    case OpKind::kAdd: expect("the width of what is added", in(0).width, out_.width); break;
    case OpKind::kScaleRows:
      expect("the width of what is scaled", in(0).width, out_.width);
      expect("the width of the scale", in(1).width, 1);
      at_most("the activation", op_.i[0], PLIMSOLL_ACT_SIGMOID);
      break;
    case OpKind::kConv: check_conv(); break;
    case OpKind::kSsmScan: check_scan(); break;
    case OpKind::kColumns: check_columns(); break;
    case OpKind::kDeltaRule: check_delta_rule(); break;
    case OpKind::kAttendWhole: check_attend_whole(); break;
    case OpKind::kEmbedPosition:
      check_embed();
      at_most("its step", op_.i[1], 1);
      if (wrong_.empty() && op_.i[0] >= weight(0).dims[0]) wrong(fmt::format("row {} of a table of {}", op_.i[0], weight(0).dims[0]));
      break;
    case OpKind::kPool:
      check_last_rows();
      if (op_.i[0] < PLIMSOLL_POOL_FIRST || op_.i[0] > PLIMSOLL_POOL_LAST) wrong(fmt::format("pooling {}", op_.i[0]));
      break;
    case OpKind::kMultiply: check_multiply(); break;
    case OpKind::kPatches: check_patches(); break;
    case OpKind::kRopeSections: check_rope_sections(); break;
    case OpKind::kMergeRows: check_merge_rows(); break;
    case OpKind::kImageRows: check_image_rows(); break;
    case OpKind::kJoin: check_join(); break;
    case OpKind::kRowsInOrder: check_rows_in_order(); break;
    case OpKind::kAllReduce:
    case OpKind::kAllGather:
    case OpKind::kSend:
    case OpKind::kReceive:
    case OpKind::kSumSquares:
    case OpKind::kNormOfSums:
    case OpKind::kGatherRows:
    case OpKind::kScatterSum: break; // no planner describes these
    }
    return wrong_;
  }

private:
  const DescribedValue& in(std::size_t n) const { return described_.values[op_.in[n]]; }
  const WeightClass& weight(std::size_t n) const { return declared_.weights[op_.weights[n]]; }
  bool has(std::size_t n) const { return op_.weights[n] != kNoIndex; }
  std::size_t inputs() const {
    return static_cast<std::size_t>(std::count_if(op_.in.begin(), op_.in.end(), [](std::uint32_t v) { return v != kNoIndex; }));
  }

  void wrong(std::string text) {
    if (wrong_.empty()) wrong_ = std::move(text);
  }
  void expect(std::string_view what, std::uint64_t is, std::uint64_t expected) {
    if (is != expected) wrong(fmt::format("{} is {}, where {} was expected", what, is, expected));
  }
  void at_most(std::string_view what, std::uint64_t is, std::uint64_t most) {
    if (is > most) wrong(fmt::format("{} is {}; at most {} is possible", what, is, most));
  }
  void positive(std::string_view what, std::uint64_t is) {
    if (is == 0 || is > PLIMSOLL_MAX_EXTENT) wrong(fmt::format("{} is {}", what, is));
  }
  // A class of one tensor with so many elements.
  void expect_vector(std::size_t n, std::uint64_t elements) {
    if (!has(n)) return;
    const WeightClass& c = weight(n);
    if (c.experts != 0) return wrong(fmt::format("'{}' is a weight of experts", c.label));
    expect(fmt::format("the number of elements of '{}'", c.label), c.elements_of_one().saturated(), elements);
  }

  void check_counts() {
    const OpShape& shape = shape_of(op_.kind);
    const std::size_t n = inputs();
    if (n < shape.least_in || n > shape.most_in) return wrong(fmt::format("{} inputs", n));
    for (std::size_t i = 0; i < op_.weights.size(); ++i) {
      if (has(i) && i >= shape.most_weights) return wrong(fmt::format("{} weights at most", shape.most_weights));
      if (!has(i) && ((shape.needed >> i) & 1U) != 0) return wrong(fmt::format("its weight {} is missing", i));
    }
    if (op_.accumulate && !shape.accumulates) return wrong("it cannot add to what is there");
    const bool keeps = op_.kind == OpKind::kAttend || op_.kind == OpKind::kAttendLatent || keeps_state(op_.kind);
    if (keeps != (op_.kv_group != kNoIndex)) return wrong(keeps ? "it names no KV group" : "it names a KV group");
    for (const double real : op_.f)
      if (!std::isfinite(real)) return wrong("one of its reals is no number");
    if (works_on_images() != described_.of_images && op_.kind != OpKind::kRopeSections && !works_everywhere())
      return wrong(described_.of_images ? "no encoder of images has it" : "only an encoder of images has it");
    if (described_.of_images && op_.kind != OpKind::kPatches && find_op(described_, OpKind::kPatches) == nullptr)
      return wrong("patches come first");
    const bool gathers = op_.kind == OpKind::kLastRows || op_.kind == OpKind::kPool || op_.kind == OpKind::kMergeRows;
    for (std::size_t i = 0; i < n; ++i)
      if (!gathers && in(i).of_outputs != out_.of_outputs) return wrong("its values have rows of different kinds");
  }

  bool works_on_images() const {
    return op_.kind == OpKind::kPatches || op_.kind == OpKind::kMergeRows || op_.kind == OpKind::kRowsInOrder;
  }
  bool has_windows() const {
    const DescribedOp* const patches = find_op(described_, OpKind::kPatches);
    return patches != nullptr && patches->i[4] != 0;
  }
  // On rows of any kind: what needs neither tokens nor a cache.
  bool works_everywhere() const {
    switch (op_.kind) {
    case OpKind::kNorm:
    case OpKind::kLinear:
    case OpKind::kGate:
    case OpKind::kAdd:
    case OpKind::kScaleRows:
    case OpKind::kColumns:
    case OpKind::kMultiply:
    case OpKind::kAttendWhole:
    case OpKind::kRopeSections: return true;
    default: return false;
    }
  }

  void check_embed() {
    const WeightClass& table = weight(0);
    if (table.n_dims != 2 || table.experts != 0) return wrong("its table is no matrix");
    expect("the width of its table", table.dims[1], out_.width);
    if (out_.of_outputs) wrong("tokens have a row each");
  }
  // Columns of every head lie within the row; 0 heads: one.
  void check_heads(std::uint64_t heads, std::uint64_t stride, std::uint64_t first, std::uint64_t columns, std::uint64_t width) {
    const Checked reach = Checked(first) + columns;
    if (reach.overflowed() || (stride != 0 && reach.value() > stride))
      return wrong(fmt::format("columns {} + {} of a head of {}", first, columns, stride));
    if ((Checked(heads) * stride).saturated() > width) return wrong(fmt::format("{} heads of {} in a row of {}", heads, stride, width));
    if (stride == 0 && reach.value() > width) wrong(fmt::format("columns {} + {} in a row of {}", first, columns, width));
  }
  void check_norm() {
    expect("the width of its result", out_.width, in(0).width);
    const std::uint64_t heads = std::max<std::uint64_t>(op_.i[0], 1), stride = op_.i[1] != 0 ? op_.i[1] : out_.width / heads;
    const std::uint64_t columns = op_.i[3] != 0 ? op_.i[3] : stride - std::min(stride, op_.i[2]);
    check_heads(heads, stride, op_.i[2], columns, out_.width);
    positive("the number of columns", columns);
    at_most("a switch", std::max(op_.i[4], op_.i[5]), 1);
    for (std::size_t n = 0; n < 2; ++n)
      if (has(n)) expect_vector(n, weight(n).elements_of_one().saturated() == columns ? columns : (Checked(heads) * columns).saturated());
    if (!(op_.f[0] > 0)) wrong("its epsilon is not above 0");
  }
  void check_linear() {
    const std::optional<LinearWidths> widths = linear_widths(weight(0), op_.i[0]);
    if (!widths) return wrong(fmt::format("'{}' is no linear layer with a part {}", weight(0).label, op_.i[0]));
    expect("the width of what it reads", in(0).width, widths->in);
    expect("the width of its result", out_.width, widths->out);
    if (!has(1)) return;
    const WeightClass& bias = weight(1);
    const bool in_parts = op_.i[0] != PLIMSOLL_ALL_PARTS && bias.parts.size() > op_.i[0] && bias.parts.size() > 1;
    expect("the number of elements of its bias",
           in_parts ? bias.parts[static_cast<std::size_t>(op_.i[0])].extent : bias.elements_of_one().saturated(), widths->out);
  }
  void check_rope() {
    if (op_.out != op_.in[0]) return wrong("it works in place");
    if (op_.i[5] >= described_.ropes.size()) return wrong("its table of frequencies is not there");
    positive("the number of heads", op_.i[0]);
    positive("the number of columns", op_.i[3]);
    check_heads(op_.i[0], op_.i[1], op_.i[2], op_.i[3], out_.width);
    at_most("a switch", op_.i[4], 1);
    expect("twice the number of frequencies", 2 * described_.ropes[static_cast<std::size_t>(op_.i[5])].usual.inverse_frequencies.size(),
           op_.i[3]);
  }
  void check_attend() {
    const auto [heads, kv_heads, k_width, v_width] = std::array{op_.i[0], op_.i[1], op_.i[2], op_.i[3]};
    for (const std::uint64_t size : {heads, kv_heads, k_width, v_width}) positive("a size", size);
    if (!wrong_.empty()) return;
    if (heads % kv_heads != 0) return wrong(fmt::format("{} heads over {} of keys", heads, kv_heads));
    expect("the width of the queries", in(0).width, (Checked(heads) * k_width).saturated());
    expect("the width of its result", out_.width, (Checked(heads) * v_width).saturated());
    if (inputs() == 2) return wrong("keys without values");
    if (inputs() == 3) {
      expect("the width of the keys", in(1).width, (Checked(kv_heads) * k_width).saturated());
      expect("the width of the values", in(2).width, (Checked(kv_heads) * v_width).saturated());
    }
    const KvGroup& group = declared_.kv[op_.kv_group];
    expect("the heads of its KV group", group.kv_heads, kv_heads);
    expect("a key of its KV group", group.k_elements, k_width);
    expect("a value of its KV group", group.v_elements, v_width);
    if (group.kind != CacheKind::kFull && group.kind != CacheKind::kWindow && group.kind != CacheKind::kChunk)
      wrong("its KV group is of another kind");
    if (group.kind == CacheKind::kWindow) expect("its window", op_.i[4], group.window_tokens);
    if (group.kind == CacheKind::kChunk) expect("its chunk", op_.i[5], group.window_tokens);
    if (op_.kv_from != kNoIndex && (inputs() != 1 || op_.kv_from >= op_.layer))
      wrong(fmt::format("it looks into layer {}, which is no earlier one, or stores there", op_.kv_from));
    if (op_.f[3] < 0) wrong("a bias for keys that are far");
    if (op_.f[2] < 0) wrong("queries that shrink");
    if (op_.f[2] != 0) positive("the step by which queries grow", op_.i[6]);
    expect_vector(0, heads);
  }
  void check_latent() {
    const auto [heads, rank, nope, rope, value] = std::array{op_.i[0], op_.i[1], op_.i[2], op_.i[3], op_.i[4]};
    for (const std::uint64_t size : {heads, rank, nope, rope, value}) positive("a size", size);
    if (!wrong_.empty()) return;
    expect("the width of the queries", in(0).width, (Checked(heads) * (Checked(nope) + rope)).saturated());
    expect("the width of the latent", in(1).width, rank + rope);
    expect("the width of its result", out_.width, (Checked(heads) * value).saturated());
    const KvGroup& group = declared_.kv[op_.kv_group];
    if (group.kind != CacheKind::kLatent) return wrong("its KV group is of another kind");
    expect("the latent of its KV group", group.k_elements, rank + rope);
    const std::optional<LinearWidths> widths = linear_widths(weight(0), PLIMSOLL_ALL_PARTS);
    if (!widths) return wrong("its up projection is no linear layer");
    expect("the width of what its up projection reads", widths->in, rank);
    expect("the width of its up projection", widths->out, (Checked(heads) * (Checked(nope) + value)).saturated());
  }
  // The elements [first, first + n) of a region of the op's group.
  void check_region(std::uint64_t region, Checked first, Checked n) {
    const KvGroup& group = declared_.kv[op_.kv_group];
    if (group.kind != CacheKind::kState) return wrong("its KV group is of another kind");
    if (region >= group.regions.size()) return wrong(fmt::format("region {} of a state that has {}", region, group.regions.size()));
    at_most("the end of its part of the state", (first + n).saturated(), group.regions[static_cast<std::size_t>(region)].elements);
  }
  void check_conv() {
    const auto [part, taps, act, region, first] = std::array{op_.i[0], op_.i[1], op_.i[2], op_.i[3], op_.i[4]};
    positive("the number of taps", taps);
    if (!wrong_.empty()) return;
    const WeightClass& w = weight(0);
    const std::optional<std::uint64_t> channels = channels_of(w, part);
    if (!channels) return wrong(fmt::format("'{}' is no convolution with a part {}", w.label, part));
    expect(fmt::format("the channels of '{}'", w.label), *channels, out_.width);
    expect(fmt::format("the elements of '{}'", w.label), w.elements_of_one().saturated(), (Checked(w.dims[0]) * taps).saturated());
    expect("the width of what it reads", in(0).width, out_.width);
    if (has(1)) expect("the number of elements of its bias", channels_of(weight(1), part).value_or(0), out_.width);
    at_most("the activation", act, PLIMSOLL_ACT_SIGMOID);
    check_region(region, Checked(first) * (taps - 1), Checked(out_.width) * (taps - 1));
    if (out_.of_outputs) wrong("tokens have a row each");
  }
  // Rows of a class, or of one of its parts.
  static std::optional<std::uint64_t> channels_of(const WeightClass& c, std::uint64_t part) {
    if (c.n_dims == 0 || c.experts != 0) return std::nullopt;
    if (part == PLIMSOLL_ALL_PARTS) return c.dims[0];
    if (part >= c.parts.size() || c.shard_dim != 0) return std::nullopt;
    return c.parts[static_cast<std::size_t>(part)].extent;
  }
  void check_scan() {
    const auto [heads, elements, state, groups] = std::array{op_.i[0], op_.i[1], op_.i[2], op_.i[3]};
    for (const std::uint64_t size : {heads, elements, state, groups}) positive("a size", size);
    if (!wrong_.empty()) return;
    if (heads % groups != 0) return wrong(fmt::format("{} heads in {} groups", heads, groups));
    expect("the width of x", in(0).width, (Checked(heads) * elements).saturated());
    expect("the width of its result", out_.width, in(0).width);
    expect("the width of b", in(1).width, (Checked(groups) * state).saturated());
    expect("the width of c", in(2).width, in(1).width);
    expect("the width of its steps", in(3).width, heads);
    expect_vector(0, weight(0).elements_of_one().saturated() == heads ? heads : (Checked(heads) * state).saturated());
    expect_vector(1, heads);
    expect_vector(2, heads);
    at_most("a switch", op_.i[5], 1);
    if (op_.f[0] < 0 || op_.f[1] < 0 || (op_.f[1] > 0 && op_.f[1] < op_.f[0])) wrong("limits of a step that leave nothing between them");
    check_region(op_.i[4], 0, Checked(heads) * elements * state);
    if (out_.of_outputs) wrong("tokens have a row each");
  }
  void check_columns() {
    const auto [heads, stride, first, columns] = std::array{op_.i[0], op_.i[1], op_.i[2], op_.i[3]};
    for (const std::uint64_t size : {heads, stride, columns}) positive("a size", size);
    expect("the width of what it reads", in(0).width, (Checked(heads) * stride).saturated());
    check_heads(heads, stride, first, columns, in(0).width);
    expect("the width of its result", out_.width, (Checked(heads) * columns).saturated());
    if (op_.out == op_.in[0]) wrong("it cannot work in place");
  }
  void check_delta_rule() {
    const auto [heads, key_heads, key, value] = std::array{op_.i[0], op_.i[1], op_.i[2], op_.i[3]};
    for (const std::uint64_t size : {heads, key_heads, key, value}) positive("a size", size);
    if (!wrong_.empty()) return;
    if (heads % key_heads != 0) return wrong(fmt::format("{} heads over {} of keys", heads, key_heads));
    expect("the width of the queries", in(0).width, (Checked(key_heads) * key).saturated());
    expect("the width of the keys", in(1).width, in(0).width);
    expect("the width of the values", in(2).width, (Checked(heads) * value).saturated());
    expect("the width of its result", out_.width, in(2).width);
    const std::uint64_t decays = in(3).width == heads ? heads : (Checked(heads) * key).saturated();
    expect("the width of what decays", in(3).width, decays);
    expect("the width of what is written", in(4).width, heads);
    expect_vector(0, heads);
    expect_vector(1, decays);
    at_most("a switch", op_.i[5], 1);
    if (!(op_.f[0] > 0)) wrong("its epsilon is not above 0");
    check_region(op_.i[4], 0, Checked(heads) * key * value);
    if (out_.of_outputs) wrong("tokens have a row each");
  }
  void check_attend_whole() {
    const auto [heads, kv_heads, k_width, v_width] = std::array{op_.i[0], op_.i[1], op_.i[2], op_.i[3]};
    for (const std::uint64_t size : {heads, kv_heads, k_width, v_width}) positive("a size", size);
    if (!wrong_.empty()) return;
    if (heads % kv_heads != 0) return wrong(fmt::format("{} heads over {} of keys", heads, kv_heads));
    expect("the width of the queries", in(0).width, (Checked(heads) * k_width).saturated());
    expect("the width of the keys", in(1).width, (Checked(kv_heads) * k_width).saturated());
    expect("the width of the values", in(2).width, (Checked(kv_heads) * v_width).saturated());
    expect("the width of its result", out_.width, (Checked(heads) * v_width).saturated());
    if (out_.of_outputs) wrong("tokens have a row each");
    for (const std::uint32_t value : op_.in)
      if (value == op_.out) wrong("it works in place");
    if (described_.of_images) at_most("a window over patches", op_.i[4], 0);
    at_most("a switch", op_.i[5], 1);
    if (op_.i[5] != 0 && !has_windows()) wrong("it works in windows, of which its patches have none");
  }
  void check_multiply() {
    expect("the width of what it reads", in(0).width, out_.width);
    const std::uint64_t elements = weight(0).elements_of_one().saturated();
    if (elements != 1) expect_vector(0, out_.width);
    if (elements != 1 && out_.units != 0) wrong("a row that ranks share, and a factor for each of its columns");
  }
  void check_patches() {
    const auto [channels, frames, side, merge] = std::array{op_.i[0], op_.i[1], op_.i[2], op_.i[3]};
    for (const std::uint64_t size : {channels, frames, side, merge}) positive("a size", size);
    at_most("a size", std::max({channels, frames, side, merge, op_.i[4]}), UINT16_MAX);
    if (find_op(described_, OpKind::kPatches) != nullptr) return wrong("an encoder begins with patches once");
    if (out_.of_outputs) return wrong("patches have a row each");
    expect("the width of its result", out_.width, (Checked(channels) * frames * side * side).saturated());
  }
  void check_rope_sections() {
    if (op_.out != op_.in[0] || out_.of_outputs) return wrong("it works in place, on rows that have a position");
    if (op_.i[5] >= described_.ropes.size()) return wrong("its table of frequencies is not there");
    positive("the number of heads", op_.i[0]);
    positive("the number of columns", op_.i[3]);
    check_heads(op_.i[0], op_.i[1], op_.i[2], op_.i[3], out_.width);
    at_most("the order of its sections", op_.i[4], 1);
    const std::uint64_t pairs = described_.ropes[static_cast<std::size_t>(op_.i[5])].usual.inverse_frequencies.size();
    expect("twice the number of frequencies", 2 * pairs, op_.i[3]);
    at_most("the pairs of two sections", (Checked(op_.i[6]) + op_.i[7]).saturated(), pairs);
  }
  void check_merge_rows() {
    const std::uint64_t merge = find_op(described_, OpKind::kPatches)->i[3]; // there, as check_counts saw
    expect("the number of rows that become one", op_.i[0], merge * merge);
    if (in(0).of_outputs || !out_.of_outputs) return wrong("it takes rows of patches and gives merged ones");
    expect("the width of its result", out_.width, (Checked(in(0).width) * op_.i[0]).saturated());
  }
  void check_rows_in_order() {
    if (!in(0).of_outputs || !out_.of_outputs || op_.out == op_.in[0]) return wrong("it takes merged rows, and gives others");
    expect("the width of its result", out_.width, in(0).width);
    if (!has_windows()) wrong("its patches have no windows");
  }
  void check_image_rows() {
    if (op_.out != op_.in[0] || out_.of_outputs) return wrong("it works in place, on rows of tokens");
    const MediaEntry* const image = declared_.entry_of(Modality::kImage);
    if (image == nullptr) return wrong("the model takes no images");
    expect("the elements of a row", image->row_elements, out_.width);
    if (op_.i[0] >= declared_.facts.vocab_tokens) wrong(fmt::format("token {} of {}", op_.i[0], declared_.facts.vocab_tokens));
  }
  void check_join() {
    expect("the width of its result", out_.width, (Checked(in(0).width) + in(1).width).saturated());
    if (out_.of_outputs) return wrong("tokens have a row each");
    if (out_.units != 0 || in(0).units != 0 || in(1).units != 0) return wrong("it joins what every rank has all of");
    if (op_.out == op_.in[0] || op_.out == op_.in[1]) return wrong("it cannot work in place");
    at_most("which of both is blank", op_.i[0], 2);
  }
  void check_gate() {
    at_most("the activation", op_.i[0], PLIMSOLL_ACT_RELU_SQUARED);
    for (std::size_t n = 0; n < inputs(); ++n) expect("the width of what it reads", in(n).width, out_.width);
    if (op_.i[0] == PLIMSOLL_ACT_SWIGLU_OAI && inputs() != 2) wrong("an activation of pairs, but one input");
    if (op_.i[0] == PLIMSOLL_ACT_SOFT_CAP && !(op_.f[0] > 0)) wrong("a cap that is not above 0");
  }
  void check_route() {
    const auto [experts, k, groups, kept] = std::array{op_.i[0], op_.i[1], op_.i[2], op_.i[3]};
    positive("the number of experts", experts);
    positive("the number of chosen experts", k);
    at_most("the number of chosen experts", k, experts);
    at_most("the number of experts", experts, PLIMSOLL_MAX_EXPERTS);
    expect("the width of its result", out_.width, 2 * k);
    at_most("the number of kept groups", kept, groups);
    if (groups > 1 && (experts % groups != 0 || kept == 0 || kept * (experts / groups) < k))
      wrong("groups that do not hold enough experts");
    at_most("the score", op_.i[4], PLIMSOLL_SCORE_SIGMOID_CHOSEN);
    at_most("a switch", std::max(op_.i[5], op_.i[6]), 1);
    const std::optional<LinearWidths> widths = linear_widths(weight(0), PLIMSOLL_ALL_PARTS);
    if (!widths) return wrong("its router is no linear layer");
    expect("the width of what it reads", in(0).width, widths->in);
    expect("the width of its router", widths->out, experts);
    for (std::size_t n = 1; n < 4; ++n) expect_vector(n, experts);
  }
  void check_experts() {
    const auto [experts, k, width, act, paired] = std::array{op_.i[0], op_.i[1], op_.i[2], op_.i[3], op_.i[4]};
    positive("the width of an expert", width);
    expect("the width of the routes", in(1).width, 2 * k);
    at_most("the activation", act, PLIMSOLL_ACT_RELU_SQUARED);
    at_most("the pairing", paired, 2);
    at_most("a switch", op_.i[7], 1);
    if (paired != 0 && !has(0)) return wrong("gate and up in one, but no gate");
    if (paired != 0 ? has(1) || has(4) : !has(1)) return wrong("its weight 1 is missing, or there where gate and up are one");
    const std::uint64_t model = in(0).width;
    expect("the width of its result", out_.width, model);
    check_expert_matrix(0, experts, model, paired != 0 ? 2 * width : width);
    check_expert_matrix(1, experts, model, width);
    check_expert_matrix(2, experts, width, model);
    check_expert_bias(3, experts, paired != 0 ? 2 * width : width);
    check_expert_bias(4, experts, width);
    check_expert_bias(5, experts, model);
  }
  void check_expert_matrix(std::size_t n, std::uint64_t experts, std::uint64_t reads, std::uint64_t gives) {
    if (!has(n)) return;
    const std::optional<LinearWidths> widths = linear_widths(weight(n), PLIMSOLL_ALL_PARTS);
    if (!widths) return wrong(fmt::format("'{}' is no linear layer", weight(n).label));
    expect(fmt::format("the experts of '{}'", weight(n).label), weight(n).experts, experts);
    expect(fmt::format("the width that '{}' reads", weight(n).label), widths->in, reads);
    expect(fmt::format("the width of '{}'", weight(n).label), widths->out, gives);
  }
  void check_expert_bias(std::size_t n, std::uint64_t experts, std::uint64_t elements) {
    if (!has(n)) return;
    const WeightClass& c = weight(n);
    expect(fmt::format("the elements of '{}'", c.label), (c.elements_of_one() * c.whole_experts()).saturated(),
           (Checked(experts) * elements).saturated());
  }
  void check_last_rows() {
    if (in(0).of_outputs || !out_.of_outputs) wrong("it takes rows of tokens and gives rows of outputs");
    expect("the width of its result", out_.width, in(0).width);
  }

  const DescribedOp& op_;
  const Described& described_;
  const Declared& declared_;
  const DescribedValue& out_;
  std::string wrong_;
};

} // namespace

std::optional<OpKind> op_kind(std::uint32_t number) {
  const OpKind kind = static_cast<OpKind>(number);
  if (number > UINT8_MAX || find_shape(kind) == nullptr) return std::nullopt;
  return kind;
}

std::string_view op_name(OpKind kind) { return shape_of(kind).name; }

std::optional<LinearWidths> linear_widths(const WeightClass& c, std::uint64_t part) {
  // A convolution that moves by its own size: what each patch becomes.
  if (c.n_dims > 2 && c.in_dim + 1 == c.n_dims && c.experts == 0 && part == PLIMSOLL_ALL_PARTS)
    return LinearWidths{c.elements_of_one().saturated() / std::max<std::uint64_t>(c.dims[0], 1), c.dims[0]};
  if (c.n_dims != 2 || c.in_dim > 1) return std::nullopt;
  LinearWidths widths{c.dims[c.in_dim], c.dims[1 - c.in_dim]};
  if (part == PLIMSOLL_ALL_PARTS) return widths;
  if (part >= c.parts.size() || c.shard_dim != 1 - c.in_dim) return std::nullopt;
  widths.out = c.parts[static_cast<std::size_t>(part)].extent;
  return widths;
}

std::string wrong_op(const DescribedOp& op, const Described& described, const Declared& declared) {
  return OpCheck(op, described, declared).run();
}

} // namespace plimsoll
