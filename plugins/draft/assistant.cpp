// See assistant.hpp. Source: the class as vLLM and the transformers library have it. Sizes stand in `text_config`, but for the target's
// width and the centroids, of which the nearest say which tokens are scored.
#include "assistant.hpp"

#include <string>

namespace draft {

using plimsoll::Aspect;
using plimsoll::Bytes;
using plimsoll::Config;
using plimsoll::Sink;
using plimsoll::Stage;
using plimsoll::Weight;

bool is_assistant(std::string_view architecture) {
  return architecture == "Gemma4MTPModel" || architecture == "Gemma4AssistantForCausalLM" ||
         architecture == "Gemma4UnifiedAssistantForCausalLM";
}

Assistant::Assistant(const Config& config) {
  const std::string text = config.has("/hidden_size") ? "" : "/text_config";
  hidden_ = config.positive(text + "/hidden_size");
  backbone_ = config.find_u64("/backbone_hidden_size").value_or(hidden_);
  heads_ = config.positive(text + "/num_attention_heads");
  narrow_ = config.positive(text + "/head_dim");
  wide_ = config.find_u64(text + "/global_head_dim").value_or(narrow_);
  ffn_width_ = config.positive(text + "/intermediate_size");
  vocab_ = config.positive(text + "/vocab_size");
  max_length_ = config.find_u64(text + "/max_position_embeddings").value_or(0);
  bias_ = config.boolean(text + "/attention_bias", false);
  if (config.boolean("/use_ordered_embeddings", false)) centroids_ = config.find_u64("/num_centroids").value_or(2048);
  const std::string count = text + "/num_hidden_layers";
  all_ = plimsoll::layers_from(0, plimsoll::checked_layers(config.positive(count), count));
  const auto types = config.str_list(text + "/layer_types");
  if (types.size() != all_.size())
    throw plimsoll::Error(PLIMSOLL_E_CONFIG, text + "/layer_types",
                          "has " + std::to_string(types.size()) + " entries; " + std::to_string(all_.size()) +
                              " were expected, one per layer");
  for (const std::uint32_t layer : all_) (types[layer] == "full_attention" ? full_ : windowed_).push_back(layer);
}

void Assistant::layers_of(const std::vector<std::uint32_t>& layers, std::uint64_t head_elements, const Sink& out) const {
  if (layers.empty()) return;
  const plimsoll::Site at{"model.layers.{layer}.", "", &layers};
  const Bytes q = Bytes(heads_) * Bytes(head_elements);
  out.weight(at.weight(Aspect::kAttention, "attention.q_proj", "self_attn.q_proj.weight", {q, hidden_}).linear().heads(0, heads_), bias_);
  out.weight(at.weight(Aspect::kAttention, "attention.o_proj", "self_attn.o_proj.weight", {hidden_, q}).linear().heads(1, heads_), bias_);
  out.weight(at.weight(Aspect::kAttention, "attention.q_norm", "self_attn.q_norm.weight", {head_elements}));
}

void Assistant::ends(const Sink& out) const {
  const auto single = [&](Aspect aspect, const char* label, const char* name, std::initializer_list<Bytes> dims) {
    return Weight(aspect, label, name, dims).stage(Stage::kLast);
  };
  out.weight(single(Aspect::kEmbed, "embedding", "model.embed_tokens.weight", {vocab_, hidden_}).vocab());
  out.weight(single(Aspect::kHead, "pre_projection", "pre_projection.weight", {hidden_, Bytes(2) * Bytes(backbone_)}).linear());
  out.weight(single(Aspect::kHead, "post_projection", "post_projection.weight", {backbone_, hidden_}).linear());
  out.weight(single(Aspect::kHead, "final_norm", "model.norm.weight", {hidden_}));
  if (centroids_ == 0) return;
  out.weight(single(Aspect::kHead, "centroids", "masked_embedding.centroids.weight", {centroids_, hidden_}));
  out.weight(single(Aspect::kHead, "token_ordering", "masked_embedding.token_ordering", {vocab_}).dtype("int64"));
}

void Assistant::weights(const Sink& out) const {
  ends(out);
  layers_of(windowed_, narrow_, out);
  layers_of(full_, wide_, out);
  const plimsoll::Site all{"model.layers.{layer}.", "", &all_};
  for (const char* name : {"gate_proj", "up_proj"})
    out.weight(all.weight(Aspect::kFfn, std::string("mlp.") + name, std::string("mlp.") + name + ".weight", {ffn_width_, hidden_})
                   .linear()
                   .split(0));
  out.weight(all.weight(Aspect::kFfn, "mlp.down_proj", "mlp.down_proj.weight", {hidden_, ffn_width_}).linear().split(1));
  for (const char* name : {"input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm"})
    out.weight(all.weight(Aspect::kAttention, name, std::string(name) + ".weight", {hidden_}));
  out.weight(all.weight(Aspect::kAttention, "layer_scalar", "layer_scalar", {1}));
}

plimsoll_facts Assistant::facts() const {
  plimsoll_facts facts{};
  facts.n_layers = static_cast<std::uint32_t>(all_.size());
  facts.max_length = max_length_;
  facts.hidden_elements = hidden_;
  facts.vocab_tokens = vocab_;
  facts.query_heads = heads_;
  return facts;
}

} // namespace draft
