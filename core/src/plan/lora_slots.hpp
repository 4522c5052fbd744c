// Slots for LoRA adapters as engines allocate them when they load a model: for every linear layer, whether an adapter changes it or not.
// Called when weights are placed. What our own runtime keeps is the schedule's (schedule/adapter_slots.hpp). Threads: pure but for the
// ledger.
#pragma once

#include "plan/ledger.hpp"
#include "plan/settled.hpp"

namespace plimsoll {

// Adds the item `lora` where the request has adapters and the engine's profile slots for them. A slot holds A [rank, in] and B [out, rank]
// of each layer; tp divides what it divides of the layer: B of layers that are cut by their outputs, A of those that are cut by their
// inputs. Llama-3.1-8B, rank 16, one slot: 80 MiB for its seven layers, 4 MiB for the head, 4 MiB for the embedding. Qwen3-30B-A3B: 1.55
// GiB for the experts alone.
Result<void> place_lora_slots(const Settled& settled, Ledger& ledger);

} // namespace plimsoll
