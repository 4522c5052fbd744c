// See quirks.hpp. Facts come from the classes' published code; each worked example is a published total.
#include "quirks.hpp"

#include <algorithm>
#include <string>

namespace encoder {

using plimsoll::Aspect;
using plimsoll::Bytes;
using plimsoll::Config;
using plimsoll::Error;
using plimsoll::ExpertStorage;
using plimsoll::Role;
using plimsoll::Stage;
using plimsoll::Weight;

namespace {

constexpr std::uint64_t kMaxRows = 1ULL << 24, kMaxAdapters = 256, kMaxRank = 4096;

void with_bias(Model& m, const Weight& weight) {
  m.extras.push_back(weight);
  m.extras.push_back(weight.bias());
}

bool lists(const Config& config, const char* key, std::string_view word) {
  if (!config.find_len(key)) return config.str(key, "").find(word) != std::string_view::npos; // "c2p|p2c"
  const auto words = config.str_list(key);
  return std::find(words.begin(), words.end(), word) != words.end();
}

} // namespace

// One group of layers is run again and again, so that it is one layer of weights, behind a matrix from the narrower embedding.
// albert-base-v2, 12 runs of one layer, 128 wide words: 11,683,584.
void albert(const Config& config, Model& m) {
  if (config.u64("/inner_group_num", 1) != 1)
    throw Error(PLIMSOLL_E_UNSUPPORTED, "/inner_group_num", "groups of several layers are not planned");
  m.word_elements = config.positive("/embedding_size");
  m.layers = plimsoll::layers_from(0, plimsoll::checked_layers(config.u64("/num_hidden_groups", 1), "/num_hidden_groups"));
  m.normed_layers = m.dense_layers = m.layers;
  with_bias(m, m.of_encoder(Aspect::kEmbed, "encoder.embedding_hidden_mapping_in.weight", {m.hidden, m.word_elements}));
}

// A weight for each word and a vector for each token beside the one of the text, in files beside the checkpoint.
void bge_m3(const Config&, Model& m) {
  for (const auto& [name, rows] : {std::pair<std::string, Bytes>("sparse_linear", 1), {"colbert_linear", m.hidden}})
    with_bias(m, Weight(Aspect::kHead, name, name + ".weight", {rows, m.hidden}).stage(Stage::kLast));
}

// Positions are relative: a table of distances beside the layers, or a convolution. mxbai-rerank-base-v1, 512 distances: 184,422,913.
void deberta(const Config& config, Model& m) {
  const Bytes h = m.hidden;
  if (!config.boolean("/position_biased_input", true)) m.positions = 0;
  if (config.u64("/embedding_size", m.hidden) != m.hidden)
    throw Error(PLIMSOLL_E_UNSUPPORTED, "/embedding_size", "differs from the hidden size; such an embedding is not planned");
  if (config.boolean("/relative_attention", false)) {
    const auto buckets = config.find_i64("/position_buckets").value_or(-1),
               distance = config.find_i64("/max_relative_positions").value_or(-1);
    const std::uint64_t span = plimsoll::bounded(buckets > 0    ? static_cast<std::uint64_t>(buckets)
                                                 : distance > 0 ? static_cast<std::uint64_t>(distance)
                                                                : config.positive("/max_position_embeddings"),
                                                 kMaxRows, "/position_buckets");
    m.extras.push_back(m.of_encoder(Aspect::kAttention, "encoder.rel_embeddings.weight", {Bytes(span) * 2, h}));
    if (lists(config, "/norm_rel_ebd", "layer_norm")) with_bias(m, m.of_encoder(Aspect::kAttention, "encoder.LayerNorm.weight", {h}));
    if (!config.boolean("/share_att_key", false))
      for (const auto& [way, name] :
           {std::pair("c2p", "attention.self.pos_key_proj.weight"), {"p2c", "attention.self.pos_query_proj.weight"}})
        if (lists(config, "/pos_att_type", way)) with_bias(m, m.in_layers(Aspect::kAttention, name, {h, h}, m.layers));
  }
  const std::uint64_t kernel = plimsoll::bounded(config.u64("/conv_kernel_size", 0), kMaxRows, "/conv_kernel_size");
  if (kernel == 0) return;
  m.extras.push_back(m.of_encoder(Aspect::kAttention, "encoder.conv.conv.weight", {h, h, kernel}));
  m.extras.push_back(m.of_encoder(Aspect::kAttention, "encoder.conv.conv.bias", {h}));
  with_bias(m, m.of_encoder(Aspect::kAttention, "encoder.conv.LayerNorm.weight", {h}));
}

// The small one's words are half as wide as its layers. electra-base-discriminator, where they are as wide: 108,891,648.
void electra(const Config& config, Model& m) {
  m.word_elements = config.positive("/embedding_size");
  if (m.word_elements != m.hidden) with_bias(m, m.of_encoder(Aspect::kEmbed, "embeddings_project.weight", {m.hidden, m.word_elements}));
}

void ernie(const Config& config, Model& m) {
  if (!config.boolean("/use_task_id", false)) return;
  const std::uint64_t tasks = plimsoll::bounded(config.u64("/task_type_vocab_size", 3), kMaxRows, "/task_type_vocab_size");
  m.extras.push_back(m.of_encoder(Aspect::kEmbed, "embeddings.task_type_embeddings.weight", {tasks, m.hidden}));
}

// Adapters for a task each lie in the file, and engines add one of them to the weights as they load these. jina-embeddings-v3, five of
// rank 4: 5 x 4 x ((250,002 + h) + (1 + h) + 24 (6 h + 2 (h + I)) + 2 h) = 12,946,300 of 572,310,396.
void flash(const Config& config, Model& m) {
  const std::uint64_t adapters = plimsoll::bounded(config.find_len("/lora_adaptations").value_or(0), kMaxAdapters, "/lora_adaptations");
  if (adapters == 0) return;
  const std::uint64_t rank = plimsoll::bounded(config.positive("/lora_rank"), kMaxRank, "/lora_rank");
  const Bytes n = adapters, r = rank, h = m.hidden, i = m.ffn_width;
  const std::string way = ".parametrizations.weight.";
  m.stored = way + "original";
  const auto add = [&](Weight weight) { m.extras.push_back(weight.role(Role::kUnused)); };
  const auto table = [&](std::string_view name, Bytes rows) {
    add(m.of_encoder(Aspect::kEmbed, std::string(name) + way + "0.lora_A", {n, rows, r}));
    add(m.of_encoder(Aspect::kEmbed, std::string(name) + way + "0.lora_B", {n, r, h}));
  };
  table(m.names.words, m.vocab);
  if (m.types > 0) table(m.names.types, m.types);
  const auto linear = [&](Aspect aspect, std::string_view name, Bytes out, Bytes in) {
    add(m.in_layers(aspect, std::string(name) + way + "0.lora_A", {n, r, in}, m.layers));
    add(m.in_layers(aspect, std::string(name) + way + "0.lora_B", {n, out, r}, m.layers));
  };
  linear(Aspect::kAttention, m.names.qkv, h * 3, h);
  linear(Aspect::kAttention, m.names.o, h, h);
  linear(Aspect::kFfn, m.names.up, i, h);
  linear(Aspect::kFfn, m.names.down, h, i);
  if (m.ending != Ending::kModel) return;
  add(m.of_encoder(Aspect::kHead, "pooler.dense" + way + "0.lora_A", {n, r, h}));
  add(m.of_encoder(Aspect::kHead, "pooler.dense" + way + "0.lora_B", {n, h, r}));
}

void gte(const Config& config, Model& m) {
  m.norm_bias = config.str("/layer_norm_type", "layer_norm") != "rms_norm";
  if (config.boolean("/pack_qkv", true)) return;
  m.names.qkv = "";
  m.names.q = "attention.q_proj";
  m.names.k = "attention.k_proj";
  m.names.v = "attention.v_proj";
}

// The first layer's attention stands right behind the embedding's norm. gte-modernbert-base: 149,014,272.
void modern(const Config&, Model& m) { m.normed_layers.erase(m.normed_layers.begin()); }

void mpnet(const Config& config, Model& m) {
  const std::uint64_t buckets =
      plimsoll::bounded(config.u64("/relative_attention_num_buckets", 32), kMaxRows, "/relative_attention_num_buckets");
  m.extras.push_back(m.of_encoder(Aspect::kAttention, "encoder.relative_attention_bias.weight", {buckets, m.heads}));
}

// Two thirds of what the configuration says, in steps of eight: the gate takes the third part.
void neobert(const Config&, Model& m) {
  const std::uint64_t width = (Bytes(m.ffn_width) * 2 / 3).value();
  m.ffn_width = (width + 7) / 8 * 8;
}

// Every second layer may have experts, in two tensors: nomic-embed-text-v2-moe, 8 of them in 6 of 12 layers: 475,292,928.
void nomic(const Config& config, Model& m) {
  if (config.str("/activation_function", "gelu") == "swiglu") {
    m.names.up = "mlp.fc11";
    m.names.gate = "mlp.fc12";
  }
  const std::uint64_t every = config.u64("/moe_every_n_layers", 0);
  if (every == 0) return;
  m.experts = plimsoll::bounded(config.positive("/num_experts"), plimsoll::kMaxExperts, "/num_experts");
  m.experts_per_token = config.u64("/moe_top_k", 1);
  m.dense_layers.clear();
  for (const std::uint32_t i : m.layers) (i % every == 1 ? m.expert_layers : m.dense_layers).push_back(i);
  m.extras.push_back(m.in_layers(Aspect::kFfn, "mlp.router.layer.weight", {m.experts, m.hidden}, m.expert_layers));
  for (const char* name : {"mlp.experts.mlp.w1", "mlp.experts.mlp.w2"}) {
    Weight weight = m.in_layers(Aspect::kFfn, name, {m.ffn_width, m.hidden}, m.expert_layers);
    m.extras.push_back(weight.experts(m.experts, 0, ExpertStorage::kConcatenated));
  }
  m.extras.push_back(m.in_layers(Aspect::kFfn, "mlp.experts.bias", {m.hidden}, m.expert_layers));
}

// Hidden states look into a table of latents. NV-Embed-v2, 512 of them, 8 heads of 4,096, an FFN of four times the width: 740,356,096.
void nvembed(const Config& config, Model& m) {
  const std::string at = "/latent_attention_config";
  const Bytes h = m.hidden, inner = Bytes(config.u64(at + "/num_cross_heads", 8)) * config.u64(at + "/cross_dim_head", 4096);
  const Bytes wide = h * config.u64(at + "/mult", 4), rows = config.u64(at + "/num_latents_value", 512);
  const std::string name = "latent_attention_model.";
  const auto make = [&](const std::string& tensor, std::initializer_list<Bytes> dims) {
    return Weight(Aspect::kHead, name + tensor, name + tensor, dims).stage(Stage::kLast);
  };
  m.extras.push_back(make("latents", {rows, h}));
  for (const char* norm :
       {"cross_attend_blocks.0.norm.weight", "cross_attend_blocks.0.norm_context.weight", "cross_attend_blocks.1.norm.weight"})
    with_bias(m, make(norm, {h}));
  m.extras.push_back(make("cross_attend_blocks.0.fn.to_q.weight", {inner, h}));
  m.extras.push_back(make("cross_attend_blocks.0.fn.to_kv.weight", {inner * 2, h}));
  m.extras.push_back(make("cross_attend_blocks.0.fn.to_out.weight", {h, inner}));
  with_bias(m, make("cross_attend_blocks.1.fn.net.0.weight", {wide * 2, h}));
  with_bias(m, make("cross_attend_blocks.1.fn.net.2.weight", {h, wide}));
}

} // namespace encoder
