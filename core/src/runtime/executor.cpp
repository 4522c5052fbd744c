#include "runtime/executor.hpp"

#include <algorithm>
#include <bit>
#include <fmt/format.h>

#include "backend/block_order.hpp"
#include "runtime/executor_adapters.hpp"
#include "runtime/executor_check.hpp"
#include "runtime/executor_inputs.hpp"
#include "runtime/executor_weights.hpp"
#include "runtime/op_check.hpp"
#include "schedule/scratch_layout.hpp"

namespace plimsoll {
namespace {

constexpr std::uint64_t kSlabAlignmentBytes = 64;

} // namespace

template <class Real>
class Executor<Real>::Impl {
public:
  Impl(Program program, std::shared_ptr<Backend> backend, std::span<const void* const> weights, std::vector<ExecutorKvGroup> groups,
       const ExecutorMemory& memory, const ExecutorOptions& options)
      : program_(std::move(program)), backend_(std::move(backend)), ops_(backend_->ops(Real{})), weights_(weights.begin(), weights.end()),
        groups_(std::move(groups)), rules_(input_rules(program_, groups_)), slab_(static_cast<std::byte*>(memory.slab)),
        adapters_(memory.adapters), options_(options), offsets_(program_.most_sequences + 1), kept_(groups_.size()) {
    windows_.reserve(rules_.patches != nullptr ? program_.most_outputs + 1 : 0);
    for (std::size_t n = 0; n < groups_.size(); ++n)
      if (rules_.groups[n].states && groups_[n].geometry.rows_per_sequence == 2) kept_[n].resize(groups_[n].pages);
  }

  const Program& program() const { return program_; }

  Result<ForwardOutputs<Real>> run(const ForwardInputs& inputs) {
    if (rules_.patches != nullptr) return fail(ErrorCode::kBadRequest, "this program encodes images; it takes no tokens");
    PLIMSOLL_ASSIGN(pass_, check_inputs(inputs, program_, groups_, rules_, offsets_));
    tables_ = inputs.kv.groups;
    adapter_slots_ = inputs.adapters;
    encoded_ = inputs.encoded;
    PLIMSOLL_TRY(keep_states(inputs));
    if (program_.takes != kNoIndex) take(inputs.taken);
    PLIMSOLL_TRY(run_ops(program_.takes != kNoIndex && inputs.taken.of_model == nullptr ? program_.own_ops : 0));
    states_are_computed(inputs);
    const Rows<Real> logits = value(program_.logits);
    return ForwardOutputs<Real>{logits.data, logits.rows, logits.width, std::span(offsets_).first(pass_.sequences + 1)};
  }

  Result<std::uint64_t> run_idle() {
    if (program_.replicas == 1) return fail(ErrorCode::kBadRequest, "this program shares nothing with others; it has no idle passes");
    pass_ = {};
    PLIMSOLL_TRY(run_ops(0));
    return tokens_of_replicas_;
  }

  const Real* handed() const {
    return program_.hands_on == kNoIndex ? nullptr : static_cast<const Real*>(at(program_.values[program_.hands_on].offset_bytes));
  }

  Result<Rows<const Real>> encode(const EncoderInputs& inputs) {
    if (rules_.patches == nullptr) return fail(ErrorCode::kBadRequest, "this program encodes no images");
    PLIMSOLL_ASSIGN(pass_, check_image(inputs, program_, *rules_.patches));
    image_ = inputs.image;
    offsets_[0] = 0; // one segment
    offsets_[1] = static_cast<std::uint32_t>(pass_.tokens);
    pass_.row_offsets = offsets_.data();
    note_windows();
    PLIMSOLL_TRY(run_ops(0));
    const Rows<Real> rows = value(program_.logits);
    return Rows<const Real>{rows.data, rows.rows, rows.width};
  }

private:
  Result<void> run_ops(std::size_t first) {
    if (program_.replicas > 1) {
      PLIMSOLL_ASSIGN(tokens_of_replicas_, options_.communicator->begin_pass(pass_.tokens));
      if (tokens_of_replicas_ > program_.most_rows_of_replicas())
        return fail(ErrorCode::kBadRequest, fmt::format("a pass of {} tokens of all replicas; the plan is for {}", tokens_of_replicas_,
                                                        program_.most_rows_of_replicas()));
    }
    for (const ProgramOp& op : std::span(program_.ops).subspan(first))
      if (is_collective(op.kind)) PLIMSOLL_TRY(join(op));
      else if (rows_of(op.out) > 0) run_op(op);
    return backend_->synchronize();
  }

