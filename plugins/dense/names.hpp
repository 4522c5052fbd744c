// Naming schemes of checkpoints: what differs from Llama's, one constant for each. Used by the rows of dialects.cpp.
// Every entry is a fact of published tensor names. Threads: constant data.
#pragma once

#include "dialect.hpp"

namespace dense {

inline constexpr Names kLlama{};
inline constexpr Names kFusedPhi3{.qkv = "qkv_proj", .gate_up = "gate_up_proj"};
inline constexpr Names kBailing{.embedding = "model.word_embeddings", .attention = "attention.", .o = "dense", .qkv = "query_key_value"};
inline constexpr Names kPhi4Multimodal{
    .o = "o_proj.base_layer", .qkv = "qkv_proj.base_layer", .down = "down_proj.base_layer", .gate_up = "gate_up_proj.base_layer"};
inline constexpr Names kFusedGateUp{.gate_up = "gate_up_proj"};
inline constexpr Names kUngated{.gate = ""};
inline constexpr Names kCosmos3{.q = "to_q", .k = "to_k", .v = "to_v", .o = "to_out"};
inline constexpr Names kCosmos3Edge{.q = "to_q", .k = "to_k", .v = "to_v", .o = "to_out", .gate = ""};
inline constexpr Names kPhi{.o = "dense", .gate = "", .up = "fc1", .down = "fc2", .final_norm = "model.final_layernorm"};
inline constexpr Names kStarCoder2{.gate = "", .up = "c_fc", .down = "c_proj"};
inline constexpr Names kBaichuan{.qkv = "W_pack"};
inline constexpr Names kLlama4{.ffn = "feed_forward."};
inline constexpr Names kInternLm2{.embedding = "model.tok_embeddings",
                                  .attention = "attention.",
                                  .o = "wo",
                                  .qkv = "wqkv",
                                  .ffn = "feed_forward.",
                                  .gate = "w1",
                                  .up = "w3",
                                  .down = "w2",
                                  .head = "output"};
inline constexpr Names kExaone3{.embedding = "transformer.wte",
                                .layer = "transformer.h.{layer}.",
                                .attention = "attn.attention.",
                                .o = "out_proj",
                                .gate = "c_fc_0",
                                .up = "c_fc_1",
                                .down = "c_proj",
                                .final_norm = "transformer.ln_f"};
inline constexpr Names kQwen1{.embedding = "transformer.wte",
                              .layer = "transformer.h.{layer}.",
                              .attention = "attn.",
                              .o = "c_proj",
                              .qkv = "c_attn",
                              .gate = "w2",
                              .up = "w1",
                              .down = "c_proj",
                              .final_norm = "transformer.ln_f"};
inline constexpr Names kFalcon{.embedding = "transformer.word_embeddings",
                               .layer = "transformer.h.{layer}.",
                               .attention = "self_attention.",
                               .o = "dense",
                               .qkv = "query_key_value",
                               .gate = "",
                               .up = "dense_h_to_4h",
                               .down = "dense_4h_to_h",
                               .final_norm = "transformer.ln_f"};
inline constexpr Names kBloom{.embedding = "word_embeddings",
                              .layer = "h.{layer}.",
                              .attention = "self_attention.",
                              .o = "dense",
                              .qkv = "query_key_value",
                              .by_head = true,
                              .gate = "",
                              .up = "dense_h_to_4h",
                              .down = "dense_4h_to_h",
                              .final_norm = "ln_f"};
inline constexpr Names kGptNeoX{.embedding = "gpt_neox.embed_in",
                                .layer = "gpt_neox.layers.{layer}.",
                                .attention = "attention.",
                                .o = "dense",
                                .qkv = "query_key_value",
                                .gate = "",
                                .up = "dense_h_to_4h",
                                .down = "dense_4h_to_h",
                                .final_norm = "gpt_neox.final_layer_norm",
                                .head = "embed_out"};
inline constexpr Names kGptJ{.embedding = "transformer.wte",
                             .layer = "transformer.h.{layer}.",
                             .attention = "attn.",
                             .o = "out_proj",
                             .gate = "",
                             .up = "fc_in",
                             .down = "fc_out",
                             .final_norm = "transformer.ln_f"};
inline constexpr Names kGpt2{.embedding = "wte",
                             .layer = "h.{layer}.",
                             .attention = "attn.",
                             .o = "c_proj",
                             .qkv = "c_attn",
                             .gate = "",
                             .up = "c_fc",
                             .down = "c_proj",
                             .final_norm = "ln_f",
                             .transposed = true};
inline constexpr Names kGptBigCode{.embedding = "transformer.wte",
                                   .layer = "transformer.h.{layer}.",
                                   .attention = "attn.",
                                   .o = "c_proj",
                                   .qkv = "c_attn",
                                   .gate = "",
                                   .up = "c_fc",
                                   .down = "c_proj",
                                   .final_norm = "transformer.ln_f"};
inline constexpr Names kOpt{.embedding = "model.decoder.embed_tokens",
                            .layer = "model.decoder.layers.{layer}.",
                            .o = "out_proj",
                            .ffn = "",
                            .gate = "",
                            .up = "fc1",
                            .down = "fc2",
                            .final_norm = "model.decoder.final_layer_norm"};
inline constexpr Names kMpt{.embedding = "transformer.wte",
                            .layer = "transformer.blocks.{layer}.",
                            .attention = "attn.",
                            .o = "out_proj",
                            .qkv = "Wqkv",
                            .ffn = "ffn.",
                            .gate = "",
                            .final_norm = "transformer.norm_f"};
inline constexpr Names kDbrx{.embedding = "transformer.wte",
                             .layer = "transformer.blocks.{layer}.",
                             .attention = "norm_attn_norm.attn.",
                             .o = "out_proj",
                             .qkv = "Wqkv",
                             .ffn = "ffn.",
                             .final_norm = "transformer.norm_f"};
inline constexpr Names kChatGlm{.embedding = "transformer.embedding.word_embeddings",
                                .layer = "transformer.encoder.layers.{layer}.",
                                .attention = "self_attention.",
                                .o = "dense",
                                .qkv = "query_key_value",
                                .down = "dense_4h_to_h",
                                .gate_up = "dense_h_to_4h",
                                .final_norm = "transformer.encoder.final_layernorm",
                                .head = "transformer.output_layer"};
inline constexpr Names kPersimmon{.o = "dense",
                                  .qkv = "query_key_value",
                                  .gate = "",
                                  .up = "dense_h_to_4h",
                                  .down = "dense_4h_to_h",
                                  .final_norm = "model.final_layernorm"};
inline constexpr Names kWhisper{.embedding = "model.decoder.embed_tokens",
                                .layer = "model.decoder.layers.{layer}.",
                                .o = "out_proj",
                                .ffn = "",
                                .gate = "",
                                .up = "fc1",
                                .down = "fc2",
                                .final_norm = "model.decoder.layer_norm",
                                .head = "proj_out"};
// Their embeddings are parameters without ".weight": a quirk declares them.
inline constexpr Names kMolmo{.embedding = "",
                              .layer = "model.transformer.blocks.{layer}.",
                              .attention = "",
                              .o = "attn_out",
                              .qkv = "att_proj",
                              .ffn = "",
                              .down = "ff_out",
                              .gate_up = "ff_proj",
                              .final_norm = "model.transformer.ln_f",
                              .head = "model.transformer.ff_out"};
inline constexpr Names kMolmo2{.embedding = "",
                               .layer = "model.transformer.blocks.{layer}.",
                               .o = "attn_out",
                               .qkv = "att_proj",
                               .down = "ff_out",
                               .gate_up = "ff_proj",
                               .final_norm = "model.transformer.ln_f"};
inline constexpr Names kGrok1{.attention = "attn.", .ffn = "moe_block."};
inline constexpr Names kTeleChat{.embedding = "transformer.word_embeddings",
                                 .layer = "transformer.h.{layer}.",
                                 .attention = "self_attention.",
                                 .q = "query",
                                 .o = "dense",
                                 .kv = "key_value",
                                 .final_norm = "transformer.ln_f"};
inline constexpr Names kPlamo{.layer = "model.layers.layers.{layer}.", .attention = "mixer.", .qkv = "qkv_proj", .gate_up = "gate_up_proj"};
inline constexpr Names kPhi3Small{.o = "dense", .qkv = "query_key_value", .gate_up = "up_proj", .final_norm = "model.final_layernorm"};
inline constexpr Names kJais{.embedding = "transformer.wte",
                             .layer = "transformer.h.{layer}.",
                             .attention = "attn.",
                             .o = "c_proj",
                             .qkv = "c_attn",
                             .gate = "c_fc2",
                             .up = "c_fc",
                             .down = "c_proj",
                             .final_norm = "transformer.ln_f",
                             .transposed = true};
inline constexpr Names kLlada{.embedding = "model.transformer.wte",
                              .layer = "model.transformer.blocks.{layer}.",
                              .attention = "",
                              .o = "attn_out",
                              .ffn = "",
                              .gate = "ff_proj",
                              .up = "up_proj",
                              .down = "ff_out",
                              .final_norm = "model.transformer.ln_f",
                              .head = "model.transformer.ff_out"};

// Attention, ends and dense FFNs of hybrids and state-space models
inline constexpr Names kMamba{.embedding = "backbone.embeddings", .layer = "backbone.layers.{layer}.", .final_norm = "backbone.norm_f"};
inline constexpr Names kNemotronH{.embedding = "backbone.embeddings",
                                  .layer = "backbone.layers.{layer}.",
                                  .attention = "mixer.",
                                  .ffn = "mixer.",
                                  .gate = "",
                                  .final_norm = "backbone.norm_f"};
inline constexpr Names kJamba{.ffn = "feed_forward.", .final_norm = "model.final_layernorm"};
inline constexpr Names kGraniteHybrid{.ffn = "shared_mlp.", .down = "output_linear", .gate_up = "input_linear"};
inline constexpr Names kZamba2{.final_norm = "model.final_layernorm"};
inline constexpr Names kLfm2{
    .o = "out_proj", .ffn = "feed_forward.", .gate = "w1", .up = "w3", .down = "w2", .final_norm = "model.embedding_norm"};
inline constexpr Names kRwkv{.embedding = "model.embeddings", .ffn = "ffn.", .gate = "", .up = "key", .down = "value"};
inline constexpr Names kRecurrentGemma{.attention = "temporal_block.", .ffn = "mlp_block.", .final_norm = "model.final_norm"};

} // namespace dense
