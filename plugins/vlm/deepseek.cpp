// The tower of DeepSeek-VL2: SigLIP as timm packs it and a projector over 2 x 2 joined patches. Made by the planner's constructor.
#include "timm_siglip.hpp"
#include "tower.hpp"

namespace vlm {
namespace {

using plimsoll::Bytes;
using plimsoll::Error;
using plimsoll::Sink;

class DeepseekTower : public Tower {
public:
  DeepseekTower(const PartKeys& keys, std::uint64_t text)
      : siglip_{.layers = keys.layer_list("/layers"),
                .width = keys.positive("/width"),
                .ffn = ffn_of(keys, keys.positive("/width")),
                .heads = keys.positive("/heads"),
                .channels = keys.positive("/num_channels"),
                .patch = keys.positive("/patch_size"),
                .side = keys.patches_per_side()},
        tiles_(keys.positive("/max_image_tiles")), text_(text), depth_(keys.model().positive("/projector_config/depth")),
        inner_((Bytes(text) * keys.model().positive("/projector_config/mlp_ratio")).value()),
        join_(keys.model().positive("/projector_config/downsample_ratio")) {
    if (depth_ > 64) throw Error(PLIMSOLL_E_CONFIG, "/projector_config/depth", "is above 64; check the value");
  }

  void weights(const Sink& out) const override {
    declare_timm_siglip(out, "vision.", siglip_);
    const Tensors projector(out, "projector.", "projector.layers.");
    projector.linear("0", inner_, Bytes(siglip_.width) * join_ * join_);
    for (std::uint64_t i = 1; i < depth_; ++i) projector.linear(std::to_string(2 * i), i + 1 == depth_ ? text_ : inner_, inner_);
    for (const char* separator : {"image_newline", "view_seperator"}) Tensors(out, "", "").tensor(separator, {text_}); // as it is spelt
  }
  // 27 patches a side, padded and joined to 14, a separator behind each line of a column of 9 tiles and of the whole image:
  // 126 x 15 + 1 + 14 x 15 = 2,101 rows.
  Media largest_image() const override {
    const Bytes whole = siglip_.side, side = (whole + join_ - 1) / join_, lines = side * (side + 1), inputs = Bytes(tiles_) + 1;
    return {(lines * inputs + 1).value(), (whole * whole * inputs).value(), siglip_.width};
  }

private:
  // The ratio has a fraction: 1152 x 3.7362 = 4304.1.
  static std::uint64_t ffn_of(const PartKeys& keys, std::uint64_t width) {
    const double ffn = static_cast<double>(width) * keys.decimal("/mlp_ratio").value_or(3.7362);
    if (!(ffn >= 1 && ffn < 1e9)) keys.refuse("/mlp_ratio", "a ratio above 0, such as 4, was expected");
    return static_cast<std::uint64_t>(ffn);
  }

  TimmSiglip siglip_;
  std::uint64_t tiles_, text_, depth_, inner_, join_;
};

} // namespace

std::unique_ptr<Tower> make_deepseek_vl2(const PartKeys& keys, std::uint64_t text) { return std::make_unique<DeepseekTower>(keys, text); }

} // namespace vlm
