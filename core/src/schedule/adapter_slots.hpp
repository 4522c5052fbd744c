// Room for LoRA adapters: which linear layers they may change, and where the matrices of each lie in a slot. The plan counts these bytes
// and the runtime fills them, both from here. Threads: pure functions.
#pragma once

#include <string>
#include <vector>

#include "model/described.hpp"
#include "placement/rank_layout.hpp"
#include "plimsoll/adapters.hpp"
#include "plimsoll/result.hpp"

namespace plimsoll {

// What a plan asks for.
struct AdapterRoom {
  std::uint64_t slots = 0, max_rank = 0; // 0 slots: no adapters
  Dtype dtype;
  std::vector<std::string> targets; // as PlanRequest::lora_targets
};

// Targets are the LINEAR ops of layers whose weights are nothing else's operands (an embedding that is the head too is none) and have no
// experts; the head only where it is named. A name is that of a class's module, or the last parts of it, or of what exporters fuse it with
// or divide it into. kBadRequest for a name of no linear layer, with those that there are; kBadConfig where bytes do not fit 63 bits.
Result<AdapterSlots> cut_adapter_slots(const Described& described, const Declared& declared, const Fusions& fusions,
                                       const AdapterRoom& room);

// Slots of the whole model become a rank's: each layer's matrices cut as the layer is.
Result<void> cut_for_rank(const Described& described, const Declared& declared, const RankLayout& layout, std::uint32_t rank,
                          AdapterSlots& slots);

} // namespace plimsoll
