// The quirks of single model_types; quirks.hpp says what a quirk is. Each is a few lines and names the keys it reads.
#include "quirks.hpp"

#include <algorithm>
#include <string>

#include "model.hpp"

namespace dense {

using plimsoll::Aspect;
using plimsoll::Bytes;
using plimsoll::Config;
using plimsoll::Error;
using plimsoll::KvKind;
using plimsoll::Part;
using plimsoll::Role;
using plimsoll::Stage;
using plimsoll::Weight;

namespace {

void set_kv_heads(Model& model, std::uint64_t kv_heads) {
  model.kv_heads = kv_heads;
  for (Layer& layer : model.layers) layer.attention.kv_heads = kv_heads;
}

void set_ffn_width(Model& model, std::uint64_t width) {
  model.ffn_width = width;
  model.ffn_known = true;
  for (Layer& layer : model.layers) layer.ffn.width = width;
}

constexpr std::uint64_t kMostPasses = 64; // over the same layers

// The word under a key that may hold something else; empty then.
std::string_view word(const Config& config, std::string_view pointer) {
  plimsoll_str text{nullptr, 0};
  const bool is_text = config.host()->get_str(config.view(), plimsoll::to_str(pointer), &text) == PLIMSOLL_OK;
  return is_text ? plimsoll::to_view(text) : std::string_view();
}

// A table with one row for each position.
void add_positions(Model& model, const char* pattern, std::uint64_t rows) {
  if (model.max_length == 0) throw Error(PLIMSOLL_E_CONFIG, "/max_position_embeddings", "is missing; it sizes the table of positions");
  model.extras.emplace_back(Aspect::kEmbed, "embedding.positions", pattern, std::initializer_list<Bytes>{rows, model.hidden});
}

// nemotron-nas: the width of an FFN from its multiplier: two thirds of it times the hidden size, up to a multiple of 256.
// Worked example: Llama-3.3-Nemotron-Super-49B, ffn_mult 5.25, hidden 8192: trunc(28672.0) = 28672.
std::uint64_t nas_width(const Config& config, const std::string& pointer, std::uint64_t hidden) {
  const double multiplier = config.find_f64(pointer).value_or(0);
  const double width = 2.0 * multiplier * static_cast<double>(hidden) / 3.0;
  if (!(width >= 1.0 && width < 1e12))
    throw Error(PLIMSOLL_E_CONFIG, pointer, "is missing or out of range; the FFN's multiplier, such as 2.625, was expected");
  return (static_cast<std::uint64_t>(width) + 255) / 256 * 256;
}

Attention nas_attention(const Config& config, const std::string& block, const Attention& usual) {
  if (config.boolean(block + "/no_op", false)) return {};
  if (config.boolean(block + "/replace_with_linear", false)) return {.linear = true};
  Attention attention = usual;
  const std::uint64_t group = config.positive(block + "/n_heads_in_group");
  if (usual.heads % group != 0)
    throw Error(PLIMSOLL_E_CONFIG, block + "/n_heads_in_group",
                "is " + std::to_string(group) + "; a divisor of the " + std::to_string(usual.heads) + " heads was expected");
  attention.kv_heads = usual.heads / group;
  return attention;
}

Ffn nas_ffn(const Config& config, const std::string& block, std::uint64_t hidden) {
  if (config.boolean(block + "/no_op", false)) return {.none = true};
  if (config.boolean(block + "/replace_with_linear", false)) return {.linear = true};
  if (const auto width = config.find_u64(block + "/intermediate_size")) return {.width = *width};
  return {.width = nas_width(config, block + "/ffn_mult", hidden)};
}

} // namespace

// Four parameters of the activation function per layer: two are learned, two are constants stored beside them.
void apertus(const Config& config, Model& model) {
  if (config.str("/hidden_act", "xielu") != "xielu") return;
  for (const char* name : {"alpha_n", "alpha_p", "beta", "eps"}) {
    const bool scalar = name[0] == 'b' || name[0] == 'e';
    Weight weight(Aspect::kFfn, std::string("mlp.act_fn.") + name, std::string("model.layers.{layer}.mlp.act_fn.") + name,
                  std::initializer_list<Bytes>{1});
    if (scalar)
      weight = Weight(Aspect::kFfn, std::string("mlp.act_fn.") + name, std::string("model.layers.{layer}.mlp.act_fn.") + name, {});
    model.extras.push_back(weight.layers(model.all_layers));
  }
}

// A norm behind the embedding.
void bloom(const Config&, Model& model) {
  for (const char* part : {"weight", "bias"})
    model.extras.emplace_back(Aspect::kEmbed, std::string("embedding.norm.") + part, std::string("word_embeddings_layernorm.") + part,
                              std::initializer_list<Bytes>{model.hidden});
}

// Key/value heads under a name of their own, and one stored vector of rotary frequencies for the whole model.
void chatglm(const Config& config, Model& model) {
  set_kv_heads(model, config.boolean("/multi_query_attention", false) ? config.positive("/multi_query_group_num") : model.heads);
  model.extras.emplace_back(Aspect::kAttention, "rotary.inv_freq", "transformer.rotary_pos_emb.inv_freq",
                            std::initializer_list<Bytes>{model.head_elements / 4});
  model.extras.back().role(Role::kUnused);
  model.dialect.norm_bias = !config.boolean("/rmsnorm", true);
}

// Three generations: 7b shares one key/value head, 40b and 180b have several and two norms side by side, 11b has one norm.
void falcon(const Config& config, Model& model) {
  const bool newer = config.boolean("/new_decoder_architecture", false);
  if (!newer) set_kv_heads(model, config.boolean("/multi_query", true) ? 1 : model.heads);
  const bool parallel = newer || config.boolean("/parallel_attn", true);
  if (newer && config.u64("/num_ln_in_parallel_attn", 2) == 2) model.dialect.norms = {"ln_attn", "ln_mlp"};
  else if (parallel) model.dialect.norms = {"input_layernorm"};
}

// GLM-4.5 stores copies of the embedding and the head inside its draft layer; later ones, made for more tokens, do not.
void glm4_moe(const Config&, Model& model) {
  static constexpr std::uint64_t kTokensOfGlm45 = 131072;
  static constexpr Draft kWithoutCopies{
      .layer = "model.layers.{layer}.", .norms = {"enorm", "hnorm", "shared_head.norm"}, .projection = "eh_proj"};
  if (model.max_length != kTokensOfGlm45) model.dialect.draft = &kWithoutCopies;
}

// A table of positions, and in every layer the causal mask: stored, never loaded.
void gpt2(const Config&, Model& model) {
  add_positions(model, "wpe.weight", model.max_length);
  Weight mask(Aspect::kAttention, "attention.mask", "h.{layer}.attn.bias", {1, 1, model.max_length, model.max_length});
  model.extras.push_back(mask.layers(model.all_layers).role(Role::kUnused));
}

void gpt_bigcode(const Config& config, Model& model) {
  set_kv_heads(model, config.boolean("/multi_query", true) ? 1 : model.heads);
  add_positions(model, "transformer.wpe.weight", model.max_length);
}

// Norms behind attention and FFN too, where the configuration asks for them.
void hyperclovax(const Config& config, Model& model) {
  if (config.boolean("/use_post_norm", false))
    model.dialect.norms = {"input_layernorm", "post_norm1", "post_attention_layernorm", "post_norm2"};
}

// Layers run loop_num times; later passes mix what the first one cached with a window of their own. Worked example:
// IQuest-Coder-V1-40B-Loop, 80 layers twice: 327,680 bytes a token, and as much again for each of the last 64. A gate of each head: 129
// elements.
void iquest_loop(const Config& config, Model& model) {
  const std::uint64_t loops = plimsoll::bounded(config.u64("/loop_num", 2), kMostPasses, "/loop_num");
  for (std::uint64_t i = 1; i < loops; ++i) model.passes.push_back({KvKind::kWindow, config.positive("/loop_window_size")});
  Weight gate(Aspect::kAttention, "attention.loop_gate", "model.gate_projections.{layer}.weight", {model.heads, model.head_elements});
  gate.layers(model.all_layers).heads(0, model.heads);
  model.extras.push_back(gate);
  model.extras.push_back(gate.bias());
}

// Chameleon's norms on queries and keys have biases, head by head. 7B, 32 heads of 128: 2 x 4,096 in each layer.
void chameleon(const Config&, Model& model) {
  for (const auto& [name, heads] : {std::pair("q_norm", model.heads), std::pair("k_norm", model.kv_heads)}) {
    Weight bias(Aspect::kAttention, std::string("attention.") + name + ".bias",
                std::string("model.layers.{layer}.self_attn.") + name + ".bias", {heads, model.head_elements});
    model.extras.push_back(std::move(bias.layers(model.all_layers).heads(0, heads, heads != model.heads)));
  }
}

// Intern-S1-Pro turns by a learnt mixture of frequencies, the same in every layer: two matrices of them for each key/value head. All are
// used where the configuration does not say how many.
void interns1_pro(const Config& config, Model& model) {
  const std::uint64_t all = model.head_elements / 2;
  const std::uint64_t used = std::min(all, config.find_u64("/rope_scaling/num_inv_freq").value_or(all));
  for (const char* name : {"sin_coef", "cos_coef"})
    model.extras.emplace_back(Aspect::kAttention, std::string("attention.") + name, std::string("model.rotary_emb.") + name,
                              std::initializer_list<Bytes>{model.kv_heads, used, used});
}

// An FFN of two matrices where nothing gates it; positions of its own where there is no ALiBi.
void jais(const Config& config, Model& model) {
  if (config.str("/activation_function", "gelu") != "swiglu") model.names.gate = "";
  if (config.str("/position_embedding_type", "learned") != "alibi") add_positions(model, "transformer.wpe.weight", model.max_length);
}

// Query heads of each layer's own number, and a gate on what heads give: one for each head, or for each of its elements.
// Worked example: Laguna-XS.2, 10 full layers of 48 query heads, 30 with windows of 512 and 64, all with 8 key/value heads.
void laguna(const Config& config, Model& model) {
  const auto heads = config.u64_list("/num_attention_heads_per_layer");
  if (!heads.empty() && heads.size() != model.layers.size())
    throw Error(PLIMSOLL_E_CONFIG, "/num_attention_heads_per_layer",
                "has " + std::to_string(heads.size()) + " entries; one for each of the " + std::to_string(model.layers.size()) +
                    " layers was expected");
  const bool sinks = config.boolean("/swa_attention_sink_enabled", false);
  for (std::size_t i = 0; i < model.layers.size(); ++i) {
    if (!heads.empty()) model.layers[i].attention.heads = heads[i];
    model.layers[i].attention.sinks = sinks && model.layers[i].span.kind == KvKind::kWindow;
  }
  model.dialect.sinks = "sink";
  const std::string_view gating = word(config, "/gating"); // a word, or true for one of each head
  model.head_gate = gating.empty() ? config.boolean("/gating", true) : true;
  model.dialect.head_gate_wide = !gating.empty() && gating != "per-head";
}

// OLMo's keys: one word ties the head, and the table may have more rows than the vocabulary.
void llada(const Config& config, Model& model) {
  model.tied = config.boolean("/weight_tying", false);
  model.qkv_bias = config.boolean("/include_qkv_bias", config.boolean("/include_bias", false));
  if (config.has("/embedding_size")) model.vocab = model.embedding_rows = config.positive("/embedding_size");
}

// Two kinds of layers: 1 in hybrid_layer_pattern has a window and heads of its own numbers. Draft layers are of that kind.
// Worked example: MiMo-V2-Flash, 64 query heads; 9 full layers with 4 key/value heads, 39 with 8 and a window of 128;
// a head's key has 192 elements, its value 128. No key tells of the draft layers or of sinks in its full layers: both follow
// from the published total, as does it that MiMo-V2.5-Pro has none in its ten.
void mimo_v2(const Config& config, Model& model) {
  const auto pattern = config.u64_list("/hybrid_layer_pattern");
  if (pattern.size() != model.layers.size())
    throw Error(PLIMSOLL_E_CONFIG, "/hybrid_layer_pattern",
                "has " + std::to_string(pattern.size()) + " entries; one for each of the " + std::to_string(model.layers.size()) +
                    " layers was expected");
  Attention full = model.layers.front().attention;
  full.v_elements = config.u64("/v_head_dim", full.k_elements);
  full.sinks = config.boolean("/full_layers_have_sinks", false);
  const Layer windowed{{config.positive("/swa_num_attention_heads"), config.positive("/swa_num_key_value_heads"),
                        config.positive("/swa_head_dim"), config.positive("/swa_v_head_dim")},
                       {KvKind::kWindow, config.positive("/sliding_window")},
                       model.layers.front().ffn};
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == 0) model.layers[i].attention = full;
    else model.layers[i] = windowed;
  }
  model.draft = windowed;
  if (config.str("/attention_projection_layout", "") == "fused_qkv") model.names.qkv = "qkv_proj";
}

