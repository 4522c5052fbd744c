// Vision encoders that several packagings share: CLIP, SigLIP and Pixtral. A packaging adds its projector. Made and owned by
// a Tower. Immutable after construction. Threads: any.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tower.hpp"

namespace vlm {

// Sizes of a CLIP or SigLIP that a configuration only names.
struct EncoderShape {
  std::uint64_t width, ffn, layers, heads, patch, image; // image: pixels a side
};

class Encoder {
public:
  static Encoder clip(const EncoderShape& shape, std::string prefix);
  static Encoder siglip(const EncoderShape& shape, std::string prefix);
  // CLIP, SigLIP or Pixtral by the vision model_type; `prefix` is what names start with: "vision_tower.".
  static Encoder of(const PartKeys& keys, std::string prefix);
  // SigLIP whatever the model_type says (Idefics3, MiniCPM-V and Phi-4 have relatives of it), without its pooling head.
  static Encoder siglip(const PartKeys& keys, std::string prefix, bool drop_last_layer = false);
  // Pixtral whatever the model_type says, or where it says nothing.
  static Encoder pixtral(const PartKeys& keys, std::string prefix);
  // SigLIP 2 for any aspect ratio: patches through a linear layer, `num_patches` positions.
  static Encoder siglip2(const PartKeys& keys, std::string prefix);
  // `loaded`: false where checkpoints store it and engines pass by.
  Encoder& with_pooling_head(bool loaded = true) {
    head_ = loaded ? Head::kLoaded : Head::kStored;
    return *this;
  }

  void weights(const plimsoll::Sink& out) const;
  std::uint64_t width() const { return width_; }
  std::uint64_t side() const { return side_; } // patches a side
  std::uint64_t patch() const { return patch_; }
  std::uint64_t layers() const { return layers_.size(); }
  // Positions of a square input, a class token with them.
  std::uint64_t positions() const { return side_ * side_ + (kind_ == Kind::kClip ? 1 : 0); }

private:
  enum class Kind : std::uint8_t { kClip, kSiglip, kSiglip2, kPixtral };
  enum class Head : std::uint8_t { kNone, kLoaded, kStored };
  Encoder(Kind kind, const PartKeys& keys, std::string prefix);
  Encoder(Kind kind, const EncoderShape& shape, std::string prefix);
  void pooling_head(const plimsoll::Sink& out) const;

  Kind kind_;
  std::string prefix_;
  std::vector<std::uint32_t> layers_;
  std::uint64_t width_, ffn_, heads_, patch_, channels_, side_;
  Head head_ = Head::kNone;
};

} // namespace vlm
