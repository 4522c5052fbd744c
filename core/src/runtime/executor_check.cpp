#include "runtime/executor_check.hpp"

#include <algorithm>
#include <bit>
#include <fmt/format.h>

#include "plimsoll/limits.hpp"
#include "runtime/executor_weights.hpp"
#include "runtime/op_check.hpp"
#include "schedule/scratch_layout.hpp"

namespace plimsoll {
namespace {

constexpr std::uint64_t kAlignmentBytes = 64;

// Checks one op after another; keeps the first thing that is wrong.
class ProgramCheck {
public:
  ProgramCheck(const Program& program, std::span<const void* const> weights, std::span<const ExecutorKvGroup> groups)
      : program_(program), weights_(weights), groups_(groups) {}

  Result<void> run() {
    check_sizes();
    for (std::size_t n = 0; n < program_.weights.tensors.size() && wrong_.empty(); ++n) check_weight(n);
    for (std::size_t n = 0; n < groups_.size() && wrong_.empty(); ++n) check_group(groups_[n]);
    for (std::size_t n = 0; n < program_.ops.size() && wrong_.empty(); ++n) {
      check_op(program_.ops[n]);
      if (!wrong_.empty()) wrong_ = fmt::format("op {}: {}", n, wrong_);
    }
    if (wrong_.empty()) return {};
    return fail(ErrorCode::kBadRequest, "this program cannot be executed: " + wrong_);
  }

private:
  // False, and says what is wrong.
  template <class... Args>
  bool wrong(fmt::format_string<Args...> text, Args&&... args) {
    if (wrong_.empty()) wrong_ = fmt::format(text, std::forward<Args>(args)...);
    return false;
  }

  static bool aligned(const void* address, ElementType type) { return std::bit_cast<std::uintptr_t>(address) % element_bytes(type) == 0; }

  void check_sizes() {
    const Program& p = program_;
    if (p.most_tokens == 0 || p.most_tokens > kMostExtent || p.most_sequences > kMostExtent)
      wrong("passes of {} tokens and {} sequences", p.most_tokens, p.most_sequences);
    if (p.replicas == 0 || p.replicas > kMaxRanks) wrong("{} replicas", p.replicas);
    if (weights_.size() != p.weights.tensors.size()) wrong("{} weights for {} tensors", weights_.size(), p.weights.tensors.size());
    if (p.logits >= p.values.size() || !p.values[p.logits].of_outputs) wrong("its logits are no value of outputs");
    for (const std::uint32_t value : {p.hands_on, p.takes_model, p.takes})
      if (value != kNoIndex &&
          (value >= p.values.size() || p.values[value].of_outputs || p.values[value].width != p.hidden_elements ||
           (Checked(p.most_tokens) * p.hidden_elements * sizeof(float) + p.values[value].offset_bytes).saturated() > p.slab_bytes))
        wrong("what it takes or hands on is no value of hidden states");
    if ((p.takes == kNoIndex) != (p.takes_model == kNoIndex) || (p.takes != kNoIndex && p.hands_on == kNoIndex) || p.own_ops > p.ops.size())
      wrong("it takes hidden states and hands none on, or begins behind its ops");
    for (const ProgramRope& rope : p.ropes)
      if (rope.inverse_frequencies.empty()) wrong("a table without frequencies");
  }

  void check_weight(std::size_t n) {
    const WeightTensor& tensor = program_.weights.tensors[n];
    const std::optional<ElementType> type = find_element_type(tensor.dtype);
    if (type != ElementType::kFloat32 && type != ElementType::kBfloat16 && type != ElementType::kFloat16)
      return void(wrong("'{}' is of type '{}'; float32, bfloat16 and float16 can be computed with", tensor.label, tensor.dtype));
    for (const std::uint64_t extent : tensor.dims)
      if (extent == 0 || extent > kMostExtent) return void(wrong("'{}' has an extent of {}", tensor.label, extent));
    const Checked bytes = Checked(elements_of_all(tensor)) * element_bytes(*type);
    if (bytes.overflowed() || bytes.value() != tensor.bytes)
      return void(wrong("'{}' has {} B, its shape {} B", tensor.label, tensor.bytes, bytes.saturated()));
    if (weights_[n] == nullptr || !aligned(weights_[n], *type)) wrong("'{}' is not in memory, or at an odd address", tensor.label);
  }