  // Where a sequence has two rows of a state, the second keeps what the first was before the last pass. Who goes on from there, because
  // what it computed was not accepted, or its pass failed, begins with it.
  template <class Each>
  void for_kept_states(const ForwardInputs& in, const Each& each) {
    for (std::size_t n = 0; n < groups_.size(); ++n) {
      if (!rules_.groups[n].states || in.kv.groups[n].rows_per_request != 2) continue;
      for (std::size_t b = 0; b < in.kv.batch; ++b) {
        const std::uint32_t* const rows = in.kv.groups[n].state_rows.data() + 2 * b;
        each(groups_[n], kept_[n][rows[0]], in.kv.cache_lengths[b], in.row_offsets[b + 1] - in.row_offsets[b], rows);
      }
    }
  }
  Result<void> keep_states(const ForwardInputs& in) {
    std::string wrong;
    for_kept_states(in, [&](const ExecutorKvGroup& group, const Kept& kept, std::uint64_t length, std::uint64_t, const std::uint32_t*) {
      if (length != 0 && kept.now != length && kept.before != length)
        wrong = fmt::format("a sequence goes on behind {} tokens, of which '{}' keeps no state", length, group.geometry.label);
    });
    if (!wrong.empty()) return fail(ErrorCode::kBadRequest, "a pass cannot be computed: " + wrong);
    for_kept_states(in, [&](const ExecutorKvGroup& group, Kept& kept, std::uint64_t length, std::uint64_t, const std::uint32_t* rows) {
      auto* const pool = static_cast<std::byte*>(group.pool);
      std::byte* const state = pool + rows[0] * group.page_stride_bytes;
      std::byte* const before = pool + rows[1] * group.page_stride_bytes;
      if (length != 0 && kept.now == length) backend_->copy(before, state, group.page_stride_bytes);
      else if (length != 0) backend_->copy(state, before, group.page_stride_bytes);
      kept = {length, kNoLength};
    });
    return {};
  }
  void states_are_computed(const ForwardInputs& in) {
    for_kept_states(in, [](const ExecutorKvGroup&, Kept& kept, std::uint64_t length, std::uint64_t tokens, const std::uint32_t*) {
      kept.now = length + tokens;
    });
  }

  // Rows of the model, or of the run before, to where the ops read them; those that lie one after another at once.
  void take(const TakenRows& taken) {
    const Rows<Real> to = value(taken.of_model != nullptr ? program_.takes_model : program_.takes);
    const auto* const from = static_cast<const Real*>(taken.of_model != nullptr ? taken.of_model : handed());
    for (std::size_t first = 0, end = 0; first < taken.rows.size(); first = end) {
      for (end = first + 1; end < taken.rows.size() && taken.rows[end] == taken.rows[end - 1] + 1;) ++end;
      backend_->copy(to.row(first), from + taken.rows[first] * to.width, (end - first) * to.width * sizeof(Real));
    }
  }

  // ---- operands

  std::uint64_t rows_of(std::uint32_t number) const {
    const ProgramValue& v = program_.values[number];
    return v.of_outputs ? pass_.outputs : v.of_replicas ? tokens_of_replicas_ : pass_.tokens;
  }
  Rows<Real> value(std::uint32_t number) const {
    const ProgramValue& v = program_.values[number];
    return {static_cast<Real*>(at(v.offset_bytes)), rows_of(number), v.width};
  }
  Rows<const Real> input(const ProgramOp& op, std::size_t n) const {
    if (op.in[n] == kNoIndex) return {};
    const Rows<Real> rows = value(op.in[n]);
    return {rows.data, rows.rows, rows.width};
  }
  // Offsets of a program count float32.
  void* at(std::uint64_t offset_bytes) const { return slab_ + offset_bytes / sizeof(float) * sizeof(Real); }

  Scratch scratch(const ProgramOp& op) const {
    std::uint64_t tile_bytes = program_.slab_bytes; // for double: behind all else
    if constexpr (std::is_same_v<Real, float>) {
      const std::uint64_t elements = scratch_elements(op, program_.weights, program_.adapters, most_scratch_rows(op, program_)).saturated();
      tile_bytes = op.scratch_offset_bytes + (elements - std::min(elements, kTileElements)) * sizeof(float);
    }
    return {at(op.scratch_offset_bytes), at(tile_bytes)};
  }

