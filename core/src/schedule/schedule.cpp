#include "schedule/schedule.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <optional>
#include <string_view>
#include <tuple>
#include <utility>

#include "model/op_rules.hpp"
#include "placement/weight_shard.hpp"
#include "schedule/adapter_slots.hpp"
#include "schedule/scratch.hpp"
#include "schedule/slab.hpp"

namespace plimsoll {
namespace {

constexpr std::uint64_t kElementBytes = 4;     // values are float32
constexpr std::uint64_t kAlternatingPairs = 2; // EXPERTS: "paired" where rows of gate and up alternate

// Heads of an op on one rank, where the value that they are in is split.
std::uint64_t local_heads(std::uint64_t heads, const DescribedValue& whole, const ProgramValue& local) {
  return mul_div(heads, local.width, whole.width);
}

class Scheduler {
public:
  Scheduler(const Described& described, const Declared& declared, const RankLayout& layout, std::uint32_t rank, const PassShape& pass,
            bool types_known, AdapterSlots adapters)
      : described_(described), declared_(declared), layout_(layout), rank_(rank), pass_(pass) {
    out_.adapters = std::move(adapters);
    // What scratch depends on: types and shapes, class by class.
    shards_.resize(declared.weights.size());
    for (const WeightClass& c : declared.weights) {
      WeightTensor& tensor = types_.tensors.emplace_back();
      tensor.label = c.label;
      if (types_known) tensor.dtype = c.dtype.name;
      tensor.experts = c.experts;
      tensor.dims.assign(c.dims.begin(), c.dims.begin() + c.n_dims);
      tensor.in_dim = c.in_dim;
      if (c.parts.size() > 1)
        for (const WeightPart& part : c.parts) tensor.parts.push_back(part.extent);
    }
  }

  Result<Program> run() {
    PLIMSOLL_TRY(localise_values());
    PLIMSOLL_TRY(cut_for_rank(described_, declared_, layout_, rank_, out_.adapters));
    choose_frequencies();
    const std::uint32_t stage = layout_.stage_of_rank(rank_);
    if (!described_.of_images) add_handover(stage, OpKind::kReceive);
    PLIMSOLL_TRY(add_ops());
    if (!described_.of_images) add_handover(stage + 1, OpKind::kSend);
    PLIMSOLL_TRY(place());
    out_.rank = rank_;
    out_.tensor_ranks = layout_.tp;
    out_.stages = layout_.pp;
    out_.logits = described_.logits;
    out_.vocab_tokens = out_.values[out_.logits].width;
    if (described_.pooling != RowPooling::kNone) say_vectors();
    if (described_.of_head()) {
      out_.takes_model = described_.takes_model;
      out_.takes = described_.takes;
      out_.hands_on = described_.hands_on;
      out_.own_ops = own_ops_;
    } else if (pass_.hands_on) {
      out_.hands_on = described_.residual;
    }
    out_.hidden_elements = declared_.facts.hidden_elements;
    out_.most_tokens = pass_.tokens;
    out_.most_sequences = pass_.sequences;
    out_.most_outputs = pass_.outputs;
    out_.most_context_tokens = pass_.context_tokens;
    return std::move(out_);
  }

private:
  void say_vectors() {
    out_.vector_elements = out_.vocab_tokens;
    out_.pooling = described_.pooling;
    out_.normalised = described_.normalised;
    for (const DescribedOp& op : described_.ops)
      if (op.kind == OpKind::kEmbed) out_.vocab_tokens = declared_.weights[op.weights[0]].dims[0];
  }

  // Units of one element are cut as parts of weights without units are: the remainder goes to the first ranks.
  static WeightPart part_of(const DescribedValue& value) { return {value.width, value.units == value.width ? 0 : value.units, true}; }

  Result<void> localise_values() {
    for (const DescribedValue& value : described_.values) {
      std::uint64_t width = value.width;
      if (value.units != 0) {
        PLIMSOLL_ASSIGN(width, local_extent(part_of(value), rank_ % layout_.tp, layout_.tp, "a forward pass"));
        if (width == 0)
          return fail(ErrorCode::kBadRequest,
                      fmt::format("a tensor-parallel degree of {} leaves a rank without any of {} columns", layout_.tp, value.width),
                      "--tp");
      }
      out_.values.push_back({value.of_outputs, width});
    }
    return {};
  }

