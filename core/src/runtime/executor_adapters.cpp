#include "runtime/executor_adapters.hpp"

#include <algorithm>
#include <bit>
#include <fmt/format.h>

#include "base/checked.hpp"
#include "runtime/executor_weights.hpp"
#include "runtime/op_check.hpp"
#include "schedule/scratch_layout.hpp"

namespace plimsoll {
namespace {

std::string wrong_target(const AdapterTarget& target, const AdapterSlots& slots) {
  if (target.in == 0 && target.out() == 0 && !target.parts.empty() &&
      (Checked(target.first_part) + target.parts.size()).saturated() <= slots.parts)
    return {}; // of another stage; no op has it
  Checked rows = 0;
  for (const std::uint64_t part : target.parts) rows += part;
  const Checked a = Checked(target.a_offset_elements) + Checked(slots.max_rank) * target.in * target.parts.size();
  const Checked b = Checked(target.b_offset_elements) + Checked(slots.max_rank) * rows;
  if (target.parts.empty() || target.in == 0 || target.in > kMostExtent || rows.saturated() > kMostExtent ||
      a.saturated() > slots.slot_elements || b.saturated() > slots.slot_elements ||
      (Checked(target.first_part) + target.parts.size()).saturated() > slots.parts)
    return fmt::format("adapters of '{}' reach beyond their slot", target.label);
  return {};
}

std::string wrong_op(const ProgramOp& op, const Program& program) {
  if (op.adapter == kNoIndex) return {};
  if (op.kind != OpKind::kLinear || op.adapter >= program.adapters.targets.size()) return "an op has adapters that are not there";
  const AdapterTarget& target = program.adapters.targets[op.adapter];
  const WeightTensor& weight = program.weights.tensors[op.weights[0]];
  const PartRange whole = part_of_matrix(weight, kAllParts);
  const bool alike = weight.parts.empty() ? target.parts.size() == 1 : weight.parts == target.parts;
  if (!alike || weight.dims[weight.in_dim] != target.in || whole.n != target.out())
    return fmt::format("adapters of '{}' have other shapes than it", weight.label);
  return {};
}

} // namespace

std::string wrong_adapters(const Program& program, const ExecutorAdapters& memory) {
  const AdapterSlots& slots = program.adapters;
  const auto type = find_element_type(slots.dtype);
  if (slots.slots > 0) {
    if (type != ElementType::kFloat32 && type != ElementType::kBfloat16 && type != ElementType::kFloat16)
      return fmt::format("adapters of type '{}'; float32, bfloat16 and float16 can be computed with", slots.dtype);
    const Checked bytes = Checked(slots.slots) * slots.slot_elements * element_bytes(*type);
    if (slots.max_rank == 0 || slots.max_rank > kMostExtent || slots.slots > kMostExtent || bytes.saturated() > memory.bytes ||
        memory.data == nullptr || std::bit_cast<std::uintptr_t>(memory.data) % element_bytes(*type) != 0 ||
        memory.factors.size() != (Checked(slots.slots) * slots.parts).saturated())
      return fmt::format("{} B for {} slots of adapters, which need {} B", memory.bytes, slots.slots, bytes.saturated());
    for (const AdapterTarget& target : slots.targets)
      if (std::string wrong = wrong_target(target, slots); !wrong.empty()) return wrong;
  }
  for (const ProgramOp& op : program.ops)
    if (std::string wrong = wrong_op(op, program); !wrong.empty()) return wrong;
  return {};
}

template <class Real>
void add_adapters(Ops<Real>& ops, const AdapterSlots& slots, const ExecutorAdapters& memory, const AdapterTarget& target,
                  const AdapterRows<Real>& rows) {
  const ElementType type = find_element_type(slots.dtype).value_or(ElementType::kFloat32);
  const auto at = [&](std::uint64_t slot, std::uint64_t element) {
    return static_cast<const std::byte*>(memory.data) + (slot * slots.slot_elements + element) * element_bytes(type);
  };
  // One part of rows [begin, end), into columns of `out` from `column` on.
  const auto add_part = [&](std::uint64_t slot, std::uint64_t part, std::uint64_t row_of_b, std::uint64_t column, std::uint64_t begin,
                            std::uint64_t end) {
    const AdapterFactor& factor = memory.factors[slot * slots.parts + target.first_part + part];
    const std::uint64_t rank = std::min(factor.rank, slots.max_rank);
    if (rank == 0) return;
    const Matrix a{at(slot, target.a_offset_elements + part * slots.max_rank * target.in), type, rank, target.in, target.in, false};
    const Matrix b{at(slot, target.b_offset_elements + row_of_b * slots.max_rank), type, target.parts[part], rank, slots.max_rank, false};
    auto* const down = static_cast<Real*>(rows.scratch.data);
    for (std::uint64_t row = begin; row < end; row += kAdapterRows) {
      const std::uint64_t n = std::min(kAdapterRows, end - row);
      ops.linear({{rows.x.row(row), n, rows.x.width}, {down, n, rank}, a, {}, 1, false, rows.scratch});
      ops.linear({{down, n, rank}, {rows.out.row(row) + column, n, rows.out.width}, b, {}, rows.scale * factor.scale, true, rows.scratch});
    }
  };
  for (std::size_t b = 0; b < rows.slots.size();) {
    std::size_t next = b + 1;
    while (next < rows.slots.size() && rows.slots[next] == rows.slots[b]) ++next;
    if (rows.slots[b] >= 0) {
      std::uint64_t row_of_b = 0;
      for (std::uint64_t part = 0; part < target.parts.size(); ++part) {
        const bool alone = rows.part != kAllParts;
        if (!alone || part == rows.part)
          add_part(static_cast<std::uint64_t>(rows.slots[b]), part, row_of_b, alone ? 0 : row_of_b, rows.offsets[b], rows.offsets[next]);
        row_of_b += target.parts[part];
      }
    }
    b = next;
  }
}

template void add_adapters(Ops<float>&, const AdapterSlots&, const ExecutorAdapters&, const AdapterTarget&, const AdapterRows<float>&);
template void add_adapters(Ops<double>&, const AdapterSlots&, const ExecutorAdapters&, const AdapterTarget&, const AdapterRows<double>&);

} // namespace plimsoll
