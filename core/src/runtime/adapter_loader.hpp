// Reads the matrices of a LoRA adapter out of its file (or draws them): once to know them again, and whenever the adapter gets a slot. What
// was read is held against the hash of the first time, so a file that changed meanwhile is an error and never an adapter that nobody
// checked. Takes a buffer of a fixed size. Threads: plain functions.
#pragma once

#include "backend/backend.hpp"
#include "plimsoll/adapters.hpp"
#include "plimsoll/kv_cache.hpp"
#include "plimsoll/result.hpp"

namespace plimsoll {

// Of the largest rank for every part of every target; its elements are drawn from the seed.
AdapterSources drawn_adapter(const AdapterSlots& slots, std::uint64_t seed);

// What an adapter computes with: layers, ranks, scales, elements. kBadCheckpoint where the file cannot be read.
Result<BlockKey> adapter_hash(const AdapterSources& sources, const AdapterSlots& slots);

// Into a slot: slots.slot_elements elements at `slot`, an address of the backend's; null: nowhere. Their hash as above.
Result<BlockKey> read_adapter(const AdapterSources& sources, const AdapterSlots& slots, Backend& backend, void* slot);

} // namespace plimsoll