  void choose_frequencies() {
    for (const DescribedRope& rope : described_.ropes)
      out_.ropes.push_back(pass_.context_tokens > rope.long_beyond_tokens ? rope.long_one : rope.usual);
  }

  // Which stage runs an op: that of its layer; the first the embedding and an encoder, the last the head.
  std::uint32_t stage_of(const DescribedOp& op, bool is_head) const {
    return described_.of_images ? 0 : layout_.stage_of_op(op.layer, is_head);
  }

  Result<void> add_ops() {
    const std::uint32_t stage = layout_.stage_of_rank(rank_);
    bool seen_layer = false;
    for (std::size_t n = 0; n < described_.ops.size(); ++n) {
      const DescribedOp& from = described_.ops[n];
      if (n == described_.own_ops) own_ops_ = static_cast<std::uint32_t>(out_.ops.size());
      seen_layer = seen_layer || from.layer != kNoIndex;
      if (stage_of(from, seen_layer) != stage) continue;
      ProgramOp op;
      op.kind = from.kind;
      op.accumulate = from.accumulate;
      op.layer = from.layer;
      op.out = from.out;
      op.in = from.in;
      op.weights = from.weights;
      op.kv_group = from.kv_group;
      op.i = from.i;
      op.f = from.f;
      op.adapter = adapter_of(from);
      if (op.kv_group != kNoIndex) {
        const std::vector<std::uint32_t>& layers = declared_.kv[op.kv_group].layers;
        const std::uint32_t stored_by = from.kv_from == kNoIndex ? op.layer : from.kv_from;
        if (layout_.stage_of_op(stored_by, false) != stage)
          return fail(ErrorCode::kUnsupportedArchitecture,
                      fmt::format("layer {} looks into the cache of layer {}, which is on another stage", op.layer, stored_by), "--pp");
        const auto at = static_cast<std::uint64_t>(std::lower_bound(layers.begin(), layers.end(), stored_by) - layers.begin());
        op.kv_layer = static_cast<std::uint32_t>(at - layout_.layers_before_stage(layers, stage));
      }
      if (shares_norm(from)) {
        PLIMSOLL_TRY(add_shared_norm(std::move(op), from));
        continue;
      }
      localise_heads(from, op);
      if (op.kind == OpKind::kAttend && op.f[3] != 0) {
        PLIMSOLL_ASSIGN(const LocalRange columns,
                        local_range(part_of(described_.values[from.in[0]]), rank_ % layout_.tp, layout_.tp, "a forward pass"));
        op.first_head = columns.first / from.i[2];
        op.all_heads = from.i[0];
      }
      PLIMSOLL_ASSIGN(const Joining joining, localise_weights(from, op));
      if (joining == Joining::kReplicas) PLIMSOLL_TRY(add_shared_experts(std::move(op), from));
      else PLIMSOLL_TRY(add(std::move(op), from, joining));
    }
    return {};
  }

  // A value of this rank's own, which no planner described.
  std::uint32_t add_value(const ProgramValue& value) {
    out_.values.push_back(value);
    return static_cast<std::uint32_t>(out_.values.size() - 1);
  }

  // EXPERTS that lie on the ranks of all replicas: the rows of every one go through what this rank has, and each replica gets its own back.
  Result<void> add_shared_experts(ProgramOp op, const DescribedOp& from) {
    if (!from.reduce) return cannot(from, "its results are parts of a sum, and the planner does not say so");
    if (described_.of_images || out_.values[op.out].of_outputs)
      return cannot(from, "replicas meet where tokens are computed, and nowhere else");
    out_.replicas = layout_.dp;
    for (std::uint32_t& value : op.in) {
      if (value == kNoIndex) continue;
      ProgramOp gather;
      gather.kind = OpKind::kGatherRows;
      gather.layer = op.layer;
      gather.in[0] = value;
      gather.out = value = add_value({false, out_.values[value].width, 0, true});
      out_.ops.push_back(gather);
    }
    ProgramOp scatter;
    scatter.kind = OpKind::kScatterSum;
    scatter.layer = op.layer;
    scatter.out = op.out;
    scatter.accumulate = std::exchange(op.accumulate, false);
    scatter.in[0] = op.out = add_value({false, out_.values[op.out].width, 0, true});
    PLIMSOLL_ASSIGN(op.scratch_bytes, scratch_bytes(op, types_, out_.adapters, rows_of_replicas().saturated()));
    out_.ops.push_back(op);
    out_.ops.push_back(scatter);
    return {};
  }

