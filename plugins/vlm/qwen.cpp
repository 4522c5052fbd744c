// The towers of Qwen2-VL, Qwen2.5-VL and Qwen3-VL (Qwen3.5 has the last one too): patches of two frames, blocks, a merger of
// merge x merge neighbours into one row. Made by the planner's constructor. README.md has the worked totals.
#include "qwen.hpp"

#include <algorithm>
#include <utility>

namespace vlm {
namespace {

using plimsoll::Bytes;
using plimsoll::Sink;
namespace op = plimsoll::op;

constexpr double kTheta = 10000, kEpsilon = 1e-6; // of the class, in no configuration

constexpr BlockNames kQwen2Block{{"norm1", "norm2"}, "attn.qkv", "", "", "", "attn.proj", "", "mlp.fc1", "mlp.fc2"};
constexpr BlockNames kQwen3Block{{"norm1", "norm2"}, "attn.qkv", "", "", "", "attn.proj", "", "mlp.linear_fc1", "mlp.linear_fc2"};

class QwenTower : public Tower {
public:
  QwenTower(const PartKeys& keys, std::uint64_t text, std::uint64_t width, std::string_view out_key, std::string prefix)
      : layers_(keys.layer_list("/depth")), width_(width), heads_(keys.number("/num_heads", 0)), out_(keys.number(out_key, text)),
        patch_(keys.positive("/patch_size", "/spatial_patch_size")), frames_(keys.positive("/temporal_patch_size")),
        channels_(keys.positive("/in_chans", "/in_channels")), merge_(keys.positive("/spatial_merge_size")),
        max_pixels_(keys.positive("/max_image_pixels")), prefix_(std::move(prefix)) {
    if (text != 0 && out_ != text)
      keys.refuse(out_key,
                  "is " + std::to_string(out_) + ", the language model is " + std::to_string(text) + " wide; the two must be equal");
  }

  // Qwen2-VL: 12,845,056 pixels, patches of 14, merge 2: 65,536 patches, 16,384 rows. Qwen3-VL: 16,777,216 pixels, patches of
  // 16: the same.
  Media largest_image() const override {
    const Bytes area = Bytes(patch_) * patch_, merged = area * merge_ * merge_;
    return {(Bytes(max_pixels_) / merged).value(), (Bytes(max_pixels_) / area).value(), width_};
  }

protected:
  // The patches as rows of the encoder's width, in windows of so many blocks a side or without, and frequencies of their rows and columns:
  // half of a head's pairs each.
  plimsoll::Value embed(const plimsoll::Pipeline& out, bool bias, std::uint64_t window = 0) const {
    const plimsoll::PatchSizes sizes{channels_, frames_, patch_, merge_, window};
    const plimsoll::Value pixels = out.value(Bytes(channels_) * frames_ * patch_ * patch_, 0, plimsoll::Rows::kPatches);
    out.set(pixels, op::Patches(sizes));
    return rows(out, width_, op::Linear(pixels, "vision.patch_embed.proj").bias(bias ? "vision.patch_embed.proj.bias" : ""));
  }
  plimsoll::RopeTable frequencies(const plimsoll::Pipeline& out) const {
    plimsoll::RopeFrequencies of = plimsoll::rope::plain(kTheta, head() / 2);
    of.inverse.insert(of.inverse.end(), of.inverse.begin(), of.inverse.end());
    return out.table(of);
  }
  std::uint64_t head() const {
    if (heads_ == 0 || width_ % heads_ != 0 || width_ / heads_ % 4 != 0)
      plimsoll::no_pipeline("/vision_config/num_heads", "for an encoder of these heads");
    return width_ / heads_;
  }
  // Attention of all patches to each other, or `apart` within their windows, onto x.
  void attend(plimsoll::Value x, plimsoll::Value normed, plimsoll::RopeTable table, const plimsoll::Pipeline& out,
              bool apart = false) const {
    const auto part = [&](std::uint32_t n) {
      return rows(out, width_, op::Linear(normed, "vision.blocks.attn.qkv").bias("vision.blocks.attn.qkv.bias").part(n));
    };
    const plimsoll::Value q = part(0), k = part(1), v = part(2);
    for (const plimsoll::Value turned : {q, k})
      out.set(turned, op::RopeSections(turned, table, {0, head() / 4, head() / 4}).columns(heads_, head(), 0, head()));
    const plimsoll::Value seen = rows(out, width_, op::AttendWhole(q, k, v, {heads_, heads_, head(), head()}).apart(apart));
    out.add(x, op::Linear(seen, "vision.blocks.attn.proj").bias("vision.blocks.attn.proj.bias"));
  }
  // What the text takes: neighbours side by side, through two linear layers.
  void merge(plimsoll::Value normed, plimsoll::Value result, const plimsoll::Pipeline& out) const {
    const auto merged_value = [&] { return out.value(merged(), 0, plimsoll::Rows::kMerged); };
    const plimsoll::Value side_by_side = merged_value(), hidden = merged_value();
    out.set(side_by_side, op::MergeRows(normed, merge_ * merge_));
    out.set(hidden, op::Linear(side_by_side, "vision.merger.mlp.0").bias("vision.merger.mlp.0.bias"));
    out.set(hidden, op::Gate(hidden, plimsoll::Activation::kGelu));
    out.set(result, op::Linear(hidden, "vision.merger.mlp.2").bias("vision.merger.mlp.2.bias"));
  }
  template <class Op>
  static plimsoll::Value rows(const plimsoll::Pipeline& out, Bytes width, const Op& op) {
    const plimsoll::Value value = out.value(width, 0, plimsoll::Rows::kPatches);
    out.set(value, op);
    return value;
  }

