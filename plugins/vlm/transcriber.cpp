// Whisper itself: its encoder, and what its decoder looks at the encoder's output with. The decoder's own attention and FFNs are the
// dense family's. Keys and values of the whole window stay for a request's lifetime. Made by the planner's constructor.
#include "whisper.hpp"

namespace vlm {
namespace {

using plimsoll::Aspect;
using plimsoll::Bytes;
using plimsoll::KvGroup;
using plimsoll::KvKind;
using plimsoll::Sink;

class WhisperTower : public Tower {
public:
  explicit WhisperTower(const PartKeys& keys, std::uint64_t text)
      : encoder_(keys, "model.encoder."), layers_(keys.layer_list("/decoder_layers")), heads_(keys.positive("/decoder_attention_heads")),
        width_(text) {
    plimsoll::check_divides(heads_, width_, "/decoder_attention_heads");
  }

  void weights(const Sink& out) const override {
    encoder_.weights(out);
    const Tensors cross(out, "cross_attention.", "model.decoder.layers.{layer}.", &layers_);
    for (const char* name : {"q_proj", "k_proj", "v_proj"})
      cross.by_rows(std::string("encoder_attn.") + name, width_, width_, name[0] != 'k', heads_);
    cross.by_columns("encoder_attn.out_proj", width_, width_, true, heads_);
    cross.norm("encoder_attn_layer_norm", width_, true);
  }
  void kv(const Sink& out) const override {
    const std::uint64_t head = width_ / heads_;
    out.kv(KvGroup(KvKind::kCross, "attention.cross", layers_)
               .heads(heads_, heads_, head, head)
               .fixed(encoder_.positions())
               .aspect(Aspect::kVision));
  }
  Media largest_image() const override { return {}; }
  // 30 s: 1,500 rows, read by cross attention.
  Media longest_sound() const override { return {encoder_.positions(), encoder_.positions(), encoder_.width()}; }

private:
  WhisperEncoder encoder_;
  std::vector<std::uint32_t> layers_;
  std::uint64_t heads_, width_;
};

} // namespace

// Its keys lie flat: the part is the whole configuration.
std::unique_ptr<Tower> make_whisper(const PartKeys& keys, std::uint64_t text) {
  return std::make_unique<WhisperTower>(PartKeys(keys.model(), ""), text);
}

} // namespace vlm