// The language model is another one in each version: Llama 3 in 2.5, Qwen 2 in 2.6, MiniCPM in 4, Qwen 3 in 4.5.
void minicpmv(const Config& config, Model& model) {
  const std::string_view text = word(config, "/version");
  const double number = text.empty() ? config.find_f64("/version").value_or(0) : 0;
  if (number == 2.6 || text == "2.6") model.qkv_bias = true;
  if (number == 4.5 || text == "4.5") model.qk_norm = QkNorm::kHead;
}

// Some layers look at an image: their keys and values come from it, and gates let them in. Eight extra rows of the
// embedding stand for image tokens.
void mllama(const Config& config, Model& model) {
  model.embedding_rows += 8;
  for (const std::uint64_t i : config.u64_list("/cross_attention_layers")) {
    if (i >= model.layers.size())
      throw Error(PLIMSOLL_E_CONFIG, "/cross_attention_layers",
                  "names layer " + std::to_string(i) + "; the model has " + std::to_string(model.layers.size()) + " layers");
    model.layers[i].attention.cross = true;
    model.layers[i].span = {KvKind::kCross, config.positive("/cross_attention_tokens")};
  }
}

// A table of positions; the head is the embedding.
void whisper(const Config& config, Model& model) {
  add_positions(model, "model.decoder.embed_positions.weight", model.max_length);
  model.tied = config.boolean("/tie_word_embeddings", true);
}

