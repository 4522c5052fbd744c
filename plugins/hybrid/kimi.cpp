// Kimi-Linear and the text of Kimi-K3: Kimi delta attention in three layers of four, latent attention without positions in the
// rest, experts in all but the first. In K3 every layer attends to the residuals of earlier blocks. Any thread.
//
// Example: Kimi-K3, 69 and 24 layers, 896 experts: 2,722,740,830,208 parameters in experts, 11,122,432 in float32 and
// 56,732,525,568 of 16 bits, as published (with 447,358,976 of its tower). Kimi-Linear-48B-A3B: 49,122,681,728 in 20,493
// tensors of 98,245,528,576 B, as its index says.
#include "models.hpp"

namespace hybrid {
namespace {

// Layers counted from 1, ascending.
Layers listed(const Config& config, const char* pointer, std::uint32_t n) {
  Layers out;
  for (const std::uint64_t number : config.u64_list(pointer)) {
    if (number == 0 || number > n || (!out.empty() && number - 1 <= out.back()))
      throw Error(PLIMSOLL_E_CONFIG, pointer,
                  "names layer " + std::to_string(number) + "; layers from 1 to " + std::to_string(n) + " were expected, ascending");
    out.push_back(static_cast<std::uint32_t>(number - 1));
  }
  return out;
}

// K3's is not described.
KimiDelta read_delta(const Config& config, std::uint64_t hidden) {
  KimiDelta m{hidden, config.positive("/linear_attn_config/num_heads"), config.positive("/linear_attn_config/head_dim"),
              config.positive("/linear_attn_config/short_conv_kernel_size"),
              config.boolean("/linear_attn_config/use_full_rank_gate", false) ? KimiGates::kFullOutput : KimiGates::kLowRank};
  if (m.gates == KimiGates::kLowRank) m.epsilon = config.find_f64("/rms_norm_eps").value_or(0);
  return m;
}

// The mix of earlier blocks' residuals that comes before a mixer, an FFN or the head.
void add_residual_mixes(Model& model) {
  const Place layer(model, "model.layers.{layer}.", "", kAttention, model.all());
  for (const std::string name : {"self_attention_res", "mlp_res"}) {
    layer.add(layer.norm(name + "_norm", model.hidden));
    layer.add(layer.weight(name + "_proj.weight", {1, model.hidden}));
  }
  const auto last = [](Weight w) { return w.stage(Stage::kLast); };
  model.weights.push_back(last(Weight(kHead, "head.res_norm", "model.output_attn_res_norm.weight", {model.hidden})));
  model.weights.push_back(last(Weight(kHead, "head.res_proj", "model.output_attn_res_proj.weight", {1, model.hidden})));
}

} // namespace

void fill_kimi(const Config& config, Model& model) {
  if (config.u64("/num_nextn_predict_layers", 0) > 0)
    throw Error(PLIMSOLL_E_UNSUPPORTED, "/num_nextn_predict_layers", "is not 0; draft layers of this family are not known");
  const Layers delta = listed(config, "/linear_attn_config/kda_layers", model.layers);
  const Layers latent = listed(config, "/linear_attn_config/full_attn_layers", model.layers);
  if (without(model.layers, delta) != latent)
    throw Error(PLIMSOLL_E_CONFIG, "/linear_attn_config/full_attn_layers", "and kda_layers do not name every layer once");
  model.ask("mla", kEmbed | kAttention | kFfn | kHead, {{{kAttention, "self_attn.", latent}}, latent});
  if (config.has("/attn_res_block_size")) add_residual_mixes(model);
  else model.frame = Frame{.mixer_norm = "input_norm", .ffn_norm = "post_attention_norm"};
  add_kimi_delta(Place(model, "model.layers.{layer}.self_attn.", "delta.", kState, delta), read_delta(config, model.hidden));
}

} // namespace hybrid