  Checked rows_of_replicas() const { return Checked(pass_.tokens) * layout_.dp; }

  // The target of adapters that a LINEAR multiplies with.
  std::uint32_t adapter_of(const DescribedOp& op) const {
    if (op.kind != OpKind::kLinear) return kNoIndex;
    const WeightClass& c = declared_.weights[op.weights[0]];
    const auto key = std::tuple(std::string_view(c.label), c.layers.empty() ? kNoIndex : op.layer);
    const std::vector<AdapterTarget>& targets = out_.adapters.targets;
    const auto at = std::lower_bound(targets.begin(), targets.end(), key, [](const AdapterTarget& target, const auto& wanted) {
      return std::tuple(std::string_view(target.label), target.layer) < wanted;
    });
    const bool found = at != targets.end() && at->label == c.label && at->layer == std::get<1>(key);
    return found ? static_cast<std::uint32_t>(at - targets.begin()) : kNoIndex;
  }

  // Whether what a norm is over lies on several ranks.
  bool shares_norm(const DescribedOp& op) const {
    const std::uint64_t whole = described_.values[op.out].width, local = out_.values[op.out].width;
    return op.kind == OpKind::kNorm && local != whole && std::max<std::uint64_t>(op.i[0], 1) % (whole / local) != 0;
  }

  // An RMS norm of whole rows by the sum of all ranks' squares. Where ranks have copies of the same columns each counts as often.
  Result<void> add_shared_norm(ProgramOp op, const DescribedOp& from) {
    const DescribedValue& whole = described_.values[op.out];
    const std::uint64_t local = out_.values[op.out].width;
    if (from.i[0] > 1 || from.i[2] != 0 || (from.i[3] != 0 && from.i[3] != whole.width) || from.i[4] != 0)
      return fail(ErrorCode::kBadRequest,
                  fmt::format("a forward pass norms {} columns at once, which {} ranks share; only fewer ranks can",
                              whole.width / std::max<std::uint64_t>(from.i[0], 1), layout_.tp),
                  "--tp");
    const auto sums = static_cast<std::uint32_t>(out_.values.size());
    out_.values.push_back({whole.of_outputs, 1});
    ProgramOp squares, join;
    squares.kind = OpKind::kSumSquares;
    join.kind = OpKind::kAllReduce;
    squares.layer = join.layer = op.layer;
    squares.in[0] = op.in[0];
    squares.out = join.in[0] = join.out = sums;
    out_.ops.push_back(squares);
    out_.ops.push_back(join);
    PLIMSOLL_ASSIGN(const LocalRange columns, local_range(part_of(whole), rank_ % layout_.tp, layout_.tp, "a forward pass"));
    op.kind = OpKind::kNormOfSums;
    op.in[1] = sums;
    op.i = {local * layout_.tp, columns.first, from.i[5]};
    for (const std::uint32_t weight : op.weights)
      if (weight != kNoIndex) PLIMSOLL_TRY(shard(weight));
    out_.ops.push_back(op);
    return {};
  }

  // Values that are set on stages before `stage` and read on it or behind it go from rank to rank: the residual stream, as a rule.
  void add_handover(std::uint32_t stage, OpKind kind) {
    if (stage == 0 || stage >= layout_.pp) return;
    std::vector<bool> set(described_.values.size(), false), read(described_.values.size(), false);
    bool seen_layer = false;
    for (const DescribedOp& op : described_.ops) {
      seen_layer = seen_layer || op.layer != kNoIndex;
      if (stage_of(op, seen_layer) < stage) {
        set[op.out] = true;
        continue;
      }
      for (const std::uint32_t value : op.in)
        if (value != kNoIndex) read[value] = true;
      if (op.accumulate) read[op.out] = true;
    }
    for (std::uint32_t value = 0; value < set.size(); ++value) {
      if (!set[value] || !read[value]) continue;
      ProgramOp op;
      op.kind = kind;
      op.out = value;
      if (kind == OpKind::kSend) op.in[0] = value;
      out_.ops.push_back(op);
    }
  }

