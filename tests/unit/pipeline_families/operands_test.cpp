// The table of plimsoll/pipeline.h read once more: what the operands of an op must be.
#include <fmt/format.h>

#include "recorder.hpp"

namespace plimsoll::testing {
namespace {

struct Widths {
  std::uint64_t in = 0, out = 0;
};

// What a linear layer reads and gives; of one part.
Widths linear(const WeightSeen& w, std::uint64_t part) {
  if (w.dims.size() != 2 || w.in_dim > 1) return {};
  const std::uint64_t out = w.dims[1 - w.in_dim];
  if (part == PLIMSOLL_ALL_PARTS) return {w.dims[w.in_dim], out};
  if (w.shard_dim != 1 - w.in_dim || part >= w.parts.size()) return {};
  return {w.dims[w.in_dim], w.parts[static_cast<std::size_t>(part)]};
}

class Operands {
public:
  Operands(const Pass& pass, const OpSeen& op, const std::vector<const WeightSeen*>& weights, const GroupSeen* group)
      : pass_(pass), op_(op), weights_(weights), group_(group), out_(width(op.out)) {}

  std::string run() {
    counts();
    if (!wrong_.empty()) return wrong_;
    const auto& i = op_.i;
    switch (op_.kind) {
    case PLIMSOLL_OP_EMBED: expect("table", weight(0)->dims.at(1), out_); break;
    case PLIMSOLL_OP_NORM: norm(); break;
    case PLIMSOLL_OP_LINEAR: {
      const Widths w = linear(*weight(0), i[0]);
      expect("reads", w.in, in(0));
      expect("gives", w.out, out_);
      const WeightSeen* bias = weight(1);
      const bool one_part = i[0] != PLIMSOLL_ALL_PARTS;
      if (bias != nullptr) expect("bias", one_part ? bias->parts.at(static_cast<std::size_t>(i[0])) : bias->elements(), out_);
      break;
    }
    case PLIMSOLL_OP_ROPE:
      if (i[5] >= pass_.tables.size()) return "has no table";
      expect("pairs", 2 * pass_.tables[static_cast<std::size_t>(i[5])].inverse.size(), i[3]);
      expect("heads", i[0] * i[1], out_);
      if (i[2] + i[3] > i[1]) wrong("turns beyond the head");
      if (op_.in[0] != op_.out) wrong("is not in place");
      break;
    case PLIMSOLL_OP_ATTEND: attend(); break;
    case PLIMSOLL_OP_ATTEND_LATENT: latent(); break;
    case PLIMSOLL_OP_GATE:
      for (std::size_t n = 0; n < op_.in.size(); ++n) expect("reads", in(n), out_);
      if (i[0] == PLIMSOLL_ACT_SOFT_CAP && !(op_.f[0] > 0)) wrong("no cap");
      break;
    case PLIMSOLL_OP_ROUTE: {
      const Widths w = linear(*weight(0), PLIMSOLL_ALL_PARTS);
      expect("reads", w.in, in(0));
      expect("experts", w.out, i[0]);
      expect("gives", 2 * i[1], out_);
      for (std::size_t n = 1; n < 4; ++n)
        if (weight(n) != nullptr) expect("bias", weight(n)->elements(), i[0]);
      if (i[2] > 1 && (i[0] % i[2] != 0 || i[3] == 0 || i[3] > i[2])) wrong("groups");
      if (!(op_.f[0] > 0)) wrong("scale");
      break;
    }
    case PLIMSOLL_OP_EXPERTS: experts(); break;
    case PLIMSOLL_OP_LAST_ROWS:
    case PLIMSOLL_OP_ADD: expect("reads", in(0), out_); break;
    case PLIMSOLL_OP_SCALE_ROWS:
      expect("reads", in(0), out_);
      expect("scale", in(1), 1);
      break;
    case PLIMSOLL_OP_CONV: conv(); break;
    case PLIMSOLL_OP_SSM_SCAN: scan(); break;
    case PLIMSOLL_OP_COLUMNS:
      expect("reads", in(0), op_.i[0] * op_.i[1]);
      expect("gives", op_.i[0] * op_.i[3], out_);
      if (op_.i[2] + op_.i[3] > op_.i[1]) wrong("columns");
      break;
    case PLIMSOLL_OP_DELTA_RULE: delta_rule(); break;
    case PLIMSOLL_OP_MULTIPLY:
      expect("reads", in(0), out_);
      if (weight(0)->elements() != 1) expect("factors", weight(0)->elements(), out_);
      break;
    case PLIMSOLL_OP_ATTEND_WHOLE: attend_whole(); break;
    case PLIMSOLL_OP_EMBED_POSITION:
      expect("table", weight(0)->dims.at(1), out_);
      if (op_.i[0] >= weight(0)->dims.at(0) || op_.i[1] > 1) wrong("row");
      break;
    case PLIMSOLL_OP_POOL:
      expect("reads", in(0), out_);
      if (op_.i[0] == 0 || op_.i[0] > 3) wrong("pooling");
      break;
    case PLIMSOLL_OP_ROPE_SECTIONS:
      expect("reads", in(0), out_);
      if (op_.i[4] > 1 || op_.i[6] + op_.i[7] > op_.i[3] / 2 || op_.i[0] * op_.i[1] != out_) wrong("sections");
      break;
    case PLIMSOLL_OP_IMAGE_ROWS: expect("reads", in(0), out_); break;
    default: return "is no op";
    }
    return wrong_;
  }

private:
  std::uint64_t width(std::uint32_t value) const { return pass_.values.at(value).width; }
  std::uint64_t in(std::size_t n) const { return width(op_.in.at(n)); }
  const WeightSeen* weight(std::size_t n) const { return n < weights_.size() ? weights_[n] : nullptr; }
  void wrong(std::string what) {
    if (wrong_.empty()) wrong_ = std::move(what);
  }
  void expect(const char* what, std::uint64_t is, std::uint64_t expected) {
    if (is != expected) wrong(fmt::format("{} {}, expected {}", what, is, expected));
  }

