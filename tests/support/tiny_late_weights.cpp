#include "support/tiny_late_weights.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <utility>

#include "support/tiny_random.hpp"

namespace plimsoll::test {
namespace late_weights {

using nlohmann::json;

// Names of one model_type. Empty: the model has no such tensor.
struct Words {
  std::string_view type, embedding, layer, attention, output, norm = "", ffn_norm = "", up = "", down = "", final_norm = "", head = "";
  bool fused = true; // queries, keys and values in one tensor, `qkv`
  std::string_view qkv = "query_key_value";
  bool biases = false; // of linear layers, all but the head
  bool norm_biases = false;
  std::uint64_t up_twice = 1; // gate and up in one
};
constexpr std::array<Words, 6> kWords{{
    {.type = "opt",
     .embedding = "model.decoder.embed_tokens",
     .layer = "model.decoder.layers.",
     .attention = "self_attn.",
     .output = "out_proj",
     .norm = "self_attn_layer_norm",
     .ffn_norm = "final_layer_norm",
     .up = "fc1",
     .down = "fc2",
     .final_norm = "model.decoder.final_layer_norm",
     .fused = false,
     .biases = true,
     .norm_biases = true},
    {.type = "bloom",
     .embedding = "word_embeddings",
     .layer = "h.",
     .attention = "self_attention.",
     .output = "dense",
     .norm = "input_layernorm",
     .ffn_norm = "post_attention_layernorm",
     .up = "mlp.dense_h_to_4h",
     .down = "mlp.dense_4h_to_h",
     .final_norm = "ln_f",
     .biases = true,
     .norm_biases = true},
    {.type = "mpt",
     .embedding = "transformer.wte",
     .layer = "transformer.blocks.",
     .attention = "attn.",
     .output = "out_proj",
     .norm = "norm_1",
     .ffn_norm = "norm_2",
     .up = "ffn.up_proj",
     .down = "ffn.down_proj",
     .final_norm = "transformer.norm_f",
     .qkv = "Wqkv"},
    {.type = "falcon",
     .embedding = "transformer.word_embeddings",
     .layer = "transformer.h.",
     .attention = "self_attention.",
     .output = "dense",
     .norm = "input_layernorm",
     .up = "mlp.dense_h_to_4h",
     .down = "mlp.dense_4h_to_h",
     .final_norm = "transformer.ln_f",
     .head = "lm_head",
     .norm_biases = true},
    {.type = "olmo",
     .embedding = "model.embed_tokens",
     .layer = "model.layers.",
     .attention = "self_attn.",
     .output = "o_proj",
     .up = "mlp.up_proj",
     .down = "mlp.down_proj",
     .head = "lm_head",
     .fused = false},
    {.type = "chatglm",
     .embedding = "transformer.embedding.word_embeddings",
     .layer = "transformer.encoder.layers.",
     .attention = "self_attention.",
     .output = "dense",
     .norm = "input_layernorm",
     .ffn_norm = "post_attention_layernorm",
     .up = "mlp.dense_h_to_4h",
     .down = "mlp.dense_4h_to_h",
     .final_norm = "transformer.encoder.final_layernorm",
     .head = "transformer.output_layer",
     .up_twice = 2},
}};

const Words* find_words(std::string_view type) {
  const auto* const found = std::find_if(kWords.begin(), kWords.end(), [&](const Words& words) { return words.type == type; });
  return found == kWords.end() ? nullptr : found;
}

// Gains over 1 / sqrt(columns), as in tiny_weights.cpp.
constexpr float kHeadGain = 3, kQueryGain = 2, kFusedGain = 1.5F, kBias = 0.125F, kTiedGain = 0.25F;
constexpr std::int64_t kTiedNorm = 12;

class Weights {
public:
  Weights(const json& config, std::uint64_t seed) : config_(config), seed_(seed) {}