  void stem(const Sink& out, bool bias) const {
    Tensors(out, "patch_embed.", prefix_ + "patch_embed.").convolution("proj", width_, channels_, patch_, bias, frames_);
  }
  void blocks(const Sink& out, const BlockNames& names, const BlockShape& shape) const {
    declare_block(Tensors(out, "blocks.", prefix_ + "blocks.{layer}.", &layers_), names, shape);
  }
  Bytes merged() const { return Bytes(width_) * merge_ * merge_; }
  // Blocks along the side of a window of so many pixels.
  std::uint64_t blocks_of(std::uint64_t pixels) const {
    const std::uint64_t block = patch_ * merge_;
    if (pixels < block || pixels % block != 0)
      plimsoll::no_pipeline("/vision_config/window_size", "for windows that are no blocks of " + std::to_string(block) + " pixels");
    return pixels / block;
  }
  std::uint64_t out_width() const { return out_; }

  std::vector<std::uint32_t> layers_;
  std::uint64_t width_, heads_, out_, patch_, frames_, channels_, merge_, max_pixels_;
  std::string prefix_;
};

class Qwen2Tower : public QwenTower {
public:
  // Here hidden_size is the width of the output and embed_dim the encoder's. No text: no merger either.
  // `described`: its forward pass is that of Qwen2-VL's class, and so is its text's.
  Qwen2Tower(const PartKeys& keys, std::uint64_t text, std::string prefix, bool described)
      : QwenTower(keys, text, keys.positive("/embed_dim"), "/hidden_size", std::move(prefix)), act_(keys.text("/hidden_act", "quick_gelu")),
        ffn_((Bytes(width_) * keys.positive("/mlp_ratio")).value()), merger_(text != 0), described_(described) {}

  void weights(const Sink& out) const override {
    stem(out, false);
    blocks(out, kQwen2Block, {.width = width_, .ffn = ffn_, .heads = heads_});
    if (!merger_) return;
    const Tensors merger(out, "merger.", prefix_ + "merger.");
    merger.norm("ln_q", width_, true);
    merger.by_rows("mlp.0", merged(), merged());
    merger.by_columns("mlp.2", out_, merged());
  }

  bool describes() const override { return merger_ && described_; }
  // A layer: layer norm, attention, layer norm, two linear layers with a quick GELU between; its results are added.
  void describe(plimsoll::Value result, const plimsoll::Pipeline& out) const override {
    if (!describes()) return Tower::describe(result, out);
    if (act_ != "quick_gelu") plimsoll::no_pipeline("/vision_config/hidden_act", "with this activation");
    const plimsoll::Value x = embed(out, false);
    const plimsoll::RopeTable table = frequencies(out);
    for (const std::uint32_t layer : layers_) {
      const plimsoll::Pipeline of = out.of_layer(layer);
      attend(x, normed(of, x, "vision.blocks.norm1"), table, of);
      const plimsoll::Value up =
          rows(of, ffn_, op::Linear(normed(of, x, "vision.blocks.norm2"), "vision.blocks.mlp.fc1").bias("vision.blocks.mlp.fc1.bias"));
      of.set(up, op::Gate(up, plimsoll::Activation::kGeluQuick));
      of.add(x, op::Linear(up, "vision.blocks.mlp.fc2").bias("vision.blocks.mlp.fc2.bias"));
    }
    merge(normed(out, x, "vision.merger.ln_q"), result, out);
  }

private:
  plimsoll::Value normed(const plimsoll::Pipeline& out, plimsoll::Value x, const std::string& label) const {
    return rows(out, width_, op::Norm(x, label, kEpsilon).mean().bias(label + ".bias"));
  }