  // What must follow an op so that its result is whole; of replicas, before it too.
  enum class Joining : std::uint8_t { kNothing, kSum, kColumns, kReplicas };

  Result<void> add(ProgramOp op, const DescribedOp& from, Joining joining) {
    if (joining == Joining::kSum && !from.reduce) return cannot(from, "its results are parts of a sum, and the planner does not say so");
    if (joining == Joining::kColumns && from.accumulate) return cannot(from, "it adds to all columns, of which it has some");
    ProgramOp join;
    join.kind = joining == Joining::kSum ? OpKind::kAllReduce : OpKind::kAllGather;
    join.layer = op.layer;
    join.out = op.out;
    if (joining == Joining::kColumns || (joining == Joining::kSum && op.accumulate)) { // parts have a place of their own
      const ProgramValue& whole = out_.values[op.out];
      const std::uint64_t width = joining == Joining::kSum ? whole.width : out_columns(op);
      const bool of_outputs = whole.of_outputs;
      op.out = static_cast<std::uint32_t>(out_.values.size());
      out_.values.push_back({of_outputs, width});
      join.accumulate = std::exchange(op.accumulate, false);
    }
    join.in[0] = op.out;
    PLIMSOLL_ASSIGN(op.scratch_bytes, scratch_bytes(op, types_, out_.adapters, pass_.tokens));
    out_.ops.push_back(op);
    if (joining != Joining::kNothing) out_.ops.push_back(join);
    return {};
  }

  tl::unexpected<Error> cannot(const DescribedOp& op, std::string_view why) const {
    return fail(ErrorCode::kUnsupportedArchitecture,
                fmt::format("{}{} cannot be computed by {} ranks: {}", op_name(op.kind),
                            op.layer == kNoIndex ? "" : fmt::format(" of layer {}", op.layer),
                            layout_.replicas_share_experts() ? layout_.tp * layout_.dp : layout_.tp, why),
                layout_.replicas_share_experts() ? "--ep" : "--tp");
  }

  // The rank's part of a class, and its shape for scratch.
  Result<const WeightShard*> shard(std::uint32_t weight) {
    std::optional<WeightShard>& known = shards_[weight];
    if (!known) {
      PLIMSOLL_ASSIGN(known, weight_shard(declared_.weights[weight], layout_, rank_));
      WeightTensor& tensor = types_.tensors[weight];
      std::copy_n(known->shape.dims.begin(), tensor.dims.size(), tensor.dims.begin());
      for (std::size_t part = 0; part < std::min(tensor.parts.size(), known->shape.ranges.size()); ++part)
        tensor.parts[part] = known->shape.ranges[part].n;
    }
    return &*known;
  }

  // Columns that a linear layer gives on this rank.
  std::uint64_t out_columns(const ProgramOp& op) const {
    const WeightClass& c = declared_.weights[op.weights[0]];
    const LocalShape& shape = shards_[op.weights[0]]->shape;
    const auto part = static_cast<std::size_t>(op.i[0]);
    if (c.n_dims > 2) return shape.dims[0];
    if (c.shard_dim == c.in_dim || c.parts.size() < 2 || op.i[0] >= c.parts.size()) return shape.dims[1 - c.in_dim];
    return shape.ranges.empty() ? c.parts[part].extent : shape.ranges[part].n;
  }

