// DeepSeek-OCR and Unlimited-OCR: Segment Anything's ViT over the whole picture, shrunk by convolutions, then CLIP's blocks (or, in the
// second one, a small Qwen 2 with learned queries), and one matrix. Made by the planner's constructor. The sizes are those of the models'
// own code: configurations tell only names.
#include "block.hpp"
#include "listed.hpp"

namespace vlm {
namespace {

using plimsoll::Bytes;
using plimsoll::Sink;

constexpr BlockNames kSamBlock{{"norm1", "norm2"}, "attn.qkv", "", "", "", "attn.proj", "", "mlp.lin1", "mlp.lin2"};
constexpr BlockNames kOcrClipBlock{
    {"layer_norm1", "layer_norm2"}, "self_attn.qkv_proj", "", "", "", "self_attn.out_proj", "", "mlp.fc1", "mlp.fc2"};
constexpr BlockNames kQwenBlock{{"input_layernorm", "post_attention_layernorm"},
                                "",
                                "self_attn.q_proj",
                                "self_attn.k_proj",
                                "self_attn.v_proj",
                                "self_attn.o_proj",
                                "mlp.gate_proj",
                                "mlp.up_proj",
                                "mlp.down_proj"};

// SAM ViT-B at 1024 pixels: patches of 16, windows of 14; every third layer attends to all. `last` channels leave its neck.
void declare_sam(const Sink& out, const std::string& prefix, Bytes last) {
  constexpr std::uint64_t kWidth = 768, kHead = 64, kNeck = 256, kGrid = 64, kWindow = 14;
  static const std::vector<std::uint32_t> all{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, global{2, 5, 8, 11}, local{0, 1, 3, 4, 6, 7, 9, 10};
  const Tensors top(out, "sam.", prefix);
  top.convolution("patch_embed.proj", kWidth, 3, 16, true);
  top.tensor("pos_embed", {1, kGrid, kGrid, kWidth});
  const std::string blocks = prefix + "blocks.{layer}.";
  declare_block(Tensors(out, "sam.blocks.", blocks, &all), kSamBlock, {.width = kWidth, .ffn = kWidth * 4, .heads = kWidth / kHead});
  for (const char* axis : {"attn.rel_pos_h", "attn.rel_pos_w"}) {
    Tensors(out, "sam.global.", blocks, &global).tensor(axis, {kGrid * 2 - 1, kHead});
    Tensors(out, "sam.windows.", blocks, &local).tensor(axis, {kWindow * 2 - 1, kHead});
  }
  top.convolution("neck.0", kNeck, kWidth, 1, false);
  top.norm("neck.1", kNeck, true);
  top.convolution("neck.2", kNeck, kNeck, 3, false);
  top.norm("neck.3", kNeck, true);
  top.convolution("net_2", kNeck * 2, kNeck, 3, false);
  top.convolution("net_3", last, kNeck * 2, 3, false);
}

// 1024 pixels, 16 a patch, shrunk by 4: 16 lines; crops of 640 or 768 pixels likewise.
constexpr std::uint64_t kWholeLines = 1024 / 64;

// The first one, with as many crops of 640 pixels, in a column, as its processor cuts.
std::unique_ptr<Tower> make_sam_and_clip(std::uint64_t text, std::uint64_t crops) {
  const auto list = [=](const Sink& out) {
    declare_sam(out, "model.sam_model.", 1024);
    constexpr std::uint64_t kWidth = 1024;
    static const std::vector<std::uint32_t> layers = plimsoll::layers_from(0, 24);
    const std::string prefix = "model.vision_model.";
    const Tensors top(out, "", prefix);
    top.tensor("embeddings.class_embedding", {kWidth});
    top.convolution("embeddings.patch_embedding", kWidth, 3, 14, false);
    top.tensor("embeddings.position_embedding.weight", {257, kWidth});
    top.norm("pre_layrnorm", kWidth, true); // as it is spelt
    declare_block(Tensors(out, "layers.", prefix + "transformer.layers.{layer}.", &layers), kOcrClipBlock,
                  {.width = kWidth, .ffn = kWidth * 4, .heads = 16});
    const Tensors join(out, "", "model.");
    join.linear("projector.layers", text, kWidth * 2);
    for (const char* separator : {"image_newline", "view_seperator"}) join.tensor(separator, {text}); // likewise
  };
  constexpr std::uint64_t kCropLines = 640 / 64;
  const std::uint64_t rows = kWholeLines * (kWholeLines + 1) + crops * kCropLines * (kCropLines + 1) + 1;
  return listed(list, {rows, 64 * 64 + crops * 40 * 40, 768});
}

} // namespace

// The whole picture: 16 x 17 + 1 rows; 6 crops: 60 x 11. Together 933.
std::unique_ptr<Tower> make_deepseek_ocr(const PartKeys&, std::uint64_t text) { return make_sam_and_clip(text, 6); }
// Unlimited-OCR cuts 32: 16 x 17 + 1 + 320 x 11 = 3,793.
std::unique_ptr<Tower> make_unlimited_ocr(const PartKeys&, std::uint64_t text) { return make_sam_and_clip(text, 32); }

// The whole picture: 256 rows; 6 crops of 768 pixels: 144 rows each; a separator: 1,121.
std::unique_ptr<Tower> make_deepseek_ocr2(const PartKeys&, std::uint64_t text) {
  const auto list = [=](const Sink& out) {
    constexpr std::uint64_t kWidth = 896;
    declare_sam(out, "model.sam_model.", kWidth);
    static const std::vector<std::uint32_t> layers = plimsoll::layers_from(0, 24);
    const std::string prefix = "model.qwen2_model.";
    declare_block(Tensors(out, "layers.", prefix + "model.model.layers.{layer}.", &layers), kQwenBlock,
                  {.width = kWidth, .ffn = 4864, .heads = 14, .norm_bias = false, .out_bias = false, .ffn_bias = false, .kv_heads = 2});
    const Tensors top(out, "", prefix);
    top.norm("model.model.norm", kWidth, false);
    top.tensor("query_768.weight", {144, kWidth});
    top.tensor("query_1024.weight", {256, kWidth});
    const Tensors join(out, "", "model.");
    join.linear("projector.layers", text, kWidth);
    join.tensor("view_seperator", {text}); // as it is spelt
  };
  constexpr std::uint64_t kCrops = 6;
  return listed(list, {256 + kCrops * 144 + 1, 64 * 64 + kCrops * 48 * 48, 768});
}

} // namespace vlm
