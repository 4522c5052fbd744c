#include "schedule/schedule.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "placement/placement.hpp"
#include "schedule/scratch.hpp"
#include "schedule/slab.hpp"

namespace plimsoll {
namespace {

constexpr std::uint64_t kElementBytes = 4; // values are float32

// Which ops a rank runs: those of its stage's layers, the embedding on the first stage, the head on the last.
bool runs_on(const DescribedOp& op, bool is_head, const RankLayout& layout, std::uint32_t stage) {
  if (op.layer != kNoIndex) return layout.stage_of_layer(op.layer) == stage;
  return is_head ? stage + 1 == layout.pp : stage == 0;
}

// Heads of an op on one rank, where the value that they are in is split.
std::uint64_t local_heads(std::uint64_t heads, const DescribedValue& whole, const ProgramValue& local) {
  return mul_div(heads, local.width, whole.width);
}

class Scheduler {
public:
  Scheduler(const Described& described, const Declared& declared, const RankLayout& layout, std::uint32_t rank, const PassShape& pass,
            bool types_known)
      : described_(described), declared_(declared), layout_(layout), rank_(rank), pass_(pass) {
    // What scratch depends on: types and shapes, class by class.
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
    choose_frequencies();
    PLIMSOLL_TRY(add_ops());
    PLIMSOLL_TRY(place());
    out_.logits = described_.logits;
    out_.vocab_tokens = out_.values[out_.logits].width;
    out_.hidden_elements = declared_.facts.hidden_elements;
    out_.most_tokens = pass_.tokens;
    out_.most_sequences = pass_.sequences;
    out_.most_outputs = pass_.outputs;
    out_.most_context_tokens = pass_.context_tokens;
    return std::move(out_);
  }

private:
  Result<void> localise_values() {
    for (const DescribedValue& value : described_.values) {
      std::uint64_t width = value.width;
      if (value.units != 0) {
        const WeightPart part{value.width, value.units, true};
        PLIMSOLL_ASSIGN(width, local_extent(part, rank_ % layout_.tp, layout_.tp, "a forward pass"));
      }
      out_.values.push_back({value.of_outputs, width, 0});
    }
    return {};
  }

  void choose_frequencies() {
    for (const DescribedRope& rope : described_.ropes)
      out_.ropes.push_back(pass_.context_tokens > rope.long_beyond_tokens ? rope.long_one : rope.usual);
  }

  Result<void> add_ops() {
    const std::uint32_t stage = layout_.stage_of_rank(rank_);
    bool seen_layer = false;
    for (const DescribedOp& from : described_.ops) {
      seen_layer = seen_layer || from.layer != kNoIndex;
      if (!runs_on(from, seen_layer, layout_, stage)) continue;
      ProgramOp op{from.kind, from.accumulate, from.reduce, from.layer, from.out, from.in, from.weights, from.kv_group,
                   0,         from.i,          from.f,      0,          0};
      if (op.kv_group != kNoIndex) {
        const std::vector<std::uint32_t>& layers = declared_.kv[op.kv_group].layers;
        const auto at = static_cast<std::uint64_t>(std::lower_bound(layers.begin(), layers.end(), op.layer) - layers.begin());
        op.kv_layer = static_cast<std::uint32_t>(at - layout_.layers_before_stage(layers, stage));
      }
      PLIMSOLL_TRY(check_norm(from));
      localise_heads(from, op);
      PLIMSOLL_ASSIGN(op.scratch_bytes, scratch_bytes(op, types_, pass_));
      out_.ops.push_back(op);
    }
    return {};
  }

  // What a norm is over must lie on one rank.
  Result<void> check_norm(const DescribedOp& op) const {
    const std::uint64_t whole = described_.values[op.out].width, local = out_.values[op.out].width;
    if (op.kind != OpKind::kNorm || local == whole) return {};
    const std::uint64_t norms = std::max<std::uint64_t>(op.i[0], 1);
    if (norms % (whole / local) == 0) return {};
    return fail(
        ErrorCode::kBadRequest,
        fmt::format("a forward pass norms {} columns at once, which {} ranks share; only fewer ranks can", whole / norms, layout_.tp),
        "--tp");
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
    case OpKind::kAttendLatent: op.i[0] = local(op.i[0], from.in[0]); break;
    case OpKind::kAttend:
      op.i[0] = local(op.i[0], from.in[0]);
      if (from.in[1] != kNoIndex) op.i[1] = local(op.i[1], from.in[1]);
      break;
    case OpKind::kConv: op.i[4] = local(op.i[4], from.out); break;
    case OpKind::kSsmScan:
      op.i[0] = local(op.i[0], from.out);
      op.i[3] = local(op.i[3], from.in[1]);
      break;
    default: break;
    }
  }

  // Every value from the op that sets it to the last that reads it, the logits to the end; scratch for its op alone.
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

    std::vector<Lifetime> buffers;
    std::vector<std::uint64_t*> places;
    for (std::size_t value = 0; value < lives.size(); ++value) {
      if (lives[value].first == kNoIndex) continue;
      const std::uint64_t rows = out_.values[value].of_outputs ? pass_.outputs : pass_.tokens;
      buffers.push_back({lives[value].first, lives[value].last, (Checked(rows) * out_.values[value].width * kElementBytes).saturated()});
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
  Program out_;
};

} // namespace

Result<Program> schedule_pipeline(const Described& described, const Declared& declared, const RankLayout& layout, std::uint32_t rank,
                                  const PassShape& pass, bool types_known) {
  return Scheduler(described, declared, layout, rank, pass, types_known).run();
}

} // namespace plimsoll