  const WeightTensor& tensor(const ProgramOp& op, std::size_t n) const { return program_.weights.tensors[op.weights[n]]; }
  Vector vector(const ProgramOp& op, std::size_t n) const {
    return op.weights[n] == kNoIndex ? Vector{} : vector_of(tensor(op, n), weights_[op.weights[n]]);
  }
  Matrix matrix(const ProgramOp& op, std::size_t n, std::uint64_t part) const {
    return matrix_of(tensor(op, n), weights_[op.weights[n]], part_of_matrix(tensor(op, n), part));
  }
  Vector bias(const ProgramOp& op, std::size_t n, std::uint64_t part) const {
    return op.weights[n] == kNoIndex ? Vector{} : vector_of(tensor(op, n), weights_[op.weights[n]], part_of_bias(tensor(op, n), part));
  }
  ExpertMatrices experts(const ProgramOp& op, std::size_t n) const {
    return op.weights[n] == kNoIndex ? ExpertMatrices{} : experts_of(tensor(op, n), weights_[op.weights[n]]);
  }

  KvView kv_view(const ProgramOp& op) const {
    const ExecutorKvGroup& group = groups_[op.kv_group];
    const KvPlace& place = group.layers[op.kv_layer];
    KvView kv;
    kv.pool = group.pool;
    kv.page_stride_bytes = group.page_stride_bytes;
    kv.page_tokens = group.geometry.page_tokens;
    kv.k_type = find_element_type(group.geometry.k_dtype).value_or(ElementType::kFloat32);
    kv.v_type = find_element_type(group.geometry.v_dtype).value_or(ElementType::kFloat32);
    kv.heads = group.geometry.kv_heads;
    kv.k_elements = group.geometry.k_elements;
    kv.v_elements = group.geometry.v_elements;
    kv.k_offset_bytes = place.offset_bytes;
    kv.v_offset_bytes = place.offset_bytes + kv.page_tokens * kv.heads * kv.k_elements * element_bytes(kv.k_type);
    kv.columns = tables_[op.kv_group].columns;
    kv.table = tables_[op.kv_group].table.data() + place.lane * pass_.sequences * kv.columns;
    return kv;
  }

  // `elements` of the region before those of the op do not count.
  StateView state_view(const ProgramOp& op, std::uint64_t region, std::uint64_t elements) const {
    const ExecutorKvGroup& group = groups_[op.kv_group];
    const StateRegionPlace place = region_of_state(group.geometry, region);
    return {group.pool,
            group.page_stride_bytes,
            group.layers[op.kv_layer].offset_bytes + place.offset_bytes + elements * element_bytes(place.type),
            place.type,
            tables_[op.kv_group].state_rows.data(),
            std::max<std::uint64_t>(tables_[op.kv_group].rows_per_request, 1)};
  }

  // ---- ops, with the operands of plimsoll/pipeline.h

