// A tiny Qwen2-VL: the text of a tiny Qwen2 with three positions a token, and a tower of two layers before it. Random weights and images,
// the same on every machine; tests/data/tiny/vlm.py reads what make_tiny writes of it. Knows nothing of the library under test. Threads:
// plain values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "support/tiny_model.hpp"

namespace plimsoll::test {

inline constexpr std::int32_t kTinyImageToken = 300, kTinyVisionStart = 301, kTinyVisionEnd = 302;
inline constexpr std::uint64_t kTinyVlmSeed = 5, kTinyWindowSeed = 1;
inline constexpr std::uint32_t kTinyStepPixels = 8;   // patches of 4, of which 2 x 2 are merged
inline constexpr std::uint64_t kTinyLargestRows = 24; // of the largest image
inline constexpr std::uint64_t kTinyRowElements = 64; // of a row of an image in the text

TinyModel tiny_vlm(std::uint64_t seed = kTinyVlmSeed);
// Likewise a Qwen2.5-VL, whose encoder attends within windows.
TinyModel tiny_window_vlm(std::uint64_t seed = kTinyWindowSeed);
// What its processor does to pixels, as text of preprocessor_config.json.
std::string tiny_preprocessor_config();
// [height, width, 3] bytes of a picture; another seed, another picture.
std::vector<std::uint8_t> tiny_picture(std::uint32_t height, std::uint32_t width, std::uint64_t seed);

} // namespace plimsoll::test