  void counts() {
    struct Row {
      std::size_t least_in, most_in, needed_weights, most_weights;
    };
    constexpr std::array<Row, 21> kRows{{{},           {0, 0, 1, 1}, {1, 1, 0, 2}, {1, 1, 1, 2}, {1, 1, 0, 0}, {1, 3, 0, 1}, {2, 2, 1, 1},
                                         {1, 2, 0, 0}, {1, 1, 1, 4}, {2, 2, 0, 6}, {1, 1, 0, 0}, {1, 1, 0, 0}, {2, 2, 0, 0}, {1, 1, 1, 2},
                                         {4, 4, 1, 3}, {1, 1, 0, 0}, {5, 5, 1, 2}, {3, 3, 0, 0}, {0, 0, 1, 1}, {1, 1, 0, 0}, {1, 1, 1, 1}}};
    constexpr Row kInPlace{1, 1, 0, 0};
    const bool of_images = op_.kind == PLIMSOLL_OP_ROPE_SECTIONS || op_.kind == PLIMSOLL_OP_IMAGE_ROWS;
    if (!of_images && (op_.kind == 0 || op_.kind >= kRows.size())) return wrong("is no op");
    const Row& row = of_images ? kInPlace : kRows[op_.kind];
    if (op_.in.size() < row.least_in || op_.in.size() > row.most_in) wrong("inputs");
    if (op_.weights.size() > row.most_weights) wrong("weights");
    for (std::size_t n = 0; n < row.needed_weights; ++n)
      if (weight(n) == nullptr) wrong("lacks a weight");
    const bool attends = op_.kind == PLIMSOLL_OP_ATTEND || op_.kind == PLIMSOLL_OP_ATTEND_LATENT;
    const bool recurs = op_.kind == PLIMSOLL_OP_CONV || op_.kind == PLIMSOLL_OP_SSM_SCAN || op_.kind == PLIMSOLL_OP_DELTA_RULE;
    if ((attends || recurs) != (group_ != nullptr)) return wrong("KV group");
    if (group_ != nullptr && recurs != (group_->kind == PLIMSOLL_KV_STATE)) return wrong("KV group of another kind");
    const std::uint32_t rows = pass_.values.at(op_.out).rows;
    for (const std::uint32_t value : op_.in)
      if (op_.kind != PLIMSOLL_OP_LAST_ROWS && op_.kind != PLIMSOLL_OP_POOL && pass_.values.at(value).rows != rows)
        wrong("rows of two kinds");
  }

  void norm() {
    expect("reads", in(0), out_);
    const auto& i = op_.i;
    const std::uint64_t heads = i[0] == 0 ? 1 : i[0], columns = i[0] == 0 ? out_ : i[3];
    if (i[0] != 0) expect("heads", i[0] * i[1], out_);
    if (i[0] != 0 && i[2] + i[3] > i[1]) wrong("columns beyond the head");
    for (std::size_t n = 0; n < 2; ++n)
      if (weight(n) != nullptr && weight(n)->elements() != columns) expect("gain", weight(n)->elements(), heads * columns);
    if (!(op_.f[0] > 0)) wrong("epsilon");
  }

  void attend() {
    const auto& i = op_.i;
    expect("queries", in(0), i[0] * i[2]);
    expect("context", out_, i[0] * i[3]);
    if (op_.in.size() == 3) {
      expect("keys", in(1), i[1] * i[2]);
      expect("values", in(2), i[1] * i[3]);
    }
    if (i[1] == 0 || i[0] % i[1] != 0) wrong("heads");
    expect("cached heads", group_->kv_heads, i[1]);
    expect("a cached key", group_->k_elements, i[2]);
    expect("a cached value", group_->v_elements, i[3]);
    expect("window", i[4], group_->kind == PLIMSOLL_KV_WINDOW ? group_->window_tokens : 0);
    expect("chunk", i[5], group_->kind == PLIMSOLL_KV_CHUNK ? group_->window_tokens : 0);
    if (i[7] != 0 && (op_.in.size() != 1 || i[7] > op_.layer)) wrong("stores what an earlier layer did, or looks into a later one");
    if (weight(0) != nullptr) expect("sinks", weight(0)->elements(), i[0]);
    if (!(op_.f[0] > 0)) wrong("scale");
  }

