// Two encoders, of a text and of an image, whose vectors are compared: CLIP and SigLIP. Reads a configuration once. Throws
// plimsoll::Error with the pointer at fault. Threads: immutable after construction.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "plimsoll/plugin_util.hpp"

namespace encoder {

class Pair {
public:
  explicit Pair(const plimsoll::Config& config);
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;

  // One of the two: layers of attention and an FFN of two matrices, all with biases.
  struct Tower {
    Tower(const plimsoll::Config& config, const std::string& at);
    std::uint64_t width, ffn, heads;
    std::vector<std::uint32_t> layers;
  };

  void weights(const plimsoll::Sink& out) const;
  const Tower& text() const { return text_; }
  const Tower& image() const { return image_; }
  std::uint64_t text_positions() const { return text_positions_; }

private:
  void text_weights(const plimsoll::Sink& out) const;
  void image_weights(const plimsoll::Sink& out) const;
  void image_pooler(const plimsoll::Sink& out) const;

  bool siglip_;
  Tower text_, image_;
  std::uint64_t vocab_, text_positions_, side_, patch_, channels_, projection_;
};

} // namespace encoder
