#include "schedule/scratch.hpp"

#include <algorithm>

#include "schedule/scratch_layout.hpp"

namespace plimsoll {
namespace {

// Whether a weight is read through the tile: kernels compute in float32.
bool converted(const ProgramOp& op, const WeightSources& weights, std::size_t n) {
  return op.weights[n] != kNone && weights.tensors[op.weights[n]].dtype != "float32";
}

Checked tile_of(const ProgramOp& op, const WeightSources& weights, std::size_t n_matrices) {
  for (std::size_t n = 0; n < n_matrices; ++n)
    if (converted(op, weights, n)) return kTileElements;
  return 0;
}

// Elements of a row that an expert gives, which are those that it reads.
std::uint64_t expert_width(const ProgramOp& op, const WeightSources& weights) {
  if (op.weights[2] == kNone) return 0;
  const WeightTensor& down = weights.tensors[op.weights[2]];
  return down.dims.size() == 2 && down.in_dim < 2 ? down.dims[1 - down.in_dim] : 0;
}

Checked elements_of(const ProgramOp& op, const WeightSources& weights, const PassShape& shape) {
  switch (op.kind) {
  case OpKind::kLinear: return tile_of(op, weights, 1);
  case OpKind::kRope: return rope_scratch_elements(op.i);
  case OpKind::kAttend: return attend_scratch(op.i, shape.tokens).elements;
  case OpKind::kAttendLatent: {
    const Checked absorbed = absorbed_scratch(op.i, shape.tokens).elements, expanded = expanded_scratch(op.i, shape.tokens).elements;
    return (absorbed.saturated() > expanded.saturated() ? absorbed : expanded) + tile_of(op, weights, 1);
  }
  case OpKind::kRoute: return route_scratch(op.i, shape.tokens).elements + tile_of(op, weights, 1);
  case OpKind::kExperts: return expert_scratch(op.i, shape.tokens, expert_width(op, weights)).elements + tile_of(op, weights, 3);
  case OpKind::kEmbed:
  case OpKind::kNorm:
  case OpKind::kGate:
  case OpKind::kLastRows:
  case OpKind::kAdd:
  case OpKind::kScaleRows: break;
  }
  return 0;
}

} // namespace

Result<std::uint64_t> scratch_bytes(const ProgramOp& op, const WeightSources& weights, const PassShape& shape) {
  for (const std::uint32_t weight : op.weights)
    if (weight != kNone && weight >= weights.tensors.size()) return fail(ErrorCode::kInternal, "an op names a weight that is not there");
  return (elements_of(op, weights, shape) * sizeof(float)).get("the scratch memory of an op");
}

Result<std::uint64_t> pass_table_bytes(const PassShape& shape, std::span<const KvTableShape> tables) {
  ScratchCutter cutter;
  cutter.cut(shape.tokens);
  cutter.cut(Checked(shape.sequences) + 1);
  cutter.cut(shape.sequences);
  cutter.cut(shape.outputs);
  for (const KvTableShape& table : tables) {
    if (table.page_tokens == 0) return fail(ErrorCode::kBadConfig, "a page table of pages without tokens");
    cutter.cut(Checked(table.lanes) * shape.sequences * ceil_div(shape.context_tokens, table.page_tokens));
  }
  return (cutter.end() * sizeof(std::uint32_t)).get("the page tables of a pass");
}

} // namespace plimsoll