// The embedding is a parameter of its own, and a second one has the rows that were added later. intermediate_size counts gate and up.
void molmo(const Config& config, Model& model) {
  molmo2(config, model);
  for (Layer& layer : model.layers) layer.ffn.width /= 2;
}

void molmo2(const Config& config, Model& model) {
  const std::uint64_t rows = config.u64("/embedding_size", model.vocab), more = config.u64("/additional_vocab_size", 128);
  model.extras.push_back(Weight(Aspect::kEmbed, "embedding", "model.transformer.wte.embedding", {rows, model.hidden}).vocab());
  model.extras.emplace_back(Aspect::kEmbed, "embedding.added", "model.transformer.wte.new_embedding",
                            std::initializer_list<Bytes>{more, model.hidden});
  if (config.str("/qk_norm_type", "") == "qwen3") model.qk_norm = model.qk_norm == QkNorm::kNone ? QkNorm::kNone : QkNorm::kHead;
}

// ALiBi takes the place of learned positions.
void mpt(const Config& config, Model& model) {
  if (config.boolean("/learned_pos_emb", true) && !config.boolean("/attn_config/alibi", true))
    add_positions(model, "transformer.wpe.weight", model.max_length);
}

// block_configs says of every layer whether it has attention and an FFN and how wide they are.
void nemotron_nas(const Config& config, Model& model) {
  const std::uint64_t blocks = config.find_len("/block_configs").value_or(0);
  if (blocks != model.layers.size())
    throw Error(PLIMSOLL_E_CONFIG, "/block_configs",
                "has " + std::to_string(blocks) + " entries; one for each of the " + std::to_string(model.layers.size()) +
                    " layers was expected");
  for (std::size_t i = 0; i < model.layers.size(); ++i) {
    const std::string block = "/block_configs/" + std::to_string(i);
    model.layers[i].attention = nas_attention(config, block + "/attention", model.layers[i].attention);
    model.layers[i].ffn = nas_ffn(config, block + "/ffn", model.hidden);
  }
  model.ffn_known = true;
}

