// plimsoll/limits.hpp - the largest values that a request may hold, wherever it comes from: the command line, a pipeline
// file, the C API, an estimate, a host's own values. Each stands far above anything that exists and low enough that the
// products of a plan stay exact. Never a default and never an engine's own limit. Threads: constants.
#pragma once

#include <cstddef>
#include <cstdint>

namespace plimsoll {

inline constexpr std::uint64_t kMaxRanks = 65'536;           // devices of a plan, and every degree of parallelism
inline constexpr std::uint64_t kMaxTokens = 1ULL << 40;      // of a request, of a batch, of one forward pass
inline constexpr std::uint64_t kMaxSequences = 1ULL << 31;   // requests at once, images of one request
inline constexpr std::uint64_t kMaxPageTokens = 1ULL << 20;  // tokens of one KV page
inline constexpr std::uint64_t kMaxDraftTokens = 1'024;      // speculated in one step; engines draft fewer than a hundred
inline constexpr std::uint64_t kMaxLoras = 65'536;           // adapters on a device at once
inline constexpr std::uint64_t kMaxLoraRank = 65'536;        // of an adapter
inline constexpr std::uint64_t kMaxBytes = (1ULL << 63) - 1; // any size: documents hold it as a signed number
inline constexpr std::size_t kMaxEstimateBytes = 4U << 20;   // text of one estimate, which has to name kMaxRanks devices

} // namespace plimsoll
