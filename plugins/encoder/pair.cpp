// See pair.hpp. Worked example: clip-vit-base-patch32. Text: 49,408 words, 77 positions of 512, 12 layers of 3,152,384 and a norm:
// 63,165,952. Image: 50 positions of 768, a convolution of 2,359,296, 12 layers of 7,087,872, two norms: 87,456,000. Projections to 512
// and a scale: 655,361. 151,277,313 together, the published total.
#include "pair.hpp"

namespace encoder {

using plimsoll::Aspect;
using plimsoll::Bytes;
using plimsoll::Config;
using plimsoll::Error;
using plimsoll::Sink;
using plimsoll::Stage;
using plimsoll::Weight;

namespace {

constexpr std::uint64_t kMaxSide = 65536;

// Tensors of one tower, or of its layers, which all count for one aspect: the image's lie on the first stage.
class Site {
public:
  Site(const Sink& out, Aspect attention, Aspect ffn, std::string prefix, const std::vector<std::uint32_t>* layers = nullptr)
      : out_(out), attention_(attention), ffn_(ffn), prefix_(std::move(prefix)), layers_(layers) {}

  void tensor(const std::string& name, std::initializer_list<Bytes> dims, bool bias = false) const {
    out_.weight(make(attention_, name, dims), bias);
  }
  void norm(const std::string& name, Bytes n) const { tensor(name + ".weight", {n}, true); }
  // Attention and FFN, each behind a norm.
  void block(const Pair::Tower& t) const {
    for (const char* name : {"q_proj", "k_proj", "v_proj"})
      out_.weight(make(attention_, std::string("self_attn.") + name + ".weight", {t.width, t.width}).linear().heads(0, t.heads), true);
    out_.weight(make(attention_, "self_attn.out_proj.weight", {t.width, t.width}).linear().heads(1, t.heads), true);
    out_.weight(make(ffn_, "mlp.fc1.weight", {t.ffn, t.width}).linear().split(0), true);
    out_.weight(make(ffn_, "mlp.fc2.weight", {t.width, t.ffn}).linear().split(1), true);
    norm("layer_norm1", t.width);
    norm("layer_norm2", t.width);
  }

private:
  Weight make(Aspect aspect, const std::string& name, std::initializer_list<Bytes> dims) const {
    Weight weight(aspect, prefix_ + name, prefix_ + name, dims);
    if (layers_ != nullptr) weight.layers(*layers_);
    if (aspect == Aspect::kVision) weight.stage(Stage::kFirst);
    return weight;
  }
  const Sink& out_;
  Aspect attention_, ffn_;
  std::string prefix_;
  const std::vector<std::uint32_t>* layers_;
};

Site of_text(const Sink& out, const std::string& prefix, const std::vector<std::uint32_t>* layers = nullptr) {
  return {out, Aspect::kAttention, Aspect::kFfn, prefix, layers};
}
Site of_image(const Sink& out, const std::string& prefix, const std::vector<std::uint32_t>* layers = nullptr) {
  return {out, Aspect::kVision, Aspect::kVision, prefix, layers};
}

} // namespace

Pair::Tower::Tower(const Config& config, const std::string& at)
    : width(config.positive(at + "/hidden_size")), ffn(config.positive(at + "/intermediate_size")),
      heads(config.positive(at + "/num_attention_heads")) {
  plimsoll::check_divides(heads, width, at + "/num_attention_heads");
  layers = plimsoll::layers_from(0, plimsoll::checked_layers(config.u64(at + "/num_hidden_layers"), at + "/num_hidden_layers"));
}

Pair::Pair(const Config& config)
    : siglip_(config.model_type().substr(0, 6) == "siglip"), text_(config, "/text_config"), image_(config, "/vision_config"),
      vocab_(config.positive("/text_config/vocab_size")), text_positions_(config.positive("/text_config/max_position_embeddings")),
      patch_(plimsoll::bounded(config.positive("/vision_config/patch_size"), kMaxSide, "/vision_config/patch_size")),
      channels_(config.u64("/vision_config/num_channels", 3)),
      projection_(siglip_ ? config.u64("/text_config/projection_size", text_.width) : config.positive("/projection_dim")) {
  side_ = plimsoll::bounded(config.positive("/vision_config/image_size"), kMaxSide, "/vision_config/image_size") / patch_;
  if (side_ == 0) throw Error(PLIMSOLL_E_CONFIG, "/vision_config/patch_size", "is larger than the image; check both");
}

void Pair::weights(const Sink& out) const {
  text_weights(out);
  image_weights(out);
  const auto scalar = [&](const char* name) { out.weight(Weight(Aspect::kHead, name, name, {1}).stage(Stage::kLast)); };
  scalar("logit_scale");
  if (siglip_) return scalar("logit_bias");
  out.weight(Weight(Aspect::kHead, "text_projection", "text_projection.weight", {projection_, text_.width}).stage(Stage::kLast));
  out.weight(Weight(Aspect::kVision, "visual_projection", "visual_projection.weight", {projection_, image_.width}));
}

void Pair::text_weights(const Sink& out) const {
  const std::string at = "text_model.";
  const auto table = [&](const char* name, Bytes rows) {
    return Weight(Aspect::kEmbed, name, at + "embeddings." + name + ".weight", {rows, text_.width});
  };
  out.weight(table("token_embedding", vocab_).vocab());
  out.weight(table("position_embedding", text_positions_));
  of_text(out, at + "encoder.layers.{layer}.", &text_.layers).block(text_);
  out.weight(Weight(Aspect::kHead, "final_layer_norm", at + "final_layer_norm.weight", {text_.width}).stage(Stage::kLast), true);
  if (siglip_) out.weight(Weight(Aspect::kHead, "text_head", at + "head.weight", {projection_, text_.width}).stage(Stage::kLast), true);
}

void Pair::image_weights(const Sink& out) const {
  const std::string at = "vision_model.";
  const Site stem = of_image(out, at);
  const Bytes w = image_.width, patches = Bytes(side_) * side_;
  if (!siglip_) stem.tensor("embeddings.class_embedding", {w});
  stem.tensor("embeddings.patch_embedding.weight", {w, channels_, patch_, patch_});
  if (siglip_) stem.tensor("embeddings.patch_embedding.bias", {w});
  stem.tensor("embeddings.position_embedding.weight", {siglip_ ? patches : patches + 1, w});
  if (!siglip_) stem.norm("pre_layrnorm", w); // as the checkpoints spell it
  of_image(out, at + "encoder.layers.{layer}.", &image_.layers).block(image_);
  stem.norm("post_layernorm", w);
  if (siglip_) image_pooler(out);
}

// One learnt query looks at all patches.
void Pair::image_pooler(const Sink& out) const {
  const Site head = of_image(out, "vision_model.head.");
  const Bytes w = image_.width, f = image_.ffn;
  head.tensor("probe", {1, 1, w});
  head.tensor("attention.in_proj_weight", {w * 3, w});
  head.tensor("attention.in_proj_bias", {w * 3});
  head.tensor("attention.out_proj.weight", {w, w}, true);
  head.norm("layernorm", w);
  head.tensor("mlp.fc1.weight", {f, w}, true);
  head.tensor("mlp.fc2.weight", {w, f}, true);
}

} // namespace encoder