// OLMo normalises without learned weights.
void no_final_norm(const Config&, Model& model) { model.names.final_norm = ""; }

// Positions start at 2; the smallest model embeds in a narrower space and projects.
void opt(const Config& config, Model& model) {
  add_positions(model, "model.decoder.embed_positions.weight", model.max_length + 2);
  model.embedding_width = config.u64("/word_embed_proj_dim", model.hidden);
  if (!config.boolean("/do_layer_norm_before", true)) model.names.final_norm = "";
  if (model.embedding_width == model.hidden) return;
  const Bytes narrow = model.embedding_width, wide = model.hidden;
  model.extras.emplace_back(Aspect::kEmbed, "embedding.project_in", "model.decoder.project_in.weight",
                            std::initializer_list<Bytes>{wide, narrow});
  model.extras.emplace_back(Aspect::kHead, "head.project_out", "model.decoder.project_out.weight",
                            std::initializer_list<Bytes>{narrow, wide});
  model.extras.back().stage(Stage::kLast);
}

// All layers run total_ut_steps times, and every pass caches. Worked example: Ouro-1.4B, 24 layers of 16 heads of 128, four times:
// 786,432 bytes a token.
void ouro(const Config& config, Model& model) {
  const std::uint64_t steps = plimsoll::bounded(config.u64("/total_ut_steps", 4), kMostPasses, "/total_ut_steps");
  for (std::uint64_t i = 1; i < steps; ++i) model.passes.push_back({});
  Weight gate(Aspect::kHead, "early_exit_gate", "model.early_exit_gate.weight", {1, model.hidden});
  gate.stage(Stage::kLast);
  model.extras.push_back(gate);
  model.extras.push_back(gate.bias());
}