  std::string act_;
  std::uint64_t ffn_;
  bool merger_, described_;
};

class Qwen25Tower : public QwenTower {
public:
  // `described`: its forward pass is that of Qwen2.5-VL's class, and so is its text's.
  Qwen25Tower(const PartKeys& keys, std::uint64_t text, std::string prefix, const BlockNames& names, bool described = false)
      : QwenTower(keys, text, keys.positive("/hidden_size"), "/out_hidden_size", std::move(prefix)), names_(names),
        act_(keys.text("/hidden_act", "silu")), ffn_(keys.positive("/intermediate_size")),
        kv_heads_(keys.number("/num_key_value_heads", heads_)), window_pixels_(keys.number("/window_size", 0)), described_(described) {
    for (std::uint64_t n = 0; n < keys.length("/fullatt_block_indexes"); ++n)
      whole_.push_back(keys.number("/fullatt_block_indexes/" + std::to_string(n), layers_.size()));
  }

  void weights(const Sink& out) const override {
    stem(out, false);
    blocks(out, names_, {.width = width_, .ffn = ffn_, .heads = heads_, .norm_bias = false, .kv_heads = kv_heads_});
    const Tensors merger(out, "merger.", prefix_ + "merger.");
    merger.norm("ln_q", width_, false);
    merger.by_rows("mlp.0", merged(), merged());
    merger.by_columns("mlp.2", out_, merged());
  }

  bool describes() const override { return described_; }
  // A layer: RMS norm, attention within windows or of all, RMS norm, a gated FFN; its results are added.
  void describe(plimsoll::Value result, const plimsoll::Pipeline& out) const override {
    if (!describes()) return Tower::describe(result, out);
    if (act_ != "silu") plimsoll::no_pipeline("/vision_config/hidden_act", "with this activation");
    if (kv_heads_ != heads_) plimsoll::no_pipeline("/vision_config/num_key_value_heads", "for an encoder of these heads");
    const plimsoll::Value x = embed(out, false, blocks_of(window_pixels_));
    const plimsoll::RopeTable table = frequencies(out);
    for (const std::uint32_t layer : layers_) {
      const plimsoll::Pipeline of = out.of_layer(layer);
      const bool whole = std::find(whole_.begin(), whole_.end(), layer) != whole_.end();
      attend(x, normed(of, x, "vision.blocks.norm1"), table, of, !whole);
      const plimsoll::Value y = normed(of, x, "vision.blocks.norm2");
      const auto into = [&](const std::string& label) { return rows(of, ffn_, op::Linear(y, label).bias(label + ".bias")); };
      const plimsoll::Value gate = into("vision.blocks.mlp.gate_proj"), up = into("vision.blocks.mlp.up_proj");
      of.set(gate, op::Gate(gate, up, plimsoll::Activation::kSilu));
      of.add(x, op::Linear(gate, "vision.blocks.mlp.down_proj").bias("vision.blocks.mlp.down_proj.bias"));
    }
    const plimsoll::Value in_windows = out.value(out_width(), 0, plimsoll::Rows::kMerged);
    merge(normed(out, x, "vision.merger.ln_q"), in_windows, out);
    out.set(result, op::RowsInOrder(in_windows));
  }

private:
  plimsoll::Value normed(const plimsoll::Pipeline& out, plimsoll::Value x, const std::string& label) const {
    return rows(out, width_, op::Norm(x, label, kEpsilon));
  }

