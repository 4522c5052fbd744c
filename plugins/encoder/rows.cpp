// The table of encoders: one row for each kind. To add one, add a row; classes and defaults go to models.json. Facts come from the
// classes' published code and tensor names (README.md lists the models that were checked). Threads: constant data.
#include "rows.hpp"

#include <algorithm>
#include <iterator>

#include "quirks.hpp"

namespace encoder {
namespace {

constexpr Names kBert{};
constexpr Names kMpNet{.types = "",
                       .q = "attention.attn.q",
                       .k = "attention.attn.k",
                       .v = "attention.attn.v",
                       .o = "attention.attn.o",
                       .attention_norm = "attention.LayerNorm"};
constexpr Names kDistil{.types = "",
                        .layer = "transformer.layer.{layer}.",
                        .q = "attention.q_lin",
                        .k = "attention.k_lin",
                        .v = "attention.v_lin",
                        .o = "attention.out_lin",
                        .attention_norm = "sa_layer_norm",
                        .ffn_norm = "output_layer_norm",
                        .up = "ffn.lin1",
                        .down = "ffn.lin2"};
constexpr Names kDeberta{.q = "attention.self.query_proj", .k = "attention.self.key_proj", .v = "attention.self.value_proj"};
constexpr Names kAlbert{.layer = "encoder.albert_layer_groups.{layer}.albert_layers.0.",
                        .q = "attention.query",
                        .k = "attention.key",
                        .v = "attention.value",
                        .o = "attention.dense",
                        .attention_norm = "attention.LayerNorm",
                        .ffn_norm = "full_layer_layer_norm",
                        .up = "ffn",
                        .down = "ffn_output"};
constexpr Names kJinaBert{.positions = "", .ffn_norm = "mlp.layernorm", .up = "", .down = "mlp.wo", .gate_up = "mlp.gated_layers"};
constexpr Names kFlash{.embedding_norm = "emb_ln",
                       .layer = "encoder.layers.{layer}.",
                       .qkv = "mixer.Wqkv",
                       .o = "mixer.out_proj",
                       .attention_norm = "norm1",
                       .ffn_norm = "norm2",
                       .up = "mlp.fc1",
                       .down = "mlp.fc2"};
constexpr Names kGte{.qkv = "attention.qkv_proj",
                     .o = "attention.o_proj",
                     .attention_norm = "attn_ln",
                     .ffn_norm = "mlp_ln",
                     .up = "",
                     .down = "mlp.down_proj",
                     .gate_up = "mlp.up_gate_proj"};
constexpr Names kNomic{.positions = "",
                       .embedding_norm = "emb_ln",
                       .layer = "encoder.layers.{layer}.",
                       .qkv = "attn.Wqkv",
                       .o = "attn.out_proj",
                       .attention_norm = "norm1",
                       .ffn_norm = "norm2",
                       .up = "mlp.fc1",
                       .down = "mlp.fc2"};
constexpr Names kModern{.words = "embeddings.tok_embeddings",
                        .positions = "",
                        .types = "",
                        .embedding_norm = "embeddings.norm",
                        .layer = "layers.{layer}.",
                        .qkv = "attn.Wqkv",
                        .o = "attn.Wo",
                        .attention_norm = "attn_norm",
                        .ffn_norm = "mlp_norm",
                        .up = "",
                        .down = "mlp.Wo",
                        .gate_up = "mlp.Wi",
                        .final_norm = "final_norm"};
constexpr Names kNeoBert{.words = "encoder",
                         .positions = "",
                         .types = "",
                         .embedding_norm = "",
                         .layer = "transformer_encoder.{layer}.",
                         .qkv = "qkv",
                         .o = "wo",
                         .attention_norm = "attention_norm",
                         .ffn_norm = "ffn_norm",
                         .up = "",
                         .down = "ffn.w3",
                         .gate_up = "ffn.w12",
                         .final_norm = "layer_norm"};
// Decoders' layers that attend both ways.
constexpr Names kLlama{.words = "embed_tokens",
                       .positions = "",
                       .types = "",
                       .embedding_norm = "",
                       .layer = "layers.{layer}.",
                       .q = "self_attn.q_proj",
                       .k = "self_attn.k_proj",
                       .v = "self_attn.v_proj",
                       .o = "self_attn.o_proj",
                       .attention_norm = "input_layernorm",
                       .ffn_norm = "post_attention_layernorm",
                       .gate = "mlp.gate_proj",
                       .up = "mlp.up_proj",
                       .down = "mlp.down_proj",
                       .final_norm = "norm"};

// clang-format off
constexpr Row kRows[] = {
  {.model_type = "bert", .names = &kBert, .prefix = "bert."},
  {.model_type = "contriever", .names = &kBert, .pools_hidden = false},
  {.model_type = "albert", .names = &kAlbert, .prefix = "albert.", .heads = Heads::kAlbert, .quirk = albert},
  {.model_type = "electra", .names = &kBert, .prefix = "electra.", .heads = Heads::kElectra, .pools_hidden = false, .quirk = electra},
  {.model_type = "ernie", .names = &kBert, .prefix = "ernie.", .quirk = ernie},
  {.model_type = "roberta", .names = &kBert, .prefix = "roberta.", .heads = Heads::kRoberta, .positions_behind_padding = true},
  {.model_type = "bge_m3", .names = &kBert, .prefix = "roberta.", .heads = Heads::kRoberta, .positions_behind_padding = true, .quirk = bge_m3},
  {.model_type = "mpnet", .names = &kMpNet, .prefix = "mpnet.", .heads = Heads::kRoberta, .positions_behind_padding = true, .quirk = mpnet},
  {.model_type = "distilbert", .names = &kDistil, .prefix = "distilbert.", .heads = Heads::kDistil, .pools_hidden = false},
  {.model_type = "deberta-v2", .names = &kDeberta, .prefix = "deberta.", .pools_hidden = false, .pooler_outside = true, .quirk = deberta},
  {.model_type = "jina_bert", .names = &kJinaBert, .prefix = "bert.", .up_bias = kNever},
  {.model_type = "xlm-roberta-flash", .names = &kFlash, .prefix = "roberta.", .heads = Heads::kRoberta, .positions_behind_padding = true, .quirk = flash},
  {.model_type = "gte", .names = &kGte, .prefix = "new.", .up_bias = kNever, .pools_hidden = false, .quirk = gte},
  {.model_type = "nomic_bert", .names = &kNomic, .prefix = "bert.", .qkv_bias = "/qkv_proj_bias", .o_bias = "/qkv_proj_bias", .up_bias = "/mlp_fc1_bias", .down_bias = "/mlp_fc2_bias", .pools_hidden = false, .quirk = nomic},
  {.model_type = "modernbert", .names = &kModern, .prefix = "model.", .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .up_bias = "/mlp_bias", .down_bias = "/mlp_bias", .norm_bias = "/norm_bias", .heads = Heads::kModern, .pools_hidden = false, .quirk = modern},
  {.model_type = "neobert", .names = &kNeoBert, .prefix = "model.", .qkv_bias = kNever, .o_bias = kNever, .up_bias = kNever, .down_bias = kNever, .norm_bias = kNever, .heads = Heads::kNeo, .pools_hidden = false, .quirk = neobert},
  {.model_type = "llama_bidirec", .names = &kLlama, .prefix = "model.", .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .up_bias = "/mlp_bias", .down_bias = "/mlp_bias", .norm_bias = kNever, .heads = Heads::kScore, .pools_hidden = false},
  {.model_type = "eurobert", .names = &kLlama, .prefix = "model.", .qkv_bias = "/attention_bias", .o_bias = "/attention_bias", .up_bias = "/mlp_bias", .down_bias = "/mlp_bias", .norm_bias = kNever, .heads = Heads::kEuro, .pools_hidden = false},
  {.model_type = "nvembed", .names = &kLlama, .prefix = "embedding_model.", .qkv_bias = kNever, .o_bias = kNever, .up_bias = kNever, .down_bias = kNever, .norm_bias = kNever, .heads = Heads::kScore, .pools_hidden = false, .quirk = nvembed},
};
// clang-format on

} // namespace

const Row* find_row(std::string_view model_type) {
  const auto row = std::find_if(std::begin(kRows), std::end(kRows), [&](const Row& r) { return r.model_type == model_type; });
  return row == std::end(kRows) ? nullptr : row;
}

} // namespace encoder
