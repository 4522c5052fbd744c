// OpenVLA: two towers over one picture, DINOv2 and SigLIP as timm packs them, their features side by side, and three matrices. What acts is
// read off the language model's own words. Made by the planner's constructor. The sizes are those of the model's own code.
#include "block.hpp"
#include "listed.hpp"

namespace vlm {
namespace {

using plimsoll::Bytes;
using plimsoll::Sink;

constexpr std::uint64_t kPictureSide = 16, kDinoWidth = 1024, kSiglipWidth = 1152, kSiglipFfn = 4304; // 224 / 14 patches a side

void declare_timm(const Sink& out, const std::string& prefix, const std::vector<std::uint32_t>& layers, const BlockShape& shape) {
  const Tensors top(out, "", prefix);
  top.convolution("patch_embed.proj", shape.width, 3, 14, true);
  top.tensor("pos_embed", {1, kPictureSide * kPictureSide, shape.width});
  declare_block(Tensors(out, "blocks.", prefix + "blocks.{layer}.", &layers), kTimmBlock, shape);
  top.norm("norm", shape.width, true);
}

} // namespace

std::unique_ptr<Tower> make_openvla(const PartKeys&, std::uint64_t text) {
  const auto list = [=](const Sink& out) {
    static const std::vector<std::uint32_t> dino = plimsoll::layers_from(0, 24), siglip = plimsoll::layers_from(0, 27);
    const std::string first = "vision_backbone.featurizer.", second = "vision_backbone.fused_featurizer.";
    declare_timm(out, first, dino, {.width = kDinoWidth, .ffn = kDinoWidth * 4, .heads = 16});
    const Tensors tokens(out, "", first);
    tokens.tensor("cls_token", {1, 1, kDinoWidth});
    tokens.tensor("reg_token", {1, 4, kDinoWidth});
    for (const char* scale : {"ls1.scale_factor", "ls2.scale_factor"})
      Tensors(out, "blocks.", first + "blocks.{layer}.", &dino).tensor(scale, {kDinoWidth});
    declare_timm(out, second, siglip, {.width = kSiglipWidth, .ffn = kSiglipFfn, .heads = 16});
    Tensors pool(out, "attn_pool.", second + "attn_pool.");
    pool.tensor("latent", {1, 1, kSiglipWidth});
    pool.linear("q", kSiglipWidth, kSiglipWidth);
    pool.linear("kv", kSiglipWidth * 2, kSiglipWidth);
    pool.linear("proj", kSiglipWidth, kSiglipWidth);
    pool.norm("norm", kSiglipWidth, true);
    pool.linear("mlp.fc1", kSiglipFfn, kSiglipWidth);
    pool.linear("mlp.fc2", kSiglipWidth, kSiglipFfn);
    const Tensors projector(out, "projector.", "projector.");
    constexpr std::uint64_t kBoth = kDinoWidth + kSiglipWidth;
    projector.linear("fc1", kBoth * 4, kBoth);
    projector.linear("fc2", text, kBoth * 4);
    projector.linear("fc3", text, text);
  };
  constexpr std::uint64_t kPatches = kPictureSide * kPictureSide;
  return listed(list, {kPatches, kPatches, kSiglipWidth});
}

} // namespace vlm