// Two keys for the biases of queries, keys and values, another for all of attention; norms behind the blocks where asked for.
void pangu(const Config& config, Model& model) {
  model.o_bias = config.boolean("/attention_bias", false) || config.boolean("/bias", false);
  model.qkv_bias = config.boolean("/qkv_bias", model.o_bias);
  if (config.boolean("/sandwich_norm", false))
    model.dialect.norms = {"input_layernorm", "post_attention_layernorm", "pre_mlp_layernorm", "post_mlp_layernorm"};
}

// Low-rank adapters for images and for speech beside every linear layer. Worked example: ranks 256 and 320 over the four layers
// of 32 blocks, (8192 + 6144 + 19456 + 11264) x 576 x 32 = 830,472,192 parameters.
void phi4mm(const Config& config, Model& model) {
  const Bytes h = model.hidden, f = model.ffn_width, q = Bytes(model.heads) * model.head_elements,
              kv = Bytes(model.kv_heads) * model.head_elements;
  const std::initializer_list<Part> heads{{q.value(), model.heads}, {kv.value(), model.kv_heads, true}, {kv.value(), model.kv_heads, true}};
  const std::initializer_list<Part> both{{f.value(), 0}, {f.value(), 0}};
  for (const std::string kind : {"speech", "vision"}) {
    const std::uint64_t rank = config.u64("/" + kind + "_lora/r", 0);
    if (rank == 0) continue;
    // The narrow way in and the way out; `parts` of what comes out, none where the layer is split by what goes in.
    const auto adapt = [&](Aspect aspect, const std::string& layer, Bytes out, Bytes in, std::initializer_list<Part> parts,
                           std::uint64_t in_units) {
      const std::string name = "model.layers.{layer}." + layer, label = "lora." + kind + "." + layer;
      Weight a(aspect, label + ".a", name + ".lora_A." + kind + ".weight", {rank, in});
      Weight b(aspect, label + ".b", name + ".lora_B." + kind + ".weight", {out, rank});
      if (parts.size() == 0) a.heads(1, in_units);
      else b.parts(0, parts);
      model.extras.push_back(a.layers(model.all_layers));
      model.extras.push_back(b.layers(model.all_layers));
    };
    adapt(Aspect::kAttention, "self_attn.qkv_proj", q + kv + kv, h, heads, 0);
    adapt(Aspect::kAttention, "self_attn.o_proj", h, q, {}, model.heads);
    adapt(Aspect::kFfn, "mlp.gate_up_proj", f * 2, h, both, 0);
    adapt(Aspect::kFfn, "mlp.down_proj", h, f, {}, 0);
  }
}

