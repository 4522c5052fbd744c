// Meta's towers. Mllama (Llama-3.2-Vision): local and gated global layers over tiles, features of several layers joined; its
// rows are read by cross attention. Llama 4: a ViT, pixel shuffle and an adapter.
#include "block.hpp"
#include "tower.hpp"

namespace vlm {
namespace {

using plimsoll::Bytes;
using plimsoll::Sink;

constexpr BlockNames kMllamaBlock{{"input_layernorm", "post_attention_layernorm"},
                                  "",
                                  "self_attn.q_proj",
                                  "self_attn.k_proj",
                                  "self_attn.v_proj",
                                  "self_attn.o_proj",
                                  "",
                                  "mlp.fc1",
                                  "mlp.fc2"};

class MllamaTower : public Tower {
public:
  MllamaTower(const PartKeys& keys, std::uint64_t text)
      : local_(keys.layer_list("/num_hidden_layers")), global_(keys.layer_list("/num_global_layers")),
        width_(keys.positive("/hidden_size")), ffn_(keys.positive("/intermediate_size")), heads_(keys.number("/attention_heads", 0)),
        text_(text), patch_(keys.positive("/patch_size")), channels_(keys.positive("/num_channels")), side_(keys.patches_per_side()),
        tiles_(keys.positive("/max_num_tiles")), ratios_((Bytes(keys.length("/supported_aspect_ratios")) + 1).value()),
        out_(keys.positive("/vision_output_dim")) {
    if (ratios_ == 1) keys.refuse("/supported_aspect_ratios", "is missing or empty; a list of [tiles down, tiles across] was expected");
  }

  void weights(const Sink& out) const override {
    const std::string prefix = "vision_model.";
    const Bytes positions = Bytes(side_) * side_ + 1, tiled = Bytes(tiles_) * width_;
    const Tensors top(out, "", prefix);
    top.convolution("patch_embedding", width_, channels_, patch_, false);
    top.tensor("class_embedding", {width_});
    top.tensor("gated_positional_embedding.embedding", {positions, width_});
    top.tensor("gated_positional_embedding.gate", {1});
    top.tensor("gated_positional_embedding.tile_embedding.weight", {ratios_, tiled * positions});
    for (const std::string name : {"pre_tile_positional_embedding.", "post_tile_positional_embedding."}) {
      top.tensor(name + "embedding.weight", {ratios_, tiled});
      top.tensor(name + "gate", {1});
    }
    top.norm("layernorm_pre", width_, true);
    top.norm("layernorm_post", width_, true);
    const BlockShape shape{.width = width_, .ffn = ffn_, .heads = heads_, .qkv_bias = false, .out_bias = false};
    declare_block(Tensors(out, "layers.", prefix + "transformer.layers.{layer}.", &local_), kMllamaBlock, shape);
    const Tensors gated(out, "global_layers.", prefix + "global_transformer.layers.{layer}.", &global_);
    declare_block(gated, kMllamaBlock, shape);
    gated.tensor("gate_attn", {1});
    gated.tensor("gate_ffn", {1});
    Tensors(out, "", "").linear("multi_modal_projector", text_, out_);
  }
  // 560 / 14 = 40 patches a side and a class token in each of 4 tiles: 6,404 rows.
  Media largest_image() const override {
    const std::uint64_t rows = (Bytes(tiles_) * (Bytes(side_) * side_ + 1)).value();
    return {rows, rows, width_};
  }

private:
  std::vector<std::uint32_t> local_, global_;
  std::uint64_t width_, ffn_, heads_, text_, patch_, channels_, side_, tiles_, ratios_, out_;
};

constexpr BlockNames kLlama4Block = kMllamaBlock;

class Llama4Tower : public Tower {
public:
  Llama4Tower(const PartKeys& keys, std::uint64_t text)
      : layers_(keys.layer_list("/num_hidden_layers")), width_(keys.positive("/hidden_size")), ffn_(keys.positive("/intermediate_size")),
        heads_(keys.number("/num_attention_heads", 0)), text_(text), patch_(keys.positive("/patch_size")),
        channels_(keys.positive("/num_channels")), side_(keys.patches_per_side()), adapter_in_(keys.positive("/projector_input_dim")),
        adapter_out_(keys.positive("/projector_output_dim")), out_(keys.positive("/vision_output_dim")),
        tiles_(keys.positive("/max_image_tiles")) {}

  void weights(const Sink& out) const override {
    const std::string prefix = "vision_model.";
    const Tensors top(out, "", prefix);
    top.linear("patch_embedding.linear", width_, Bytes(channels_) * patch_ * patch_, false);
    top.tensor("class_embedding", {width_});
    top.tensor("positional_embedding_vlm", {Bytes(side_) * side_ + 1, width_});
    top.norm("layernorm_pre", width_, true);
    top.norm("layernorm_post", width_, true);
    declare_block(Tensors(out, "layers.", prefix + "model.layers.{layer}.", &layers_), kLlama4Block,
                  {.width = width_, .ffn = ffn_, .heads = heads_});
    const Tensors adapter(out, "adapter.", prefix + "vision_adapter.");
    adapter.by_rows("mlp.fc1", adapter_in_, ffn_, false);
    adapter.by_columns("mlp.fc2", adapter_out_, adapter_in_, false);
    Tensors(out, "projector.", "multi_modal_projector.").linear("linear_1", text_, out_, false);
  }
  // 336 / 14 = 24 patches a side, shuffled by 2: 144 rows a tile; 16 tiles and the whole image: 2,448 rows.
  Media largest_image() const override {
    const std::uint64_t side = side_ / 2;
    return {(Bytes(tiles_) * side * side).value(), (Bytes(tiles_) * (Bytes(side_) * side_ + 1)).value(), width_};
  }

private:
  std::vector<std::uint32_t> layers_;
  std::uint64_t width_, ffn_, heads_, text_, patch_, channels_, side_, adapter_in_, adapter_out_, out_, tiles_;
};

} // namespace

std::unique_ptr<Tower> make_mllama(const PartKeys& keys, std::uint64_t text) { return std::make_unique<MllamaTower>(keys, text); }
std::unique_ptr<Tower> make_llama4(const PartKeys& keys, std::uint64_t text) { return std::make_unique<Llama4Tower>(keys, text); }

} // namespace vlm
