// Element types: one table for config names ("bfloat16"), safetensors names ("BF16") and ggml names ("q8_0").
// Called wherever elements become bytes. Never guesses: an unknown name is an empty answer. Threads: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/checked.hpp"

namespace plimsoll {

// A type stores `block_elements` elements in `block_bytes` bytes: {1, 2} for bfloat16, {2, 1} for 4-bit
// floats, {32, 34} for q8_0. Names are static strings.
struct Dtype {
  std::string_view name;        // the config's spelling where there is one: "bfloat16", "q8_0"
  std::string_view safetensors; // "BF16"; empty where safetensors has none
  std::uint32_t block_elements = 1;
  std::uint32_t block_bytes = 0;

  // Bytes of `elements` elements, the last block rounded up.
  Checked bytes(Checked elements) const {
    if (block_elements == 1) return elements * block_bytes;
    Checked r = Checked(ceil_div(elements.value(), block_elements)) * block_bytes;
    return elements.overflowed() ? elements : r;
  }
  // Plugins may give one name to types of different sizes.
  friend bool operator==(const Dtype& a, const Dtype& b) {
    return a.block_bytes == b.block_bytes && a.block_elements == b.block_elements && (a.name.data() == b.name.data() || a.name == b.name);
  }
};

// Case-insensitive, with or without "torch." in front; knows the common aliases ("half", "fp8", "F8_E4M3").
std::optional<Dtype> find_dtype(std::string_view name);

} // namespace plimsoll
