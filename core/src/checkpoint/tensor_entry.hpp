// One tensor of a checkpoint as its header declares it, and who is told about it.
// Handed out by the safetensors and GGUF readers to whoever adds up an inventory; tensors are streamed and never
// kept. Threads: a visitor is called by one thread at a time; views live for the call only.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "base/dtype.hpp"
#include "plimsoll/result.hpp"

namespace plimsoll {

inline constexpr std::uint32_t kMaxTensorRank = 8;

struct TensorEntry {
  std::string_view name;        // as transformers writes it; GGUF names are translated
  std::string_view stored_name; // as the file has it
  Dtype dtype;
  std::array<std::uint64_t, kMaxTensorRank> dims{}; // outermost first, as transformers counts; GGUF shapes are turned round
  std::uint32_t rank = 0;                           // how many of `dims` count; 0 is a scalar
  std::uint64_t elements = 1;                       // product of the shape; fits because the reader checked it
  std::uint64_t stored_bytes = 0;                   // in the file, without padding
  std::uint32_t file_index = 0;                     // into ModelFiles::shards
  bool auxiliary = false;                           // a table that the format adds and the model's own checkpoint lacks
  std::uint64_t offset_bytes = 0;                   // of its data in that file

  std::span<const std::uint64_t> shape() const { return {dims.data(), rank}; }
};

class TensorVisitor {
public:
  virtual ~TensorVisitor() = default;
  // An error stops the scan and becomes its result.
  virtual Result<void> tensor(const TensorEntry& entry) = 0;
};

} // namespace plimsoll
