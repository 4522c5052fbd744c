// Bytes of a weight class, and of stored tensors that no class knows, on every rank of a layout.
// Exact integers; a layout that a class cannot take is an error that names the class. Threads: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/declared.hpp"
#include "model/inventory.hpp"
#include "placement/rank_layout.hpp"

namespace plimsoll {

// Run-time types of what a checkpoint keeps otherwise; nullptr: as stored.
struct RunTimeTypes {
  const Dtype* cast = nullptr;     // of unquantised tensors of the checkpoint's common type
  const Dtype* unpacked = nullptr; // of classes that the checkpoint packs in blocks or quantises
};

// Adds the class's bytes to each rank's entry of `bytes` (layout.ranks() of them). `stored`: what a checkpoint holds of the class; of one
// that is tied, of what it is a copy of. Its bytes count then, spread as the declared ones are; layers that it lacks count as declared,
// absent ones not at all.
Result<void> place_weight(const WeightClass& c, const RankLayout& layout, const RunTimeTypes& types, const StoredClass* stored,
                          std::span<std::uint64_t> bytes);
// What the layout leaves of it in host memory, once for all ranks.
Result<std::uint64_t> weight_on_host(const WeightClass& c, const RankLayout& layout, const RunTimeTypes& types, const StoredClass* stored);

// Equal tensors of a class in one place: layers x experts x tensor_bytes.
struct WeightTerm {
  std::uint64_t layers = 0, experts = 1; // that are there, of each layer
  WeightDims dims{};                     // of one tensor as it lies there
  std::string storage;                   // its type or format
  std::uint64_t tensor_bytes = 0;        // of one, as declared
  std::uint64_t bytes = 0;               // of all: the product, or what a checkpoint stores in its place
};
// What place_weight() adds to a rank; of no rank, what weight_on_host() says. Nothing where matrices are cut by rows.
Result<std::vector<WeightTerm>> weight_terms(const WeightClass& c, const RankLayout& layout, const RunTimeTypes& types,
                                             const StoredClass* stored, std::optional<std::uint32_t> rank);

// Adds stored tensors that no class knows, by generic rules that never say too little: a layer's large matrices are split over
// tp where its heads and width divide evenly, its stacked experts over ep or tp, and everything else is on every rank of its
// stage; on every rank at all where the name has no layer. One rank holds what is stored, to the byte.
Result<void> place_unknown(const UnknownTensors& tensors, const plimsoll_facts& facts, const RankLayout& layout, const Dtype* cast,
                           std::span<std::uint64_t> bytes);
// What of them the layout leaves in host memory.
Result<std::uint64_t> unknown_on_host(const UnknownTensors& tensors, const RankLayout& layout, const Dtype* cast);

} // namespace plimsoll
