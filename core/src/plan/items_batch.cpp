#include "plan/items_batch.hpp"

#include <algorithm>

#include "kv/layout.hpp"
#include "plan/kv_cache.hpp"
#include "plan/price_items.hpp"

namespace plimsoll {
namespace {

// Remembers in one number what planners emit, and whether some of it is of each request.
class Fingerprint : public Collector {
public:
  Result<void> on_item(const PlannerNode&, const plimsoll_item& item) override {
    if (!PLIMSOLL_HAS(&item, plimsoll_item, bytes)) return {}; // refused when it is priced
    of_requests_ = of_requests_ || (item.lifetime == PLIMSOLL_PER_REQUEST && item.bytes != 0);
    for (const std::uint64_t value : {item.bytes, std::uint64_t{item.rank}, std::uint64_t{item.lifetime}, std::uint64_t{item.category}})
      value_ = (value_ ^ value) * 0x100000001b3ULL;
    return {};
  }
  bool of_requests() const { return of_requests_; }
  std::uint64_t value() const { return value_; }

private:
  std::uint64_t value_ = 0xcbf29ce484222325ULL;
  bool of_requests_ = false;
};

Result<bool> depend_on_batch(const Settled& s, std::uint64_t most, const Ledger& ledger) {
  Fingerprint few, many;
  PLIMSOLL_TRY(emit_items(s, 1, ledger, few));
  if (few.of_requests()) return true;
  PLIMSOLL_TRY(emit_items(s, most, ledger, many));
  return many.of_requests() || few.value() != many.value();
}

} // namespace

Result<std::uint64_t> batch_of_items(const Settled& s, std::optional<std::uint64_t> planned, const Ledger& ledger,
                                     const std::function<Result<TriedBatch>(std::uint64_t)>& attempt) {
  if (planned) return *planned;
  const std::uint64_t most = kv_wish(s, std::nullopt).most_requests;
  PLIMSOLL_ASSIGN(const bool depends, depend_on_batch(s, most, ledger));
  if (!depends) return most;
  PLIMSOLL_ASSIGN(const TriedBatch one, attempt(1));
  if (!one.fits) return 1;
  std::optional<Error> failed;
  const std::uint64_t found = largest(most, [&](std::uint64_t requests) {
    if (requests <= 1 || failed) return requests <= 1;
    const Result<TriedBatch> tried = attempt(requests);
    if (!tried) failed = tried.error();
    return tried && tried->fits && tried->requests >= requests && tried->max_length >= one.max_length;
  });
  if (failed) return tl::unexpected(std::move(*failed));
  return std::max<std::uint64_t>(1, found);
}

} // namespace plimsoll
