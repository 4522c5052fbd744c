// Parakeet's FastConformer, the ear of Nemotron's Omni models: convolutions that shrink the spectrogram, blocks of two half-step FFNs
// around an attention with relative positions and a convolution, and a projector of two matrices. Owned by a Tower. Threads: any.
#pragma once

#include <cstdint>
#include <vector>

#include "tower.hpp"

namespace vlm {

class ParakeetEncoder {
public:
  ParakeetEncoder(const PartKeys& keys, std::uint64_t text);

  void weights(const plimsoll::Sink& out) const;
  // Ten minutes at 100 frames a second, `subsampling_factor` of them in a row: 7,500.
  Media longest_sound() const;

private:
  void block(const plimsoll::Sink& out) const;

  std::vector<std::uint32_t> layers_;
  std::uint64_t width_, ffn_, heads_, kernel_, factor_, channels_, mels_, inner_, text_;
  bool attention_bias_, convolution_bias_, projection_bias_;
};

} // namespace vlm
