// SigLIP as the timm library packs it, with its pooling head: the towers of DeepSeek-VL2 and Janus. Called while they declare. Threads:
// pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tensors.hpp"

namespace vlm {

struct TimmSiglip {
  std::vector<std::uint32_t> layers;
  std::uint64_t width = 0, ffn = 0, heads = 0, channels = 3, patch = 0, side = 0; // side: patches
};

// Worked example: w 1152, FFN 4304, 27 blocks, 384 pixels: 428,225,600 elements.
void declare_timm_siglip(const plimsoll::Sink& out, const std::string& prefix, const TimmSiglip& shape);

} // namespace vlm
