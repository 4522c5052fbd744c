// Whisper's encoder: two convolutions over a spectrogram, positions, blocks, a norm. Many audio models keep it under names of their
// own. Made and owned by a Tower. Immutable after construction. Threads: any.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "block.hpp"
#include "tower.hpp"

namespace vlm {

inline constexpr BlockNames kWhisperBlock{{"self_attn_layer_norm", "final_layer_norm"},
                                          "",
                                          "self_attn.q_proj",
                                          "self_attn.k_proj",
                                          "self_attn.v_proj",
                                          "self_attn.out_proj",
                                          "",
                                          "fc1",
                                          "fc2"};

struct WhisperNames {
  BlockNames block = kWhisperBlock;
  const char* norm = "layer_norm"; // behind the blocks
  bool positions = true;           // whether the sinusoids are stored
  bool k_bias = false;
};

// Elements of the large one (w 1280, f 5120, 32 blocks, 128 mels): 636,968,960.
class WhisperEncoder {
public:
  // Keys in either spelling: d_model, encoder_layers, ... or hidden_size, num_hidden_layers, ...
  WhisperEncoder(const PartKeys& keys, std::string prefix, const WhisperNames& names = {});

  void weights(const plimsoll::Sink& out) const;
  std::uint64_t width() const { return width_; }
  std::uint64_t ffn() const { return ffn_; }
  // Of one window of 30 s: 1,500.
  std::uint64_t positions() const { return positions_; }

private:
  std::string prefix_;
  WhisperNames names_;
  std::vector<std::uint32_t> layers_;
  std::uint64_t width_, ffn_, heads_, mels_, positions_;
};

} // namespace vlm
