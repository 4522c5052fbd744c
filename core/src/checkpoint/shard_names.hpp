// File names of sharded checkpoints: model-00001-of-00163.safetensors, model-00001-of-000163, model_00001-of-00072, X-00001-of-00009.gguf.
// Knows names only, no files. Threads: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll {

struct ShardName {
  std::string_view stem; // "model-", "model_"
  std::uint32_t number = 0, count = 0;
  std::string_view number_text, count_text, extension; // "00001", "000163", ".safetensors"
};

// Nothing where the name is not numbered.
std::optional<ShardName> parse_shard_name(std::string_view file_name);

// The same name with another number, as wide as before: ("model-00001-of-00003.gguf", 2) is "model-00002-of-00003.gguf".
std::string with_number(const ShardName& name, std::uint32_t number);

// The files of a numbered family that `present` lacks, the first eight of them; numbering from 1, or from 0 where number 0
// is there. `present` are the family's files (same stem, count and extension), sorted.
std::vector<std::string> missing_shards(const std::vector<std::string>& present);

} // namespace plimsoll
