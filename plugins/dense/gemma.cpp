// The quirks of Gemma 3n and 4 (quirks.hpp says what a quirk is): layers that borrow the cache of earlier ones, embeddings for
// each layer; in Gemma 4 also full layers with wider heads of a number of their own, and the norms around a mixture of experts.
// The experts themselves are counted by the family of experts. Threads: pure functions.
//
// Worked example, gemma-4-26B-A4B (h 2816, 16 heads, 30 layers): 25 window layers, 8 key/value heads of 256; 5 full layers,
// 2 heads of 512 whose values are their keys. Attention: 25 x (2 x 4096 + 2 x 2048) x 2816 + 5 x (2 x 8192 + 1024) x 2816.
#include <algorithm>
#include <string>

#include "model.hpp"
#include "quirks.hpp"

namespace dense {

using plimsoll::Aspect;
using plimsoll::Bytes;
using plimsoll::Config;
using plimsoll::Error;
using plimsoll::KvKind;
using plimsoll::Stage;
using plimsoll::Weight;

namespace {

void in_every_layer(Model& model, Aspect aspect, const char* label, const char* name, std::initializer_list<Bytes> dims,
                    bool linear = false) {
  Weight weight(aspect, label, std::string("model.layers.{layer}.") + name, dims);
  weight.layers(model.all_layers);
  if (linear) weight.linear();
  model.extras.push_back(std::move(weight));
}

// The last layers look into the cache of the last layer of their kind before them.
std::uint64_t borrowing_layers(const Config& config, const Model& model) {
  const std::uint64_t borrowers = config.u64("/num_kv_shared_layers", 0), n = model.layers.size();
  if (borrowers < n) return borrowers;
  throw Error(PLIMSOLL_E_CONFIG, "/num_kv_shared_layers",
              "is " + std::to_string(borrowers) + "; fewer than the " + std::to_string(n) + " layers were expected");
}

// One table for all layers, a projection of the usual embedding beside it, and in each layer a gate and a way back.
void add_layer_embeddings(const Config& config, Model& model, std::uint64_t width) {
  const Bytes all = Bytes(width) * model.layers.size(), h = model.hidden, w = width;
  const Bytes rows = config.positive("/vocab_size_per_layer_input");
  model.extras.push_back(Weight(Aspect::kEmbed, "embedding.per_layer", "model.embed_tokens_per_layer.weight", {rows, all}).vocab());
  model.extras.push_back(
      Weight(Aspect::kEmbed, "embedding.per_layer_projection", "model.per_layer_model_projection.weight", {all, h}).linear().split(0));
  model.extras.emplace_back(Aspect::kEmbed, "embedding.per_layer_norm", "model.per_layer_projection_norm.weight",
                            std::initializer_list<Bytes>{w});
  in_every_layer(model, Aspect::kAttention, "per_layer_input_gate", "per_layer_input_gate.weight", {w, h}, true);
  in_every_layer(model, Aspect::kAttention, "per_layer_projection", "per_layer_projection.weight", {h, w}, true);
  in_every_layer(model, Aspect::kAttention, "post_per_layer_input_norm", "post_per_layer_input_norm.weight", {h});
}

} // namespace

// Worked example, gemma-3n-E4B (h 2048, 35 layers): 262,144 x 35 x 256 elements in the embeddings for each layer, 4 streams of
// which 3 are projected in and out, a side path of rank 64.
void gemma3n(const Config& config, Model& model) {
  const Bytes h = model.hidden, streams = config.positive("/altup_num_inputs"), rank = config.positive("/laurel_rank");
  if (Bytes(64) < streams) throw Error(PLIMSOLL_E_CONFIG, "/altup_num_inputs", "is above 64; check the value");
  const std::uint64_t borrowers = borrowing_layers(config, model);
  for (std::size_t i = model.layers.size() - borrowers; i < model.layers.size(); ++i) model.layers[i].attention.borrows = true;
  const Aspect attention = Aspect::kAttention;
  in_every_layer(model, attention, "altup.correct_output_scale", "altup.correct_output_scale", {h});
  in_every_layer(model, attention, "altup.correction_coefs", "altup.correction_coefs.weight", {streams, streams});
  in_every_layer(model, attention, "altup.prediction_coefs", "altup.prediction_coefs.weight", {streams * streams, streams});
  in_every_layer(model, attention, "altup.modality_router", "altup.modality_router.weight", {streams, h});
  in_every_layer(model, attention, "altup.router_norm", "altup.router_norm.weight", {h});
  in_every_layer(model, attention, "laurel.linear_left", "laurel.linear_left.weight", {rank, h}, true);
  in_every_layer(model, attention, "laurel.linear_right", "laurel.linear_right.weight", {h, rank}, true);
  in_every_layer(model, attention, "laurel.post_laurel_norm", "laurel.post_laurel_norm.weight", {h});
  for (std::uint64_t i = 0; Bytes(i) + 1 < streams; ++i) {
    const std::string number = std::to_string(i);
    model.extras.push_back(Weight(Aspect::kEmbed, "altup_projections", "model.altup_projections." + number + ".weight", {h, h}).linear());
    model.extras.push_back(
        Weight(Aspect::kHead, "altup_unembed_projections", "model.altup_unembed_projections." + number + ".weight", {h, h})
            .linear()
            .stage(Stage::kLast));
  }
  add_layer_embeddings(config, model, config.positive("/hidden_size_per_layer_input"));
}

void gemma4(const Config& config, Model& model) {
  const std::uint64_t wide = config.positive("/global_head_dim");
  const bool value_is_key = config.boolean("/attention_k_eq_v", false);
  const std::uint64_t full_kv_heads = value_is_key ? config.u64("/num_global_key_value_heads", model.kv_heads) : model.kv_heads;
  const std::uint64_t borrowers = borrowing_layers(config, model), n = model.layers.size();
  const bool double_wide = config.boolean("/use_double_wide_mlp", false);

  model.layers.back().span = {}; // the class makes the last layer a full one
  for (std::size_t i = 0; i < n; ++i) {
    Layer& layer = model.layers[i];
    if (layer.span.kind == KvKind::kFull) {
      layer.attention.kv_heads = full_kv_heads;
      layer.attention.k_elements = layer.attention.v_elements = wide;
      layer.attention.value_is_key = value_is_key;
    }
    if (i + borrowers < n) continue;
    layer.attention.borrows = true; // its projections are stored all the same
    if (double_wide) layer.ffn.width = (Bytes(layer.ffn.width) * 2).value();
  }

  in_every_layer(model, Aspect::kAttention, "layer_scalar", "layer_scalar", {1});
  if (config.boolean("/enable_moe_block", false))
    for (const char* norm : {"post_feedforward_layernorm_1", "post_feedforward_layernorm_2", "pre_feedforward_layernorm_2"})
      in_every_layer(model, Aspect::kAttention, norm, (std::string(norm) + ".weight").c_str(), {model.hidden});
  if (const std::uint64_t width = config.u64("/hidden_size_per_layer_input", 0); width > 0) add_layer_embeddings(config, model, width);
}

} // namespace dense
