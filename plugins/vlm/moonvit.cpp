// MoonViT, the tower of Kimi-VL, Kimi K2.5 and LocateAnything: blocks over patches of any aspect ratio, a projector over merged
// neighbours. They differ in the spelling of keys (vt_hidden_size) and in the projector, which in the last one is InternVL's.
#include "block.hpp"
#include "tower.hpp"

namespace vlm {
namespace {

using plimsoll::Bytes;
using plimsoll::Sink;

struct MoonNames {
  const char *tower, *projector, *norm, *first, *second;
  bool joins_first; // the norm runs over joined neighbours, and the first matrix leaves the language model's width
};
constexpr MoonNames kKimiVl{"vision_tower.", "multi_modal_projector.", "pre_norm", "linear_1", "linear_2", false};
constexpr MoonNames kKimiK25{"vision_tower.", "mm_projector.", "pre_norm", "proj.0", "proj.2", false};
constexpr MoonNames kLocateAnything{"vision_model.", "mlp1.", "0", "1", "3", true};

class MoonTower : public Tower {
public:
  MoonTower(const PartKeys& keys, std::uint64_t text, const MoonNames& names)
      : names_(names), layers_(keys.layer_list("/vt_num_hidden_layers", "/num_hidden_layers")),
        width_(keys.positive("/vt_hidden_size", "/hidden_size")), ffn_(keys.positive("/vt_intermediate_size", "/intermediate_size")),
        heads_(keys.find("/vt_num_attention_heads").value_or(keys.number("/num_attention_heads", 0))), text_(text),
        patch_(keys.positive("/patch_size")), channels_(keys.number("/num_channels", 3)), height_(keys.positive("/init_pos_emb_height")),
        across_(keys.positive("/init_pos_emb_width")),
        merge_((Bytes(keys.positive("/merge_kernel_size/0")) * keys.positive("/merge_kernel_size/1")).value()) {}

  void weights(const Sink& out) const override {
    const std::string prefix = names_.tower;
    const Tensors stem(out, "patch_embed.", prefix + "patch_embed.");
    stem.convolution("proj", width_, channels_, patch_, true);
    stem.tensor("pos_emb.weight", {height_, across_, width_});
    declare_block(Tensors(out, "blocks.", prefix + "encoder.blocks.{layer}.", &layers_), kMoonBlock,
                  {.width = width_, .ffn = ffn_, .heads = heads_});
    Tensors(out, "", prefix + "encoder.").norm("final_layernorm", width_, true);
    const Bytes merged = Bytes(width_) * merge_;
    const Bytes inner = names_.joins_first ? Bytes(text_) : merged;
    const Tensors projector(out, "projector.", names_.projector);
    projector.norm(names_.norm, names_.joins_first ? merged : Bytes(width_), true);
    projector.linear(names_.first, inner, merged);
    projector.linear(names_.second, text_, inner);
  }
  // 64 x 64 patches, 2 x 2 merged: 1,024 rows; K2.5, 7168 wide in bf16: 14,680,064 bytes.
  Media largest_image() const override {
    const Bytes patches = Bytes(height_) * across_;
    return {(patches / merge_).value(), patches.value(), width_};
  }

private:
  MoonNames names_;
  std::vector<std::uint32_t> layers_;
  std::uint64_t width_, ffn_, heads_, text_, patch_, channels_, height_, across_, merge_;
};

} // namespace

std::unique_ptr<Tower> make_kimi_vl(const PartKeys& keys, std::uint64_t text) { return std::make_unique<MoonTower>(keys, text, kKimiVl); }
std::unique_ptr<Tower> make_kimi_k25(const PartKeys& keys, std::uint64_t text) { return std::make_unique<MoonTower>(keys, text, kKimiK25); }
std::unique_ptr<Tower> make_locate_anything(const PartKeys& keys, std::uint64_t text) {
  return std::make_unique<MoonTower>(keys, text, kLocateAnything);
}

} // namespace vlm
