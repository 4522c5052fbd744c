// All shards of a safetensors checkpoint: on one thread or two, compared with the index and with one another.
// Threads: starts its own and joins them before it returns.
#pragma once

#include "checkpoint/checkpoint.hpp"

namespace plimsoll {

Result<CheckpointTotals> scan_safetensors(const ModelFiles& files, const VisitorOfWorker& visitor_of_worker, unsigned workers);

} // namespace plimsoll
