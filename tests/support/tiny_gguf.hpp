// A tiny model as a GGUF file, as llama.cpp's converter would make it of the same checkpoint: tensors renamed, rows of rotated heads
// interleaved where its graph turns neighbours, the up-projection of latents split, experts stacked, norms of Gemma with their one added.
// Called by tests of the runtime and by make_tiny. Knows nothing of the library under test. Throws std::runtime_error for a model that
// it does not know. Threads: a plain function.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "support/tiny_model.hpp"

namespace plimsoll::test {

// GGUF version 3. Vectors and routers stay float32, as converters leave them. A byte vocabulary: id = byte + 3; 1 begins, 2 ends a text.
void write_tiny_gguf(const TinyModel& model, const std::string& path, TinyFormat format = TinyFormat::kF32);

// What a tensor is stored as: ggml's number of a type, and its bytes.
struct PackedTensor {
  std::uint32_t type = 0;
  std::string bytes;
};
// Asked for every tensor, under its stored name; nothing: it is stored in float32.
using PackTensor = std::function<std::optional<PackedTensor>(const TinyTensor& tensor)>;
void write_tiny_gguf(const TinyModel& model, const std::string& path, const PackTensor& pack);

} // namespace plimsoll::test