  void run_op(const ProgramOp& op) {
    switch (op.kind) {
    case OpKind::kEmbed: return ops_.embed(pass_, {matrix(op, 0, kAllParts), op.i[0], tensor(op, 0).dims[0], op.f[0], value(op.out)});
    case OpKind::kNorm: return norm(op);
    case OpKind::kLinear:
      ops_.linear({input(op, 0), value(op.out), matrix(op, 0, op.i[0]), bias(op, 1, op.i[0]), op.f[0], op.accumulate, scratch(op)});
      return adapt(op);
    case OpKind::kRope: return rope(op);
    case OpKind::kAttend: return attend(op);
    case OpKind::kAttendLatent: return attend_latent(op);
    case OpKind::kAttendWhole: return attend_whole(op);
    case OpKind::kEmbedPosition:
      return ops_.embed_position(pass_, {matrix(op, 0, kAllParts), op.i[0], op.i[1], op.f[0], op.accumulate, value(op.out)});
    case OpKind::kPool: return ops_.pool(pass_, {input(op, 0), value(op.out), op.i[0]});
    case OpKind::kGate: return ops_.gate({input(op, 0), input(op, 1), value(op.out), op.i[0], op.f[0], op.f[1], op.accumulate});
    case OpKind::kRoute:
      return ops_.route({input(op, 0), value(op.out), matrix(op, 0, kAllParts), vector(op, 1), vector(op, 2), vector(op, 3), op.i[0],
                         op.i[1], op.i[2], op.i[3], op.i[4], op.i[6], op.i[5] != 0, op.f[0], scratch(op)});
    case OpKind::kExperts:
      return ops_.experts({input(op, 0),   input(op, 1),   value(op.out), experts(op, 0),
                           experts(op, 1), experts(op, 2), vector(op, 3), vector(op, 4),
                           vector(op, 5),  op.i[0],        op.i[1],       op.i[2],
                           op.i[3],        op.i[4],        op.i[5],       op.i[6] == 0 ? op.i[0] : op.i[6],
                           op.i[7] != 0,   op.f[0],        op.f[1],       op.accumulate,
                           scratch(op)});
    case OpKind::kLastRows: return ops_.last_rows(pass_, {input(op, 0), value(op.out), 1, op.accumulate});
    case OpKind::kAdd: return ops_.add({input(op, 0), value(op.out), op.f[0], op.accumulate});
    case OpKind::kScaleRows: return ops_.scale_rows({input(op, 0), input(op, 1), value(op.out), op.i[0], op.accumulate});
    case OpKind::kMultiply: return ops_.multiply_rows({input(op, 0), value(op.out), vector(op, 0), op.f[0]});
    case OpKind::kConv:
      return ops_.conv(pass_, {input(op, 0), value(op.out), taps_of(tensor(op, 0), weights_[op.weights[0]], op.i[0]), bias(op, 1, op.i[0]),
                               state_view(op, op.i[3], op.i[4] * (op.i[1] - 1)), op.i[1], op.i[2], scratch(op)});
    case OpKind::kSsmScan:
      return ops_.ssm_scan(pass_, {input(op, 0), input(op, 1), input(op, 2), input(op, 3), value(op.out), vector(op, 0), vector(op, 1),
                                   vector(op, 2), state_view(op, op.i[4], 0), op.i[0], op.i[1], op.i[2], op.i[3], op.i[5] != 0, op.f[0],
                                   op.f[1], scratch(op)});
    case OpKind::kColumns: return ops_.columns({input(op, 0), value(op.out), op.i[0], op.i[1], op.i[2], op.i[3]});
    case OpKind::kDeltaRule:
      return ops_.delta_rule(pass_, {input(op, 0), input(op, 1), input(op, 2), input(op, 3), input(op, 4), value(op.out), vector(op, 0),
                                     vector(op, 1), state_view(op, op.i[4], 0), op.i[0], op.i[1], op.i[2], op.i[3], op.i[5] != 0, op.f[0],
                                     op.f[1], scratch(op)});
    case OpKind::kPatches: return ops_.patches({image_, value(op.out), op.i[0], op.i[1], op.i[2], op.i[3], op.i[4]});
    case OpKind::kRopeSections: return rope_sections(op);
    case OpKind::kMergeRows: return ops_.merge_rows({input(op, 0), value(op.out), 1, false});
    case OpKind::kRowsInOrder: return put_in_order(op);
    case OpKind::kImageRows: return ops_.image_rows(pass_, {value(op.out), encoded_.data, encoded_.type});
    case OpKind::kJoin: return ops_.join(pass_, {input(op, 0), input(op, 1), value(op.out), op.i[0]});
    case OpKind::kSumSquares: return ops_.sum_squares({input(op, 0), value(op.out), 1, false});
    case OpKind::kNormOfSums:
      return ops_.norm_of_sums(
          {input(op, 0), value(op.out), vector(op, 0), vector(op, 1), 1, 0, op.i[1], op.i[0], false, op.i[2] != 0, op.f[0]}, input(op, 1));
    case OpKind::kAllReduce:
    case OpKind::kAllGather:
    case OpKind::kSend:
    case OpKind::kReceive:
    case OpKind::kGatherRows:
    case OpKind::kScatterSum: break; // see join
    }
  }

  // With the other ranks, which do the same.
  Result<void> join(const ProgramOp& op) {
    PLIMSOLL_TRY(backend_->synchronize());
    Communicator& others = *options_.communicator;
    switch (op.kind) {
    case OpKind::kAllGather: return others.all_gather(input(op, 0), value(op.out));
    case OpKind::kSend: return others.send(input(op, 0));
    case OpKind::kReceive: return others.receive(value(op.out));
    case OpKind::kGatherRows: return others.gather_rows(input(op, 0), value(op.out));
    case OpKind::kScatterSum: return others.scatter_sum(input(op, 0), value(op.out), op.accumulate);
    default: return others.all_reduce(input(op, 0), value(op.out), op.accumulate);
    }
  }

