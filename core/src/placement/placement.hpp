// Bytes of a weight class, and of stored tensors that no class knows, on every rank of a layout.
// Exact integers; a layout that a class cannot take is an error that names the class. Threads: pure functions.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "model/declared.hpp"
#include "model/inventory.hpp"
#include "placement/rank_layout.hpp"

namespace plimsoll {

// Adds the class's bytes to each rank's entry of `bytes` (layout.ranks() of them). `cast` is the run-time type of
// unquantised tensors of the checkpoint's common type; nullptr: as stored. `stored`: what a checkpoint holds of the class;
// its bytes count then, spread as the declared ones are; layers that it lacks count as declared, absent ones not at all.
// `unpacked`: the run-time type of classes that the checkpoint packs in blocks; nullptr: as stored.
Result<void> place_weight(const WeightClass& c, const RankLayout& layout, const Dtype* cast, const StoredClass* stored,
                          std::span<std::uint64_t> bytes, const Dtype* unpacked = nullptr);

// Adds stored tensors that no class knows, by generic rules that never say too little: a layer's large matrices are split over
// tp where its heads and width divide evenly, its stacked experts over ep or tp, and everything else is on every rank of its
// stage; on every rank at all where the name has no layer. One rank holds what is stored, to the byte.
Result<void> place_unknown(const UnknownTensors& tensors, const plimsoll_facts& facts, const RankLayout& layout, const Dtype* cast,
                           std::span<std::uint64_t> bytes);

} // namespace plimsoll
