// Vision encoders that several packagings share: CLIP, SigLIP and Pixtral. A packaging adds its projector. Made and owned by
// a Tower. Immutable after construction. Threads: any.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tower.hpp"

namespace vlm {

class Encoder {
public:
  // CLIP, SigLIP or Pixtral by the vision model_type; `prefix` is what names start with: "vision_tower.".
  static Encoder of(const VisionKeys& keys, std::string prefix);
  // SigLIP whatever the model_type says (Idefics3, MiniCPM-V and Phi-4 have relatives of it), without its pooling head.
  static Encoder siglip(const VisionKeys& keys, std::string prefix, bool drop_last_layer = false);
  Encoder& with_pooling_head() {
    head_ = true;
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
  enum class Kind : std::uint8_t { kClip, kSiglip, kPixtral };
  Encoder(Kind kind, const VisionKeys& keys, std::string prefix);
  void pooling_head(const plimsoll::Sink& out) const;

  Kind kind_;
  std::string prefix_;
  std::vector<std::uint32_t> layers_;
  std::uint64_t width_, ffn_, heads_, patch_, channels_, side_;
  bool head_ = false;
};

} // namespace vlm
