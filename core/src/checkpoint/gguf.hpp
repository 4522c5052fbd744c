// The header of a GGUF file: metadata, then one line per tensor; versions 2 and 3, little-endian.
// Each split has one. Token lists and the like are counted, not kept; no tensor
// data is read. Format: the GGUF specification in the ggml repository. Threads: pure functions; a GgufHeader is a plain value.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.hpp"
#include "base/regular_file.hpp"
#include "plimsoll/result.hpp"

namespace plimsoll {

inline constexpr std::uint32_t kGgufMaxRank = 4;                    // ggml's own limit
inline constexpr std::uint64_t kGgufHeaderLimitBytes = 128'000'000; // the largest known header has some 20 MB
inline constexpr std::uint64_t kGgufMaxMetadataKeys = 65'536;
inline constexpr std::uint64_t kGgufMaxKeyBytes = 65'535; // the specification's limit
inline constexpr std::uint64_t kGgufMaxNameBytes = 1024;  // ggml allows 64

// Scalars, short strings and short number arrays by key; of every other array only its length, in `array_counts`.
struct GgufMetadata {
  std::map<std::string, nlohmann::ordered_json, std::less<>> values;
  std::map<std::string, std::uint64_t, std::less<>> array_counts;
};

struct GgufTensor {
  std::uint32_t name_at = 0, name_bytes = 0; // in GgufHeader::names
  const Dtype* dtype = nullptr;              // static
  std::uint32_t rank = 0;
  std::array<std::uint64_t, kGgufMaxRank> dims{1, 1, 1, 1}; // as stored: fastest first
  std::uint64_t elements = 0, stored_bytes = 0;
  std::uint64_t offset_bytes = 0; // in the file
};

struct GgufHeader {
  std::uint32_t version = 0;
  GgufMetadata metadata;
  std::string names; // of all tensors, one after the other
  std::vector<GgufTensor> tensors;
  std::uint64_t header_bytes = 0;  // up to the tensor data, padding included
  std::uint64_t stored_bytes = 0;  // of all tensors, without padding
  std::uint64_t lacking_bytes = 0; // of the data, where the file ends before its tensors do: a header fetched alone

  std::string_view name(const GgufTensor& tensor) const { return std::string_view(names).substr(tensor.name_at, tensor.name_bytes); }
};

// kBadCheckpoint names the file and the key or the tensor.
Result<GgufHeader> read_gguf(const RegularFile& file);

// The pure function under it: the first bytes of a file that is `file_bytes` long; for tests and fuzzing.
Result<GgufHeader> parse_gguf(std::span<const std::byte> file_start, std::uint64_t file_bytes, const std::string& path = {});

// Whether the header of a file that is `file_bytes` long ends within its first bytes, for who fetches a file from its start. True where it
// is wrong: what is wrong is read_gguf's to say.
bool is_whole_gguf_header(std::span<const std::byte> file_start, std::uint64_t file_bytes);

// The element type of a ggml type number; nullptr where there is none, or none any more.
const Dtype* ggml_type(std::uint32_t number);

} // namespace plimsoll