// Granite 4 H without experts: the FFN that the other ones have beside theirs. GGUF files know only the usual key.
void granite_hybrid(const Config& config, Model& model) {
  set_ffn_width(model, config.positive_of({"/shared_intermediate_size", "/intermediate_size"}));
}

// LFM2: two thirds of the stated width, up to a multiple. Worked example: LFM2-1.2B states 12288 and has 8192.
void lfm2(const Config& config, Model& model) {
  const std::uint64_t stated = config.positive_of({"/block_ff_dim", "/intermediate_size"});
  if (!config.boolean("/block_auto_adjust_ff_dim", true)) return set_ffn_width(model, stated);
  if (stated > (std::uint64_t{1} << 32)) throw Error(PLIMSOLL_E_CONFIG, "/block_ff_dim", "is above 2^32; a width was expected");
  const double factor = config.find_f64("/block_ffn_dim_multiplier").value_or(1.0);
  if (!(factor > 0.0 && factor < 1024.0))
    throw Error(PLIMSOLL_E_CONFIG, "/block_ffn_dim_multiplier", "is out of range; a factor above 0 and below 1024 was expected");
  const auto width = static_cast<std::uint64_t>(factor * static_cast<double>(stated * 2 / 3));
  const std::uint64_t multiple = config.has("/block_multiple_of") ? config.positive("/block_multiple_of") : 256;
  set_ffn_width(model, (plimsoll::ceil_div(width, multiple) * Bytes(multiple)).value());
}

// RecurrentGemma: attention looks at a window, and the key holds the width of gate and up together.
void recurrent_gemma(const Config& config, Model& model) {
  set_ffn_width(model, config.positive("/intermediate_size") / 2);
  for (Layer& layer : model.layers) layer.span = {KvKind::kWindow, config.positive("/attention_window_size")};
}

// The key holds the width of gate and up together.
void qwen1(const Config&, Model& model) { set_ffn_width(model, model.ffn_width / 2); }

// Falcon 40b before it was called Falcon: always the newer decoder.
void refined_web(const Config&, Model& model) { model.dialect.norms = {"ln_attn", "ln_mlp"}; }

// Step-3: one key/value head for all, and queries that come through a narrower space.
void step3(const Config& config, Model& model) {
  set_kv_heads(model, 1);
  model.query_rank = config.u64("/share_q_dim", model.head_elements);
}

// Attention and FFN may run side by side behind one norm.
void stablelm(const Config& config, Model& model) {
  if (config.boolean("/use_parallel_residual", false)) model.dialect.norms = {"input_layernorm"};
}

} // namespace dense