  // What the sequences' adapters add to a LINEAR.
  void adapt(const ProgramOp& op) {
    if (op.adapter == kNoIndex || adapter_slots_.empty()) return;
    const std::span<const std::uint32_t> rows =
        program_.values[op.out].of_outputs ? std::span<const std::uint32_t>(offsets_) : std::span(pass_.row_offsets, pass_.sequences + 1);
    add_adapters<Real>(ops_, program_.adapters, adapters_, program_.adapters.targets[op.adapter],
                       {input(op, 0), value(op.out), op.i[0], op.f[0], adapter_slots_, rows, scratch(op)});
  }

  void norm(const ProgramOp& op) {
    const HeadColumns of = norm_columns(op, program_.values[op.out].width);
    ops_.norm({input(op, 0), value(op.out), vector(op, 0), vector(op, 1), of.heads, of.stride, of.first, of.columns, op.i[4] != 0,
               op.i[5] != 0, op.f[0]});
  }

  RopeArgs<Real> rope_args(const ProgramOp& op, bool interleaved) const {
    const ProgramRope& table = program_.ropes[static_cast<std::size_t>(op.i[5])];
    return {value(op.out),          op.i[0],    op.i[1], op.i[2], op.i[3], interleaved, table.inverse_frequencies.data(),
            table.attention_factor, scratch(op)};
  }
  void rope(const ProgramOp& op) { ops_.rope(pass_, rope_args(op, op.i[4] != 0)); }
  void rope_sections(const ProgramOp& op) {
    const bool in_turn = op.i[4] != 0;
    const std::uint64_t third = op.i[3] / 2 - op.i[6] - op.i[7];
    ops_.rope_sections(pass_, {rope_args(op, false), in_turn, op.i[7], third});
  }

  void attend(const ProgramOp& op) {
    const KvView kv = kv_view(op);
    if (op.in[1] != kNoIndex) ops_.store(pass_, {input(op, 1), input(op, 2), kv});
    ops_.attend(pass_, {input(op, 0),
                        value(op.out),
                        kv,
                        vector(op, 0),
                        op.i[0],
                        {op.i[4], op.i[5], 0},
                        op.f[0],
                        op.f[1],
                        {op.i[6], op.f[2]},
                        {op.f[3], op.first_head, op.all_heads},
                        op.accumulate,
                        scratch(op)});
  }

  void attend_whole(const ProgramOp& op) {
    const bool apart = op.i[5] != 0;
    ops_.attend_whole({input(op, 0), input(op, 1), input(op, 2), value(op.out), apart ? windows_.data() : pass_.row_offsets,
                       apart ? windows_.size() - 1 : pass_.sequences, op.i[0], op.i[1], op.i[2], op.i[3], op.i[4], op.f[0], op.f[1],
                       op.accumulate, scratch(op)});
  }

  // Blocks of the image that is encoded, and of a window's side.
  struct Blocks {
    std::uint64_t rows = 0, columns = 0, window = 0;
  };
  Blocks blocks() const {
    const ProgramOp& patches = *rules_.patches;
    const std::uint64_t block = patches.i[2] * patches.i[3]; // pixels
    return {image_.height / block, image_.width / block, patches.i[4]};
  }
  // Where each window's patches begin, and where the last one's end.
  void note_windows() {
    const Blocks of = blocks();
    windows_.assign(1, 0);
    if (of.window == 0) return;
    const auto patches = static_cast<std::uint32_t>(rules_.patches->i[3] * rules_.patches->i[3]);
    for_windows(of.rows, of.columns, of.window, [&](std::uint64_t y, std::uint64_t x, std::uint64_t end_y, std::uint64_t end_x) {
      windows_.push_back(windows_.back() + static_cast<std::uint32_t>((end_y - y) * (end_x - x)) * patches);
    });
  }
  // Rows that lie side by side in a window do so in the image.
  void put_in_order(const ProgramOp& op) {
    const Blocks of = blocks();
    const Rows<const Real> from = input(op, 0);
    const Rows<Real> to = value(op.out);
    std::uint64_t row = 0;
    for_windows(of.rows, of.columns, of.window, [&](std::uint64_t first_y, std::uint64_t x, std::uint64_t end_y, std::uint64_t end_x) {
      for (std::uint64_t y = first_y; y < end_y; ++y) {
        backend_->copy(to.row(y * of.columns + x), from.row(row), (end_x - x) * to.width * sizeof(Real));
        row += end_x - x;
      }
    });
  }

