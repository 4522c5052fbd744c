#include "schedule/scratch.hpp"

#include "schedule/scratch_layout.hpp"

namespace plimsoll {

Result<std::uint64_t> scratch_bytes(const ProgramOp& op, const WeightSources& weights, const AdapterSlots& adapters, std::uint64_t rows) {
  for (const std::uint32_t weight : op.weights)
    if (weight != kNoIndex && weight >= weights.tensors.size()) return fail(ErrorCode::kInternal, "an op names a weight that is not there");
  return (scratch_elements(op, weights, adapters, rows) * sizeof(float)).get("the scratch memory of an op");
}

} // namespace plimsoll
