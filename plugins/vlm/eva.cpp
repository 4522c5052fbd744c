// Early towers inside a language model's own class: GLM-4V's EVA-CLIP and the first Qwen-VL's OpenCLIP with its resampler; and
// Fuyu, which has none. Made by the
// planner's constructor.
#include "block.hpp"
#include "listed.hpp"

namespace vlm {
namespace {

using plimsoll::Bytes;
using plimsoll::Sink;

constexpr BlockNames kEvaBlock{
    {"input_layernorm", "post_attention_layernorm"}, "attention.query_key_value", "", "", "", "attention.dense", "", "mlp.fc1", "mlp.fc2"};
constexpr BlockNames kOpenClipBlock{{"ln_1", "ln_2"}, "attn.in_proj", "", "", "", "attn.out_proj", "", "mlp.c_fc", "mlp.c_proj"};

} // namespace

// 1120 / 14 = 80 patches a side, halved by a convolution, two marks: 1,602 rows.
std::unique_ptr<Tower> make_glm4v_chat(const PartKeys& keys, std::uint64_t text) {
  const std::vector<std::uint32_t> layers = keys.layer_list("/num_hidden_layers");
  const std::uint64_t width = keys.positive("/hidden_size"), ffn = keys.positive("/intermediate_size"), heads = keys.positive("/num_heads");
  const std::uint64_t channels = keys.positive("/in_channels"), patch = keys.positive("/patch_size"), side = keys.patches_per_side();
  const std::uint64_t inner = keys.model().positive("/ffn_hidden_size");
  const auto list = [=](const Sink& out) {
    const std::string prefix = "transformer.vision.";
    const Tensors top(out, "", prefix);
    top.convolution("patch_embedding.proj", width, channels, patch, true);
    top.tensor("patch_embedding.cls_embedding", {1, width});
    top.tensor("patch_embedding.position_embedding.weight", {Bytes(side) * side + 1, width});
    declare_block(Tensors(out, "layers.", prefix + "transformer.layers.{layer}.", &layers), kEvaBlock,
                  {.width = width, .ffn = ffn, .heads = heads});
    top.convolution("conv", text, width, 2, true);
    for (const char* mark : {"boi", "eoi"}) top.tensor(mark, {1, 1, text});
    const Tensors projector(out, "projector.", prefix + "linear_proj.");
    projector.linear("linear_proj", text, text, false);
    projector.norm("norm1", text, true);
    for (const char* name : {"dense_h_to_4h", "gate_proj"}) projector.by_rows(name, inner, text, false);
    projector.by_columns("dense_4h_to_h", text, inner, false);
  };
  const Bytes half = side / 2;
  return listed(list, {(half * half + 2).value(), (Bytes(side) * side + 1).value(), width});
}

// Fuyu has no tower: patches of 30 pixels are the language model's own words. 1920 x 1080: 36 lines of 64 and a mark: 2,340 rows.
std::unique_ptr<Tower> make_fuyu(const PartKeys& keys, std::uint64_t text) {
  const std::uint64_t patch = keys.model().positive("/patch_size"), channels = keys.model().positive("/num_channels");
  const auto list = [=](const Sink& out) { Tensors(out, "", "").linear("vision_embed_tokens", text, Bytes(patch) * patch * channels); };
  const Bytes across = plimsoll::ceil_div(1920, patch), down = plimsoll::ceil_div(1080, patch);
  return listed(list, {(down * (across + 1)).value(), (down * across).value(), text});
}

// 256 queries make 256 rows of any image.
std::unique_ptr<Tower> make_qwen_vl_first(const PartKeys& keys, std::uint64_t text) {
  constexpr std::uint64_t kQueries = 256;
  const PartKeys visual(keys.model(), "/visual");
  const std::vector<std::uint32_t> layers = visual.layer_list("/layers");
  const std::uint64_t width = visual.positive("/width"), heads = visual.positive("/heads"), patch = visual.positive("/patch_size");
  const std::uint64_t side = visual.patches_per_side();
  const double ratio = visual.decimal("/mlp_ratio").value_or(4);
  if (!(ratio > 0 && ratio < 1000)) visual.refuse("/mlp_ratio", "a ratio above 0, such as 4, was expected");
  const auto ffn = static_cast<std::uint64_t>(static_cast<double>(width) * ratio);
  const auto list = [=](const Sink& out) {
    const std::string prefix = "transformer.visual.";
    const Tensors top(out, "", prefix);
    top.convolution("conv1", width, 3, patch, false);
    top.tensor("positional_embedding", {kQueries, width});
    top.norm("ln_pre", width, true);
    declare_block(Tensors(out, "layers.", prefix + "transformer.resblocks.{layer}.", &layers), kOpenClipBlock,
                  {.width = width, .ffn = ffn, .heads = heads});
    const Tensors pool(out, "attn_pool.", prefix + "attn_pool.");
    for (const char* table : {"query", "pos_embed"}) pool.tensor(table, {kQueries, text});
    pool.linear("kv_proj", text, width, false);
    pool.tensor("attn.in_proj_weight", {Bytes(text) * 3, text});
    pool.tensor("attn.in_proj_bias", {Bytes(text) * 3});
    pool.linear("attn.out_proj", text, text);
    for (const char* norm : {"ln_q", "ln_kv"}) pool.norm(norm, text, true);
    top.norm("ln_post", text, true);
    top.tensor("proj", {text, text});
  };
  return listed(list, {kQueries, (Bytes(side) * side).value(), width});
}

} // namespace vlm
