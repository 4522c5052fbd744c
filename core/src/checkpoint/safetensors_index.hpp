// The index beside a sharded safetensors checkpoint: which shard holds which tensor.
// Tells the shards' names, and what to compare the headers with. Streams the file,
// keeps no tensor names. Threads: pure functions.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "plimsoll/result.hpp"

namespace plimsoll {

inline constexpr std::uint64_t kIndexLimitBytes = 256'000'000;

struct IndexSummary {
  std::vector<std::string> shards;          // files beside the index or in folders below, sorted, each once
  std::uint64_t tensor_count = 0;           // entries of weight_map
  std::uint64_t fingerprint = 0;            // sum of pair_fingerprint over the entries
  std::optional<std::uint64_t> total_bytes; // metadata.total_size where it is a number
};

using IndexEntryVisitor = std::function<void(std::string_view tensor, std::string_view shard)>;

// Reads `path`; `each`, where given, is told of every entry. kBadCheckpoint names the file and the JSON pointer; a shard
// name that leads out of the directory (absolute, "..") is refused.
Result<IndexSummary> read_safetensors_index(const std::string& path, const IndexEntryVisitor& each = {});

// The same for a text in memory; `path` is for messages.
Result<IndexSummary> parse_safetensors_index(std::string_view text, const std::string& path, const IndexEntryVisitor& each = {});

} // namespace plimsoll
