// NeMo's FastConformer, and Parakeet, the ear of Nemotron's Omni models, which is one: convolutions that shrink the spectrogram, blocks of
// two half-step FFNs around an attention with relative positions and a convolution, and a projector of two matrices. Owned by a Tower.
// Threads: any.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include "tower.hpp"

namespace vlm {

// Its sizes, in whatever keys they stand.
struct FastConformer {
  std::vector<std::uint32_t> layers;
  std::uint64_t width = 0, ffn = 0, heads = 0, kernel = 0;
  std::uint64_t factor = 0, channels = 0, mels = 0; // of the convolutions in front
  bool linear_bias = false, convolution_bias = false;
};

// What it calls its tensors: as the transformers library does, unless said otherwise.
struct FastConformerNames {
  const char* prefix;
  const char* stem = "subsampling.layers.";
  const char* stem_linear = "subsampling.linear";
  std::array<const char*, 4> attention{"q_proj", "k_proj", "v_proj", "o_proj"};
  const char* distances = "relative_k_proj";
  std::array<const char*, 2> attention_biases{"bias_u", "bias_v"};
  const char* batch_norm = "norm";
};

// Refuses sizes that none has; `factor` is the key of the halvings.
void check(const FastConformer& shape, const PartKeys& keys, std::string_view factor, std::string_view heads);
void declare(const plimsoll::Sink& out, const FastConformer& shape, const FastConformerNames& names);

class ParakeetEncoder {
public:
  ParakeetEncoder(const PartKeys& keys, std::uint64_t text);

  void weights(const plimsoll::Sink& out) const;
  // Ten minutes at 100 frames a second, `subsampling_factor` of them in a row: 7,500.
  Media longest_sound() const;

private:
  FastConformer shape_;
  std::uint64_t inner_, text_;
  bool projection_bias_;
};

} // namespace vlm