  void attend_latent(const ProgramOp& op) {
    const KvView kv = kv_view(op);
    ops_.store(pass_, {input(op, 1), {}, kv});
    ops_.attend_latent(pass_, {input(op, 0), value(op.out), kv, matrix(op, 0, kAllParts), op.i[0], op.i[1], op.i[2], op.i[3], op.i[4],
                               op.f[0], op.accumulate, options_.latent == LatentAttention::kAbsorbed, scratch(op)});
  }

  Program program_;
  std::shared_ptr<Backend> backend_;
  Ops<Real>& ops_;
  std::vector<const void*> weights_;
  std::vector<ExecutorKvGroup> groups_;
  InputRules rules_;
  std::byte* slab_;
  ExecutorAdapters adapters_;
  ExecutorOptions options_;
  std::vector<std::uint32_t> offsets_;
  std::vector<std::uint32_t> windows_; // of the image that is encoded
  static constexpr std::uint64_t kNoLength = UINT64_MAX;
  // By the first row of a sequence: the tokens that it was the state of before the last pass, and is behind it.
  struct Kept {
    std::uint64_t before = kNoLength, now = kNoLength;
  };
  std::vector<std::vector<Kept>> kept_; // of each group

  PassView pass_; // of the pass that runs
  std::uint64_t tokens_of_replicas_ = 0;
  std::span<const KvGroupInputs> tables_;
  std::span<const std::int32_t> adapter_slots_;
  EncodedRows encoded_;
  ImageView image_;
};

template <class Real>
std::uint64_t Executor<Real>::slab_bytes(const Program& program) {
  if constexpr (std::is_same_v<Real, float>) return program.slab_bytes;
  const Checked elements = Checked(program.slab_bytes / sizeof(float)) + kTileElements;
  return (elements * sizeof(Real)).saturated();
}

template <class Real>
Result<Executor<Real>> Executor<Real>::create(Program program, std::shared_ptr<Backend> backend, std::span<const void* const> weights,
                                              std::vector<ExecutorKvGroup> groups, const ExecutorMemory& memory,
                                              const ExecutorOptions& options) {
  PLIMSOLL_TRY(check_program(program, weights, groups));
  const bool joins = std::any_of(program.ops.begin(), program.ops.end(), [](const ProgramOp& op) { return is_collective(op.kind); });
  const Communicator* const others = options.communicator;
  if ((joins || program.replicas > 1) &&
      (others == nullptr || others->ranks() != program.tensor_ranks || (program.replicas > 1 && others->replicas() != program.replicas)))
    return fail(ErrorCode::kBadRequest, fmt::format("the program is one of {} ranks that join their results, in {} replicas that share "
                                                    "experts; they need a communicator of so many",
                                                    program.tensor_ranks, program.replicas));
  if (std::string wrong = wrong_adapters(program, memory.adapters); !wrong.empty())
    return fail(ErrorCode::kBadRequest, "this program cannot be executed: " + wrong);
  if (memory.slab == nullptr || std::bit_cast<std::uintptr_t>(memory.slab) % kSlabAlignmentBytes != 0 ||
      memory.slab_bytes < slab_bytes(program))
    return fail(ErrorCode::kBadRequest, fmt::format("a slab of {} B; the program needs {} B at a multiple of {}", memory.slab_bytes,
                                                    slab_bytes(program), kSlabAlignmentBytes));
  return Executor(std::make_unique<Impl>(std::move(program), std::move(backend), weights, std::move(groups), memory, options));
}

template <class Real>
Executor<Real>::Executor(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
template <class Real>
Executor<Real>::Executor(Executor&&) noexcept = default;
template <class Real>
Executor<Real>& Executor<Real>::operator=(Executor&&) noexcept = default;
template <class Real>
Executor<Real>::~Executor() = default;

template <class Real>
Result<ForwardOutputs<Real>> Executor<Real>::run(const ForwardInputs& inputs) {
  return impl_->run(inputs);
}

template <class Real>
Result<std::uint64_t> Executor<Real>::run_idle() {
  return impl_->run_idle();
}

template <class Real>
Result<Rows<const Real>> Executor<Real>::encode(const EncoderInputs& inputs) {
  return impl_->encode(inputs);
}

template <class Real>
const Real* Executor<Real>::handed() const {
  return impl_->handed();
}

template <class Real>
const Program& Executor<Real>::program() const {
  return impl_->program();
}

template class Executor<float>;
template class Executor<double>;

} // namespace plimsoll