  std::vector<TinyTensor> all() {
    const bool tied = words_.head.empty();
    add(std::string(words_.embedding) + ".weight", {vocab_, hidden_}, tied ? kTiedGain : std::sqrt(static_cast<float>(hidden_)), hidden_);
    if (is("opt")) add("model.decoder.embed_positions.weight", {count({"max_position_embeddings"}) + 2, hidden_}, kTiedGain, hidden_);
    if (is("bloom")) norm("word_embeddings_layernorm", 0); // small, so that a tied head does not repeat the last token for ever
    for (std::uint64_t n = 0; n < count({"num_hidden_layers", "n_layer", "n_layers", "num_layers"}); ++n)
      layer(std::string(words_.layer) + std::to_string(n) + ".");
    norm(words_.final_norm, tied ? kTiedNorm : 1);
    if (!tied) matrix(std::string(words_.head), vocab_, hidden_, kHeadGain, false);
    if (is("chatglm")) out_.push_back({"transformer.rotary_pos_emb.inv_freq", {head_ / 4}, std::vector<float>(head_ / 4, 1)}); // never read
    return std::move(out_);
  }

private:
  std::uint64_t count(std::initializer_list<const char*> keys, std::uint64_t otherwise = 0) const {
    for (const char* const key : keys)
      if (const auto found = config_.find(key); found != config_.end()) return found->get<std::uint64_t>();
    return otherwise;
  }
  bool is(std::string_view type) const { return words_.type == type; }

  void add(std::string name, std::vector<std::uint64_t> shape, float gain, std::uint64_t columns) {
    std::uint64_t elements = 1;
    for (const std::uint64_t dim : shape) elements *= dim;
    std::vector<float> values = draw_uniform(seed_, name, elements, gain * std::sqrt(3.0F / static_cast<float>(columns)));
    out_.push_back({std::move(name), std::move(shape), std::move(values)});
  }
  void bias(const std::string& name, std::uint64_t width) {
    std::vector<float> values = draw_uniform(seed_, name + ".bias", width, kBias);
    out_.push_back({name + ".bias", {width}, std::move(values)});
  }
  void matrix(const std::string& name, std::uint64_t rows, std::uint64_t columns, float gain, bool biased) {
    add(name + ".weight", {rows, columns}, gain, columns);
    if (biased) bias(name, rows);
  }
  void norm(std::string_view name, std::int64_t center) {
    if (name.empty()) return;
    const std::string weight = std::string(name) + ".weight";
    out_.push_back({weight, {hidden_}, draw_around(seed_, weight, hidden_, center, center == 0 ? 250 : 100 * center)});
    if (words_.norm_biases) bias(std::string(name), hidden_);
  }

  void layer(const std::string& at) {
    const std::string attention = at + std::string(words_.attention);
    const std::uint64_t q = heads_ * head_, kv = kv_heads_ * head_;
    const bool biases = words_.biases;
    if (words_.fused) {
      matrix(attention + std::string(words_.qkv), q + 2 * kv, hidden_, kFusedGain, biases || is("chatglm"));
    } else {
      matrix(attention + "q_proj", q, hidden_, kQueryGain, biases);
      matrix(attention + "k_proj", kv, hidden_, 1, biases);
      matrix(attention + "v_proj", kv, hidden_, 1, biases);
    }
    matrix(attention + std::string(words_.output), hidden_, q, 1, biases);
    if (is("olmo")) matrix(at + "mlp.gate_proj", ffn_, hidden_, 1, false);
    matrix(at + std::string(words_.up), words_.up_twice * ffn_, hidden_, 1, biases);
    matrix(at + std::string(words_.down), hidden_, ffn_, 1, biases);
    if (!words_.norm.empty()) norm(at + std::string(words_.norm), 1);
    if (!words_.ffn_norm.empty()) norm(at + std::string(words_.ffn_norm), 1);
  }

  const json& config_;
  std::uint64_t seed_;
  const Words& words_ = *find_words(config_.at("model_type").get<std::string>());
  std::uint64_t hidden_ = count({"hidden_size", "d_model"}), heads_ = count({"num_attention_heads", "n_head", "n_heads"}),
                head_ = hidden_ / heads_, kv_heads_ = is("falcon") ? 1 : count({"num_key_value_heads", "multi_query_group_num"}, heads_),
                vocab_ = count({"vocab_size", "padded_vocab_size"}),
                ffn_ = count({"intermediate_size", "ffn_hidden_size", "ffn_dim"}, hidden_*count({"expansion_ratio"}, 4));
  std::vector<TinyTensor> out_;
};

} // namespace late_weights

bool is_tiny_late(const nlohmann::json& config) { return late_weights::find_words(config.at("model_type").get<std::string>()) != nullptr; }

std::vector<TinyTensor> tiny_late_weights(const nlohmann::json& config, std::uint64_t seed) {
  return late_weights::Weights(config, seed).all();
}

} // namespace plimsoll::test
