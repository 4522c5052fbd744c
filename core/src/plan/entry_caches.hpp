// The caches of encoded media of a plan: finished rows of images, film and sound, out of what the KV cache could have. Entries whose rows
// are alike share one cache. Threads: one plan, one thread.
#pragma once

#include <vector>

#include "plan/ledger.hpp"
#include "plan/settled.hpp"

namespace plimsoll {

// Adds their bytes to the ledger, which holds everything but the KV cache, and says in the plan what they hold.
Result<void> plan_entry_caches(const Settled& settled, Ledger& ledger, Findings& findings, Plan& plan);

// The type of a row: as the model or the request types it, or as our own runtime computes it.
Dtype row_type_of(const Settled& settled, const MediaEntry& entry);
// Bytes of a row.
Result<std::uint64_t> row_bytes_of(const Settled& settled, const MediaEntry& entry);

// Every entry as the plan shows it, with nothing cached yet; its largest one's bytes stand beside them.
Result<void> describe_entries(const Settled& settled, Plan& plan);

} // namespace plimsoll
