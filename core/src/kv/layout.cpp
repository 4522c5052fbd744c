#include "kv/layout.hpp"

#include "kv/layouts/cells.hpp"
#include "kv/layouts/grouped.hpp"
#include "kv/layouts/split.hpp"
#include "kv/layouts/unified.hpp"

namespace plimsoll {

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
