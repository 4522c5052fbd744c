// MoonViT, the tower of Kimi-VL and Kimi K2.5: blocks over patches of any aspect ratio, a projector over merged neighbours. The two
// differ in the spelling of keys (vt_hidden_size) and in the projector's names.
#include "block.hpp"
#include "tower.hpp"

namespace vlm {
namespace {

using plimsoll::Bytes;
using plimsoll::Sink;

struct ProjectorNames {
  const char *prefix, *first, *second;
};
constexpr ProjectorNames kKimiVl{"multi_modal_projector.", "linear_1", "linear_2"};
constexpr ProjectorNames kKimiK25{"mm_projector.", "proj.0", "proj.2"};

class MoonTower : public Tower {
public:
  MoonTower(const PartKeys& keys, std::uint64_t text, const ProjectorNames& names)
      : names_(names), layers_(keys.layer_list("/vt_num_hidden_layers", "/num_hidden_layers")),
        width_(keys.positive("/vt_hidden_size", "/hidden_size")), ffn_(keys.positive("/vt_intermediate_size", "/intermediate_size")),
        heads_(keys.find("/vt_num_attention_heads").value_or(keys.number("/num_attention_heads", 0))), text_(text),
        patch_(keys.positive("/patch_size")), channels_(keys.number("/num_channels", 3)), height_(keys.positive("/init_pos_emb_height")),
        across_(keys.positive("/init_pos_emb_width")),
        merge_((Bytes(keys.positive("/merge_kernel_size/0")) * keys.positive("/merge_kernel_size/1")).value()) {}

  void weights(const Sink& out) const override {
    const Tensors stem(out, "patch_embed.", "vision_tower.patch_embed.");
    stem.convolution("proj", width_, channels_, patch_, true);
    stem.tensor("pos_emb.weight", {height_, across_, width_});
    declare_block(Tensors(out, "blocks.", "vision_tower.encoder.blocks.{layer}.", &layers_), kMoonBlock,
                  {.width = width_, .ffn = ffn_, .heads = heads_});
    Tensors(out, "", "vision_tower.encoder.").norm("final_layernorm", width_, true);
    const Bytes merged = Bytes(width_) * merge_;
    const Tensors projector(out, "projector.", names_.prefix);
    projector.norm("pre_norm", width_, true);
    projector.linear(names_.first, merged, merged);
    projector.linear(names_.second, text_, merged);
  }
  // 64 x 64 patches, 2 x 2 merged: 1,024 rows; K2.5, 7168 wide in bf16: 14,680,064 bytes.
  Media largest_image() const override {
    const Bytes patches = Bytes(height_) * across_;
    return {(patches / merge_).value(), patches.value(), width_};
  }

private:
  ProjectorNames names_;
  std::vector<std::uint32_t> layers_;
  std::uint64_t width_, ffn_, heads_, text_, patch_, channels_, height_, across_, merge_;
};

} // namespace

std::unique_ptr<Tower> make_kimi_vl(const PartKeys& keys, std::uint64_t text) { return std::make_unique<MoonTower>(keys, text, kKimiVl); }
std::unique_ptr<Tower> make_kimi_k25(const PartKeys& keys, std::uint64_t text) { return std::make_unique<MoonTower>(keys, text, kKimiK25); }

} // namespace vlm
