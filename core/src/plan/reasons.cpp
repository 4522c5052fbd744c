// See reasons.hpp.
#include "plan/reasons.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <string>
#include <string_view>
#include <utility>

#include "base/checked.hpp"
#include "base/human.hpp"
#include "plan/gate.hpp"
#include "plan/refusals.hpp"

namespace plimsoll {
namespace {

// Adds the limit where it is broken; `what` needs the bytes, `of` names where they would have to be.
void add_broken(std::vector<BrokenLimit>& out, std::string_view limit, std::uint64_t needed, std::uint64_t has, std::string_view what,
                std::string_view of) {
  if (needed <= has) return;
  out.push_back({std::string(limit), has, needed,
                 fmt::format("{} {} of {} {}: {} short", what, human_bytes(needed), human_bytes(has), of, human_bytes(needed - has))});
}

std::vector<BrokenLimit> of_rank(const Settled& s, std::uint64_t sequences, const Ledger& ledger, Wide kv_room, std::uint32_t rank) {
  std::vector<BrokenLimit> out;
  const std::uint64_t free = s.devices()[rank].free_bytes, used = ledger.used(rank), kv = ledger.sum(Category::kKvCache, rank);
  add_broken(out, "free_to_start", free_to_start(s, rank), free, fmt::format("{} starts with", s.profile().name), "free");
  add_broken(out, "budget", used - kv, s.budget_bytes[rank], "weights and all else but the KV cache need", "in the budget");
  add_broken(out, "kv_cache", kv, bounded_count(std::max<Wide>(0, kv_room)), "the KV cache needs", "left for it");
  add_broken(out, "free_memory", used, free, "all parts need", "free");
  const std::uint64_t beside = outside_bytes(s, sequences, rank);
  if (beside > 0)
    add_broken(out, "beside_fraction", (Checked(used) + beside).saturated(), free,
               fmt::format("with {} beside its fraction {} needs", human_bytes(beside), s.profile().name), "free");
  return out;
}

} // namespace

std::vector<std::vector<BrokenLimit>> broken_limits(const Settled& s, std::uint64_t sequences, const Ledger& ledger,
                                                    const std::vector<Wide>& kv_rooms) {
  std::vector<std::vector<BrokenLimit>> out(s.layout.ranks());
  for (std::uint32_t rank = 0; rank < s.layout.ranks(); ++rank) out[rank] = of_rank(s, sequences, ledger, kv_rooms[rank], rank);
  return out;
}

std::vector<BrokenLimit> broken_host_limits(std::uint64_t has_bytes, const Ledger& ledger) {
  std::vector<BrokenLimit> out;
  add_broken(out, "host_memory", ledger.host_bytes(), has_bytes, "what lies in host memory needs", "there (--host)");
  return out;
}

} // namespace plimsoll
