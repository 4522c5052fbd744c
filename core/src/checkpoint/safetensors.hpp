// The header of a safetensors file, streamed: eight length bytes, one JSON object with a line per tensor.
// Reads no tensor data, builds no tree, keeps no names.
// Format: the safetensors README; limits as its reference reader has them, stricter only on nesting and on what no
// writer does: names of pages, more tokens than half the bytes.
// Threads: one SafetensorsReader per thread; it keeps its buffers from shard to shard.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/regular_file.hpp"
#include "checkpoint/tensor_entry.hpp"
#include "plimsoll/result.hpp"

namespace plimsoll {

inline constexpr std::uint64_t kSafetensorsLengthBytes = 8;
inline constexpr std::uint64_t kSafetensorsHeaderLimitBytes = 100'000'000; // the reference reader's own
inline constexpr std::uint64_t kSafetensorsNameLimitBytes = 4096;          // of one tensor; ours, reports repeat names

// What one header adds up to.
struct HeaderTotals {
  std::uint64_t tensor_count = 0;
  std::uint64_t stored_bytes = 0; // of all tensors, without holes
  std::uint64_t header_bytes = 0; // everything in the file that is no tensor data
  std::uint64_t hole_bytes = 0;   // claimed by no tensor, between tensors or after the last one
  std::uint64_t fingerprint = 0;  // of (name, shard) pairs, independent of their order; see pair_fingerprint
};

class SafetensorsReader {
public:
  SafetensorsReader();
  ~SafetensorsReader();
  SafetensorsReader(const SafetensorsReader&) = delete;
  SafetensorsReader& operator=(const SafetensorsReader&) = delete;

  // Reads one file's header and tells `visitor` of every tensor, in the header's order. Appends the hash of every name
  // to `name_hashes` where that is given. `shard_name`: as an index names the file, for the fingerprint; its own name where
  // empty. kBadCheckpoint names the file and the tensor.
  Result<HeaderTotals> read(const RegularFile& file, std::uint32_t file_index, TensorVisitor& visitor,
                            std::vector<std::uint64_t>* name_hashes = nullptr, std::string_view shard_name = {});

  // The same for a file whose first bytes lie in memory (all of the header, or what there is of it).
  Result<HeaderTotals> read(std::span<const std::byte> file_start, std::uint64_t file_bytes, const std::string& path,
                            std::uint32_t file_index, TensorVisitor& visitor, std::vector<std::uint64_t>* name_hashes = nullptr);

private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The pure function under the reader: bytes in, visits out; for tests and fuzzing.
Result<HeaderTotals> parse_safetensors_header(std::span<const std::byte> file_start, std::uint64_t file_bytes, TensorVisitor& visitor);

} // namespace plimsoll