  BlockNames names_;
  std::string act_;
  std::uint64_t ffn_, kv_heads_; // EXAONE 4.5 has fewer heads of keys and values
  std::uint64_t window_pixels_;
  std::vector<std::uint64_t> whole_; // layers whose patches see all others
  bool described_;
};

struct MergerNames {
  const char *list, *norm, *first, *second;
};
constexpr MergerNames kVlMerger{"deepstack_merger_list.", "norm", "linear_fc1", "linear_fc2"};
constexpr MergerNames kOmniMerger{"merger_list.", "ln_q", "mlp.0", "mlp.2"};

// Deepstack: features of some blocks reach the language model through mergers of their own.
class Qwen3Tower : public QwenTower {
public:
  Qwen3Tower(const PartKeys& keys, std::uint64_t text, std::string prefix, const MergerNames& names)
      : QwenTower(keys, text, keys.positive("/hidden_size"), "/out_hidden_size", std::move(prefix)), names_(names),
        ffn_(keys.positive("/intermediate_size")), positions_(keys.positive("/num_position_embeddings")) {
    const std::uint64_t deep = keys.length("/deepstack_visual_indexes");
    if (deep > layers_.size())
      keys.refuse("/deepstack_visual_indexes",
                  "has " + std::to_string(deep) + " entries; the tower has " + std::to_string(layers_.size()) + " layers");
    deepstack_.assign(layers_.begin(), layers_.begin() + static_cast<std::ptrdiff_t>(deep));
  }

  void weights(const Sink& out) const override {
    stem(out, true);
    Tensors(out, "", prefix_).tensor("pos_embed.weight", {positions_, width_});
    blocks(out, kQwen3Block, {.width = width_, .ffn = ffn_, .heads = heads_});
    merger(Tensors(out, "merger.", prefix_ + "merger."), width_);
    merger(Tensors(out, "deepstack_merger.", prefix_ + names_.list + "{layer}.", &deepstack_), merged());
  }

private:
  void merger(const Tensors& out, Bytes norm) const {
    out.norm(names_.norm, norm, true);
    out.by_rows(names_.first, merged(), merged());
    out.by_columns(names_.second, out_, merged());
  }
  MergerNames names_;
  std::uint64_t ffn_, positions_;
  std::vector<std::uint32_t> deepstack_; // numbers of the mergers, not of the blocks
};

std::string prefix_of(const PartKeys& keys) { return keys.model().find_len("/text_config") ? "model.visual." : "visual."; }

} // namespace

std::unique_ptr<Tower> make_qwen2_tower(const PartKeys& keys, std::uint64_t out, std::string prefix) {
  return std::make_unique<Qwen2Tower>(keys, out, std::move(prefix), false);
}
std::unique_ptr<Tower> make_qwen2_vl(const PartKeys& keys, std::uint64_t text) {
  return std::make_unique<Qwen2Tower>(keys, text, prefix_of(keys), true);
}
std::unique_ptr<Tower> make_tarsier2(const PartKeys& keys, std::uint64_t text) { return make_qwen2_tower(keys, text, "vision_tower."); }
std::unique_ptr<Tower> make_qwen2_5_tower(const PartKeys& keys, std::uint64_t text, std::string prefix, const BlockNames& names) {
  return std::make_unique<Qwen25Tower>(keys, text, std::move(prefix), names);
}
std::unique_ptr<Tower> make_qwen2_5_vl(const PartKeys& keys, std::uint64_t text) {
  return std::make_unique<Qwen25Tower>(keys, text, prefix_of(keys), kQwen25Block, keys.model().model_type() == "qwen2_5_vl");
}
std::unique_ptr<Tower> make_opencua(const PartKeys& keys, std::uint64_t text) { return make_qwen2_5_tower(keys, text, "vision_tower."); }
std::unique_ptr<Tower> make_qwen3_tower(const PartKeys& keys, std::uint64_t text, std::string prefix) {
  return std::make_unique<Qwen3Tower>(keys, text, std::move(prefix), kVlMerger);
}
std::unique_ptr<Tower> make_qwen3_vl(const PartKeys& keys, std::uint64_t text) { return make_qwen3_tower(keys, text, "model.visual."); }
// Cosmos 3 keeps all of its reasoner's tensors at the top.
std::unique_ptr<Tower> make_cosmos3(const PartKeys& keys, std::uint64_t text) { return make_qwen3_tower(keys, text, ""); }
std::unique_ptr<Tower> make_qwen3_omni_tower(const PartKeys& keys, std::uint64_t text, std::string prefix) {
  return std::make_unique<Qwen3Tower>(keys, text, std::move(prefix), kOmniMerger);
}

} // namespace vlm