  Result<Joining> localise_weights(const DescribedOp& from, ProgramOp& op) {
    if (layout_.ranks() == 1) return Joining::kNothing;
    for (const std::uint32_t weight : op.weights)
      if (weight != kNoIndex) PLIMSOLL_TRY(shard(weight));
    const auto of_replicas = [&](std::uint32_t weight) {
      return weight != kNoIndex && layout_.dp > 1 && weight_share(declared_.weights[weight], layout_).over_replicas;
    };
    if (op.kind != OpKind::kExperts && std::any_of(op.weights.begin(), op.weights.end(), of_replicas))
      return cannot(from, "replicas share its weights, and it works on the tokens of one");
    const auto cut_along = [&](std::uint32_t weight, std::uint32_t dim) {
      return shards_[weight]->degree > 1 && declared_.weights[weight].shard_dim == dim && !shards_[weight]->shape.ranges.empty();
    };
    switch (op.kind) {
    case OpKind::kEmbed: {
      const WeightShard& table = *shards_[op.weights[0]];
      if (table.shape.ranges.empty()) return Joining::kNothing;
      op.i[0] = table.shape.ranges.front().first;
      op.i[1] = declared_.weights[op.weights[0]].dims[0];
      return table.degree > 1 ? Joining::kSum : Joining::kNothing;
    }
    case OpKind::kLinear: {
      const WeightClass& c = declared_.weights[op.weights[0]];
      if (cut_along(op.weights[0], c.in_dim)) {
        if (shards_[op.weights[0]]->index != 0) op.weights[1] = kNoIndex; // a bias is added once
        return Joining::kSum;
      }
      if (out_columns(op) == out_.values[op.out].width) return Joining::kNothing;
      if (c.placement == PLIMSOLL_PLACE_VOCAB || (described_.values[op.out].units == 0 && c.parts.size() < 2)) return Joining::kColumns;
      return cannot(from, "it gives other columns than its result has on a rank");
    }
    case OpKind::kExperts: {
      const WeightClass& down = declared_.weights[op.weights[2]];
      const WeightShard& held = *shards_[op.weights[2]];
      if (layout_.ep > std::max<std::uint64_t>(down.experts, 1))
        return fail(
            ErrorCode::kBadRequest,
            fmt::format("ep {} leaves some ranks without any of the {} experts of a layer; give as many at most", layout_.ep, down.experts),
            "--ep");
      const bool some = held.experts.n != std::max<std::uint64_t>(down.experts, 1), part = cut_along(op.weights[2], down.in_dim);
      if (some) {
        op.i[5] = held.experts.first;
        op.i[6] = held.experts.n;
      }
      if (part) {
        op.i[2] = held.shape.dims[down.in_dim];
        if (held.index != 0) op.weights[5] = kNoIndex;
      }
      if ((some || part) && of_replicas(op.weights[2])) return Joining::kReplicas;
      return some || part ? Joining::kSum : Joining::kNothing;
    }
    case OpKind::kConv: { // the channels of parts before its own, which may be cut otherwise
      const std::vector<LocalRange>& ranges = shards_[op.weights[0]]->shape.ranges;
      const std::vector<WeightPart>& parts = declared_.weights[op.weights[0]].parts;
      if (from.i[0] >= ranges.size() || ranges.size() != parts.size()) return Joining::kNothing;
      std::uint64_t whole = 0, local = 0;
      for (std::size_t part = 0; part < from.i[0]; ++part) {
        whole += parts[part].extent;
        local += ranges[part].n;
      }
      if (from.i[4] == whole) op.i[4] = local;
      return Joining::kNothing;
    }
    default: return Joining::kNothing;
    }
  }

  // Counts that an op has of what is split: heads, groups, channels before its own.
  void localise_heads(const DescribedOp& from, ProgramOp& op) const {
    const auto local = [&](std::uint64_t heads, std::uint32_t value) {
      return local_heads(heads, described_.values[value], out_.values[value]);
    };
    switch (op.kind) {
    case OpKind::kNorm:
      if (op.i[0] > 1) op.i[0] = local(op.i[0], from.out);
      break;
    case OpKind::kRope:
    case OpKind::kRopeSections:
    case OpKind::kAttendLatent: op.i[0] = local(op.i[0], from.in[0]); break;
    case OpKind::kAttend:
    case OpKind::kAttendWhole:
      op.i[0] = local(op.i[0], from.in[0]);
      if (from.in[1] != kNoIndex) op.i[1] = local(op.i[1], from.in[1]);
      else op.i[1] = std::max<std::uint64_t>(1, mul_div(op.i[1], op.i[0], from.i[0])); // as the layer has it that stored them
      break;
    case OpKind::kConv: op.i[4] = local(op.i[4], from.out); break;
    case OpKind::kSsmScan:
      op.i[0] = local(op.i[0], from.out);
      op.i[3] = local(op.i[3], from.in[1]);
      break;
    case OpKind::kColumns: op.i[0] = local(op.i[0], from.in[0]); break;
    case OpKind::kDeltaRule:
      op.i[0] = local(op.i[0], from.out);
      op.i[1] = local(op.i[1], from.in[0]);
      break;
    default: break;
    }
  }

