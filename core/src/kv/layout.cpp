#include "kv/layout.hpp"

#include "kv/layouts/cells.hpp"
#include "kv/layouts/grouped.hpp"
#include "kv/layouts/split.hpp"
#include "kv/layouts/unified.hpp"

namespace plimsoll {

Wide KvLayout::least_room_bytes(std::uint64_t length, const KvDemand& demand) const {
  const auto suffices = [&](Wide room) {
    return longest_request_tokens(room, demand.sequences).value_or(0) >= length && cut(room, demand, kWideMax).fits;
  };
  Wide high = 1;
  while (high < kBeyondAnyMemory && !suffices(high)) high *= 2;
  Wide low = high / 2; // does not suffice, or is 0
  while (high - low > 1) {
    const Wide middle = low + (high - low) / 2;
    if (suffices(middle)) high = middle;
    else low = middle;
  }
  return high;
}

std::unique_ptr<KvLayout> make_kv_layout(const KvLayoutInput& input) {
  switch (input.rules->layout) {
  case KvLayoutKind::kUnified: return make_unified_layout(input);
  case KvLayoutKind::kSplit: return make_split_layout(input);
  case KvLayoutKind::kCells: return make_cells_layout(input);
  case KvLayoutKind::kGrouped: break;
  }
  return make_grouped_layout(input);
}

} // namespace plimsoll