  void attend_whole() {
    const auto& i = op_.i;
    expect("queries", in(0), i[0] * i[2]);
    expect("keys", in(1), i[1] * i[2]);
    expect("values", in(2), i[1] * i[3]);
    expect("context", out_, i[0] * i[3]);
    if (i[1] == 0 || i[0] % i[1] != 0) wrong("heads");
    if (!(op_.f[0] > 0)) wrong("scale");
  }

  void latent() {
    const auto& i = op_.i;
    expect("queries", in(0), i[0] * (i[2] + i[3]));
    expect("latent", in(1), i[1] + i[3]);
    expect("context", out_, i[0] * i[4]);
    if (group_->kind != PLIMSOLL_KV_LATENT) wrong("KV group of another kind");
    expect("a cached latent", group_->k_elements, i[1] + i[3]);
    const Widths w = linear(*weight(0), PLIMSOLL_ALL_PARTS);
    expect("kv_b reads", w.in, i[1]);
    expect("kv_b gives", w.out, i[0] * (i[2] + i[4]));
    if (!(op_.f[0] > 0)) wrong("scale");
  }

  void region(std::uint64_t number, std::uint64_t end) {
    if (number >= group_->regions.size()) return wrong("region");
    if (end > group_->regions[static_cast<std::size_t>(number)]) wrong("beyond its region");
  }
  void conv() {
    const auto& i = op_.i;
    const auto channels = [&](const WeightSeen& w) { return i[0] == PLIMSOLL_ALL_PARTS ? w.dims.at(0) : w.parts.at(i[0]); };
    expect("reads", in(0), out_);
    expect("channels", channels(*weight(0)), out_);
    expect("taps", weight(0)->elements(), weight(0)->dims.at(0) * i[1]);
    if (weight(1) != nullptr) expect("bias", channels(*weight(1)), out_);
    region(i[3], (i[4] + out_) * (i[1] - 1));
  }
  void scan() {
    const auto& i = op_.i;
    expect("x", in(0), i[0] * i[1]);
    expect("gives", out_, in(0));
    expect("b", in(1), i[3] * i[2]);
    expect("c", in(2), in(1));
    expect("steps", in(3), i[0]);
    if (weight(0)->elements() != i[0]) expect("a", weight(0)->elements(), i[0] * i[2]);
    for (std::size_t n = 1; n < 3; ++n)
      if (weight(n) != nullptr) expect("a number for each head", weight(n)->elements(), i[0]);
    region(i[4], i[0] * i[1] * i[2]);
  }

  void delta_rule() {
    const auto& i = op_.i;
    if (i[0] % i[1] != 0) wrong("heads");
    expect("queries", in(0), i[1] * i[2]);
    expect("keys", in(1), in(0));
    expect("values", in(2), i[0] * i[3]);
    expect("gives", out_, in(2));
    if (in(3) != i[0]) expect("decays", in(3), i[0] * i[2]);
    expect("writes", in(4), i[0]);
    expect("a", weight(0)->elements(), i[0]);
    if (weight(1) != nullptr) expect("bias", weight(1)->elements(), in(3));
    region(i[4], i[0] * i[2] * i[3]);
  }

  void experts() {
    const auto& i = op_.i;
    expect("routes", in(1), 2 * i[1]);
    const bool paired = i[4] != 0;
    if (weight(2) == nullptr || (paired ? weight(0) : weight(1)) == nullptr) return wrong("lacks a weight");
    if (paired && weight(1) != nullptr) wrong("two weights for gate and up");
    for (std::size_t n = 0; n < 2; ++n) {
      if (weight(n) == nullptr) continue;
      const Widths w = linear(*weight(n), PLIMSOLL_ALL_PARTS);
      expect("reads", w.in, in(0));
      expect("is wide", w.out, paired ? 2 * i[2] : i[2]);
    }
    const Widths down = linear(*weight(2), PLIMSOLL_ALL_PARTS);
    expect("down reads", down.in, i[2]);
    expect("down gives", down.out, out_);
    for (std::size_t n = 0; n < 6; ++n)
      if (weight(n) != nullptr) expect("experts", weight(n)->experts, i[0]);
    for (std::size_t n = 3; n < 6; ++n)
      if (weight(n) != nullptr) expect("bias", weight(n)->elements(), n == 5 ? out_ : paired ? 2 * i[2] : i[2]);
  }

  const Pass& pass_;
  const OpSeen& op_;
  const std::vector<const WeightSeen*>& weights_;
  const GroupSeen* group_;
  std::uint64_t out_;
  std::string wrong_;
};

} // namespace

std::string wrong_operands(const Pass& pass, const OpSeen& op, const std::vector<const WeightSeen*>& weights, const GroupSeen* group) {
  return Operands(pass, op, weights, group).run();
}

} // namespace plimsoll::testing