  // Every value from the op that sets it to the last that reads it, the logits to the end, and what a head is handed; scratch for its op
  // alone.
  Result<void> place() {
    struct Life {
      std::uint32_t first = kNoIndex, last = 0;
    };
    std::vector<Life> lives(out_.values.size());
    for (std::uint32_t step = 0; step < out_.ops.size(); ++step) {
      const auto touch = [&](std::uint32_t value) {
        if (value == kNoIndex) return;
        lives[value].first = std::min(lives[value].first, step);
        lives[value].last = step;
      };
      touch(out_.ops[step].out);
      for (const std::uint32_t value : out_.ops[step].in) touch(value);
    }
    if (out_.ops.empty()) return {};
    const auto end = static_cast<std::uint32_t>(out_.ops.size() - 1);
    if (lives[described_.logits].first != kNoIndex) lives[described_.logits].last = end;
    if (pass_.hands_on && lives[described_.residual].first != kNoIndex) lives[described_.residual].last = end;
    // Those of a head from before its first op: they are put there from outside, or out of one another.
    if (described_.of_head())
      for (const std::uint32_t value : {described_.takes_model, described_.takes, described_.hands_on}) lives[value] = {0, end};

    std::vector<Lifetime> buffers;
    std::vector<std::uint64_t*> places;
    for (std::size_t value = 0; value < lives.size(); ++value) {
      if (lives[value].first == kNoIndex) continue;
      const ProgramValue& of = out_.values[value];
      const Checked rows = of.of_outputs ? Checked(pass_.outputs) : of.of_replicas ? rows_of_replicas() : Checked(pass_.tokens);
      buffers.push_back({lives[value].first, lives[value].last, (rows * of.width * kElementBytes).saturated()});
      places.push_back(&out_.values[value].offset_bytes);
    }
    for (std::uint32_t step = 0; step < out_.ops.size(); ++step) {
      if (out_.ops[step].scratch_bytes == 0) continue;
      buffers.push_back({step, step, out_.ops[step].scratch_bytes});
      places.push_back(&out_.ops[step].scratch_offset_bytes);
    }
    PLIMSOLL_ASSIGN(const Slab slab, place_buffers(buffers));
    for (std::size_t i = 0; i < places.size(); ++i) *places[i] = slab.offset_bytes[i];
    out_.slab_bytes = slab.bytes;
    return {};
  }

  const Described& described_;
  const Declared& declared_;
  const RankLayout& layout_;
  std::uint32_t rank_;
  const PassShape& pass_;
  WeightSources types_;
  std::vector<std::optional<WeightShard>> shards_; // of the classes that ops name
  std::uint32_t own_ops_ = 0;                      // of a head, in the program
  Program out_;
};

} // namespace

Result<Program> schedule_pipeline(const Described& described, const Declared& declared, const RankLayout& layout, std::uint32_t rank,
                                  const PassShape& pass, bool types_known, AdapterSlots adapters) {
  return Scheduler(described, declared, layout, rank, pass, types_known, std::move(adapters)).run();
}

bool ranks_are_alike(const Described& described, const Declared& declared, const RankLayout& layout) {
  const auto same_experts = [&](const DescribedOp& op) {
    if (op.kind != OpKind::kExperts) return true;
    const WeightClass& down = declared.weights[op.weights[2]];
    const std::uint32_t degree = weight_share(down, layout).degree;
    return std::all_of(down.parts.begin(), down.parts.end(), [&](const WeightPart& part) { return part.extent % degree == 0; });
  };
  return std::all_of(
             described.values.begin(), described.values.end(),
             [&](const DescribedValue& value) { return value.units == 0 || value.units != value.width || value.width % layout.tp == 0; }) &&
         std::all_of(described.ops.begin(), described.ops.end(), same_experts);
}

std::vector<bool> alternating_classes(const Described& described, const Declared& declared) {
  std::vector<bool> alternating(declared.weights.size(), false);
  for (const DescribedOp& op : described.ops) {
    if (op.kind != OpKind::kExperts || op.i[4] != kAlternatingPairs) continue;
    for (const std::uint32_t weight : {op.weights[0], op.weights[3]})
      if (weight != kNoIndex) alternating[weight] = true;
  }
  return alternating;
}

} // namespace plimsoll
