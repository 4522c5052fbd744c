// Tiny models as exporters quantise them: their matrices rounded to a few bits and packed, and beside it the same model with the floats
// that those numbers are, made before anything was packed. For tests of who unpacks. Knows nothing of the library under test. Threads:
// plain functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "support/tiny_model.hpp"

namespace plimsoll::test {

struct StoredTensor {
  std::string name, dtype; // "I32", as safetensors calls it
  std::vector<std::uint64_t> shape;
  std::string bytes;
};

struct QuantizedModel {
  std::string config; // with its quantization_config
  std::vector<StoredTensor> tensors;
  TinyModel floats; // what it is
};

// Every scheme of one model, and of a few what other models make of it: fused projections, experts apart and stacked, latent attention.
// "fp8_block" and "llama", ...
std::vector<std::pair<std::string, std::string>> quantized_models();
// The tiny model of that name, or one whose inputs fill whole blocks where it has others.
TinyModel quantizable_tiny(std::string_view name);
// The matrices of all layers but for those of the scheme's exceptions: the second layer's down projections. Throws std::runtime_error where
// the scheme is not known.
QuantizedModel quantize_tiny(const TinyModel& model, std::string_view scheme);
// config.json and model.safetensors.
void write_quantized_folder(const QuantizedModel& model, const std::string& folder);
// FNV-1a, 64 bits, of the tensors in the order of their names: name, a zero byte, bytes. As dequantize.py has it.
std::string hash_of_tensors(const std::vector<StoredTensor>& tensors);
std::string hash_of_tensors(const std::vector<TinyTensor>& tensors);

} // namespace plimsoll::test