  void check_group(const ExecutorKvGroup& group) {
    const KvGroupGeometry& g = group.geometry;
    if (group.layers.empty()) return; // nothing attends here
    if (g.kind == CacheKind::kState) return check_states(group);
    const auto k = find_element_type(g.k_dtype), v = find_element_type(g.v_dtype);
    if (g.page_tokens == 0 || !k || (!v && g.v_elements != 0)) return void(wrong("KV group '{}' is no paged one of plain types", g.label));
    for (const auto type : {k, v})
      if (type && type != ElementType::kFloat32 && type != ElementType::kBfloat16 && type != ElementType::kFloat16)
        return void(wrong("KV group '{}' keeps '{}' and '{}'; give float32, bfloat16 or float16", g.label, g.k_dtype, g.v_dtype));
    const std::uint64_t k_bytes = element_bytes(*k), v_bytes = v ? element_bytes(*v) : 1;
    const Checked keys = Checked(g.page_tokens) * g.kv_heads * g.k_elements * k_bytes;
    const Checked layer = keys + Checked(g.page_tokens) * g.kv_heads * g.v_elements * v_bytes;
    if (layer.overflowed() || !g.record.empty()) return void(wrong("the KV group '{}' keeps what no op here reads", g.label));
    for (const KvPlace& place : group.layers)
      if (place.bytes < layer.value() || (Checked(place.offset_bytes) + layer).saturated() > group.page_stride_bytes ||
          place.offset_bytes % k_bytes != 0 || (place.offset_bytes + keys.value()) % v_bytes != 0)
        return void(wrong("KV group '{}': a layer of {} B at {} + {} of a page of {} B", g.label, layer.value(), place.offset_bytes,
                          place.bytes, group.page_stride_bytes));
    check_pool(group, std::max(k_bytes, v_bytes));
  }

  void check_states(const ExecutorKvGroup& group) {
    const KvGroupGeometry& g = group.geometry;
    if (g.rows_per_sequence == 0 || g.rows_per_sequence > 2 || g.regions.empty())
      return void(wrong("KV group '{}' has {} rows for a sequence, {} regions; one row of some, or two, was expected", g.label,
                        g.rows_per_sequence, g.regions.size()));
    std::uint64_t bytes = 0, alignment = 1;
    for (std::size_t n = 0; n < g.regions.size(); ++n) {
      const StateRegionPlace place = region_of_state(g, n);
      if (!place.known)
        return void(wrong("KV group '{}' keeps {} elements of '{}'; give float32, bfloat16 or float16", g.label, g.regions[n].elements,
                          g.regions[n].dtype));
      alignment = std::max(alignment, element_bytes(place.type));
      bytes = place.offset_bytes + place.elements * element_bytes(place.type);
    }
    for (const KvPlace& place : group.layers)
      if (place.lane != 0 || place.bytes < bytes || (Checked(place.offset_bytes) + bytes).saturated() > group.page_stride_bytes ||
          place.offset_bytes % alignment != 0)
        return void(wrong("KV group '{}': a layer's state of {} B at {} + {} of a row of {} B", g.label, bytes, place.offset_bytes,
                          place.bytes, group.page_stride_bytes));
    check_pool(group, alignment);
  }
  void check_pool(const ExecutorKvGroup& group, std::uint64_t alignment) {
    if (group.page_stride_bytes % alignment != 0 || (Checked(group.pages) * group.page_stride_bytes).overflowed())
      return void(wrong("KV group '{}': {} pages of {} B", group.geometry.label, group.pages, group.page_stride_bytes));
    if (group.pages != 0 && (group.pool == nullptr || !aligned(group.pool, ElementType::kFloat32)))
      wrong("the KV group '{}' has no pool, or one at an odd address", group.geometry.label);
  }

  void check_op(const ProgramOp& op) {
    wrong_ = wrong_operands(op, program_, groups_);
    if (!wrong_.empty()) return;
    const std::uint64_t rows = most_scratch_rows(op, program_);
    const Checked needed = scratch_elements(op, program_.weights, program_.adapters, rows) * sizeof(float);
    if (needed.saturated() > op.scratch_bytes || op.scratch_offset_bytes % kAlignmentBytes != 0 ||
        (op.scratch_bytes != 0 && (Checked(op.scratch_offset_bytes) + op.scratch_bytes).saturated() > program_.slab_bytes))
      wrong("{} B of scratch at {} of a slab of {} B, where {} B are needed", op.scratch_bytes, op.scratch_offset_bytes,
            program_.slab_bytes, needed.saturated());
  }

  const Program& program_;
  std::span<const void* const> weights_;
  std::span<const ExecutorKvGroup> groups_;
  std::string wrong_;
};

} // namespace

Result<void> check_program(const Program& program, std::span<const void* const> weights, std::span<const ExecutorKvGroup> groups) {
  return ProgramCheck(program, weights, groups).run();
}

} // namespace plimsoll
