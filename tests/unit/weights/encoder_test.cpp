// Encoders, and embedders and rerankers made of generative models: what their files hold, by the names of the published classes, and plans
// without a cache, where a request runs in one pass.
#include <gmock/gmock.h>

#include <fstream>

#include "unit/weights/checkpoints.hpp"

namespace plimsoll::testing {
namespace {

using ::testing::Contains;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr const char* kType = "F16";

Tensors norm_of(const std::string& name, std::uint64_t n) { return {{name + ".weight", kType, {n}}, {name + ".bias", kType, {n}}}; }
Tensors bare(const std::string& name, std::uint64_t out, std::uint64_t in) { return {{name + ".weight", kType, {out, in}}}; }
Tensors biased(const std::string& name, std::uint64_t out, std::uint64_t in) {
  return {{name + ".weight", kType, {out, in}}, {name + ".bias", kType, {out}}};
}

// 2 layers of width 64, 4 heads, FFN of 128, 100 words, 32 positions.
Json encoder(const char* architecture, const char* model_type, const Json& more = Json::object()) {
  Json out{{"architectures", {architecture}}, {"model_type", model_type}, {"torch_dtype", "float16"}, {"hidden_size", 64},
           {"num_hidden_layers", 2},          {"num_attention_heads", 4}, {"intermediate_size", 128}, {"vocab_size", 100},
           {"max_position_embeddings", 32},   {"type_vocab_size", 2}};
  out.update(more);
  return out;
}

Tensors bert(const std::string& prefix) {
  Tensors out = bare(prefix + "embeddings.word_embeddings", 100, 64);
  append(out, bare(prefix + "embeddings.position_embeddings", 32, 64));
  append(out, bare(prefix + "embeddings.token_type_embeddings", 2, 64));
  append(out, norm_of(prefix + "embeddings.LayerNorm", 64));
  for (const char* layer : {"encoder.layer.0.", "encoder.layer.1."}) {
    const std::string at = prefix + layer;
    for (const char* name : {"query", "key", "value"}) append(out, biased(at + "attention.self." + name, 64, 64));
    append(out, biased(at + "attention.output.dense", 64, 64));
    append(out, norm_of(at + "attention.output.LayerNorm", 64));
    append(out, biased(at + "intermediate.dense", 128, 64));
    append(out, biased(at + "output.dense", 64, 128));
    append(out, norm_of(at + "output.LayerNorm", 64));
  }
  return out;
}

TEST(Encoder, BertIsReadUnderEveryPrefix) {
  for (const char* prefix : {"", "bert."}) {
    Tensors tensors = bert(prefix);
    append(tensors, biased(std::string(prefix) + "pooler.dense", 64, 64));
    expect_clean(report_of(encoder("BertModel", "bert"), tensors), tensors);
  }
  Tensors reranker = bert("bert.");
  append(reranker, biased("bert.pooler.dense", 64, 64));
  append(reranker, biased("classifier", 1, 64));
  expect_clean(report_of(encoder("BertForSequenceClassification", "bert", {{"num_labels", 1}}), reranker), reranker);
  Tensors late = bert("bert.");
  append(late, biased("bert.pooler.dense", 64, 64));
  append(late, bare("linear", 16, 64)); // as wide as the file has it
  expect_clean(report_of(encoder("HF_ColBERT", "bert"), late), late);
}

TEST(Encoder, RobertaClassifiesWithTwoLayers) {
  Tensors tensors = bert("roberta.");
  append(tensors, biased("classifier.dense", 64, 64));
  append(tensors, biased("classifier.out_proj", 1, 64));
  expect_clean(report_of(encoder("XLMRobertaForSequenceClassification", "xlm-roberta", {{"id2label", {{"0", "LABEL_0"}}}}), tensors),
               tensors);
}

TEST(Encoder, ModernBertHasNoNormBeforeItsFirstAttention) {
  Tensors tensors = bare("model.embeddings.tok_embeddings", 100, 64);
  const auto gain = [&](const std::string& name) { tensors.push_back({name + ".weight", kType, {64}}); };
  gain("model.embeddings.norm");
  gain("model.final_norm");
  for (const char* layer : {"model.layers.0.", "model.layers.1."}) {
    const std::string at = layer;
    append(tensors, bare(at + "attn.Wqkv", 192, 64));
    append(tensors, bare(at + "attn.Wo", 64, 64));
    append(tensors, bare(at + "mlp.Wi", 256, 64));
    append(tensors, bare(at + "mlp.Wo", 64, 128));
    gain(at + "mlp_norm");
  }
  gain("model.layers.1.attn_norm");
  append(tensors, bare("head.dense", 64, 64));
  gain("head.norm");
  append(tensors, biased("classifier", 2, 64));
  expect_clean(report_of(encoder("ModernBertForSequenceClassification", "modernbert"), tensors), tensors);
}

TEST(Encoder, ExpertsOfNomicAreInEverySecondLayer) {
  const Json config = encoder("NomicBertModel", "nomic_bert",
                              {{"activation_function", "gelu"}, {"moe_every_n_layers", 2}, {"num_experts", 4}, {"moe_top_k", 2}});
  Tensors tensors = bare("embeddings.word_embeddings", 100, 64);
  append(tensors, bare("embeddings.token_type_embeddings", 2, 64));
  append(tensors, norm_of("emb_ln", 64));
  for (const char* layer : {"encoder.layers.0.", "encoder.layers.1."}) {
    const std::string at = layer;
    append(tensors, biased(at + "attn.Wqkv", 192, 64));
    append(tensors, biased(at + "attn.out_proj", 64, 64));
    append(tensors, norm_of(at + "norm1", 64));
    append(tensors, norm_of(at + "norm2", 64));
  }
  append(tensors, biased("encoder.layers.0.mlp.fc1", 128, 64));
  append(tensors, biased("encoder.layers.0.mlp.fc2", 64, 128));
  append(tensors, bare("encoder.layers.1.mlp.router.layer", 4, 64));
  for (const char* name : {"w1", "w2"}) tensors.push_back({std::string("encoder.layers.1.mlp.experts.mlp.") + name, kType, {512, 64}});
  tensors.push_back({"encoder.layers.1.mlp.experts.bias", kType, {64}});
  expect_clean(report_of(config, tensors), tensors);
}

// One of five adapters is added to the weights as they are loaded: all of them are stored, none takes memory.
TEST(Encoder, AdaptersInsideTheFileAreNotLoaded) {
  const Json with = encoder("XLMRobertaModel", "xlm-roberta",
                            {{"position_embedding_type", "rotary"}, {"lora_adaptations", {"a", "b", "c", "d", "e"}}, {"lora_rank", 4}});
  Json without = with;
  without.erase("lora_adaptations");
  const WeightsReport adapted = report_of(with, {}), plain_report = report_of(without, {});
  EXPECT_EQ(adapted.rank_bytes, plain_report.rank_bytes);
  // Per adapter: words, types, and in each layer queries to values, the way out and both sides of the FFN; the pooler.
  const std::uint64_t elements = (100 + 64) + (2 + 64) + 2 * ((64 + 192) + 2 * 64 + 2 * (64 + 128)) + 2 * 64;
  EXPECT_EQ(adapted.declared_bytes - plain_report.declared_bytes, 5 * 4 * elements * 2);
}

Plan encoder_plan(const Json& config, const std::string& engine, const std::function<void(PlanRequest&)>& change = {}) {
  const Directory directory(config, {});
  PlanRequest request;
  request.devices = "1x24GiB";
  request.engine = engine;
  if (change) change(request);
  auto plan = test::built_context().plan(loaded(directory.path()), request);
  if (!plan) throw std::runtime_error(plan.error().where + ": " + plan.error().message);
  return *plan;
}

Json long_encoder() { return encoder("ModernBertModel", "modernbert", {{"max_position_embeddings", 8192}}); }

TEST(Encoder, KeepsNoCacheAndReadsARequestInOnePass) {
  for (const char* engine : {"vllm", "sglang", "max", "tensorrt-llm"}) {
    const Plan plan = encoder_plan(long_encoder(), engine);
    EXPECT_EQ(plan.verdict, Verdict::kFits) << engine;
    EXPECT_THAT(plan.kv_cache.groups, IsEmpty()) << engine;
    EXPECT_EQ(plan.devices[0].kv_cache_bytes, 0U) << engine;
    EXPECT_GT(plan.devices[0].activation_bytes, 0U) << engine;
    EXPECT_EQ(plan.limits.max_length, 8192U) << engine;
    EXPECT_GE(plan.request.max_batch_input_tokens, 8192U) << engine;
    EXPECT_EQ(plan.limits.max_batch_at_max_length, plan.request.max_batch_input_tokens / 8192) << engine;
  }
}

TEST(Encoder, ALengthBeyondThePassIsCut) {
  const Plan given = encoder_plan(long_encoder(), "vllm", [](PlanRequest& request) { request.max_batch_input_tokens = 2048; });
  EXPECT_EQ(given.limits.max_length, 2048U);
  EXPECT_THAT(given.warnings, Contains(Field(&Warning::code, WarningCode::kCapacityClamped)));
  const Plan physical = encoder_plan(long_encoder(), "llama.cpp"); // its physical batch is what a request may be
  EXPECT_EQ(physical.limits.max_length, 512U);
}

TEST(Encoder, ActivationsAreThoseOfALayer) {
  // Input and output, and the FFN before and behind its activation: gate, up and their product.
  const Plan plan = encoder_plan(long_encoder(), "max");
  EXPECT_EQ(plan.devices[0].activation_bytes, 8192U * (2 * 64 + 3 * 128) * 2);
  const Plan two = encoder_plan(long_encoder(), "max", [](PlanRequest& request) {
    request.devices = "2x24GiB";
    request.tp = 2;
  });
  EXPECT_EQ(two.devices[0].activation_bytes, 8192U * (2 * 64 + 3 * 64) * 2);
}

TEST(Encoder, ReferencePlansThoseThatItRuns) {
  EXPECT_EQ(encoder_plan(long_encoder(), "reference").verdict, Verdict::kFits);
  try {
    encoder_plan(encoder("DebertaV2Model", "deberta-v2", {{"max_position_embeddings", 512}}), "reference");
    FAIL() << "was planned";
  } catch (const std::runtime_error& e) {
    EXPECT_THAT(e.what(), HasSubstr("pipeline"));
  }
}

TEST(Encoder, PositionsOfRobertaBeginBehindThePadding) {
  EXPECT_EQ(encoder_plan(encoder("RobertaModel", "roberta", {{"max_position_embeddings", 514}}), "max").limits.max_length, 512U);
  EXPECT_EQ(encoder_plan(encoder("BertModel", "bert", {{"max_position_embeddings", 512}}), "max").limits.max_length, 512U);
}

TEST(Encoder, RefusesWhatNoModelSays) {
  const auto error_of = [](const Json& config) {
    const Directory directory(config, {});
    const auto model = test::built_context().load(directory.path());
    return model ? std::string() : model.error().where;
  };
  EXPECT_EQ(error_of(encoder("BertModel", "bert")), "");
  for (const char* key : {"hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size"}) {
    Json config = encoder("BertModel", "bert");
    config.erase(key);
    EXPECT_THAT(error_of(config), HasSubstr(key));
    for (const Json& value : {Json(0), Json("many"), Json(-1)}) {
      config[key] = value;
      EXPECT_THAT(error_of(config), HasSubstr(key)) << value;
    }
  }
  const std::uint64_t huge = 1ULL << 40;
  EXPECT_NE(error_of(encoder("BertModel", "bert", {{"num_hidden_layers", huge}})), "");
  EXPECT_NE(error_of(encoder("BertForSequenceClassification", "bert", {{"num_labels", huge}})), "");
  EXPECT_NE(error_of(encoder("BertModel", "bert", {{"num_attention_heads", 3}})), "");
  EXPECT_NE(error_of(encoder("NomicBertModel", "nomic_bert", {{"moe_every_n_layers", 2}})), ""); // of how many experts?
}

Json albert_config() {
  return encoder("AlbertForSequenceClassification", "albert", {{"embedding_size", 32}, {"num_hidden_groups", 1}, {"num_labels", 3}});
}

// One layer is stored, and run as often as the configuration says.
TEST(Encoder, AlbertStoresOneLayer) {
  Tensors tensors = bare("albert.embeddings.word_embeddings", 100, 32);
  append(tensors, bare("albert.embeddings.position_embeddings", 32, 32));
  append(tensors, bare("albert.embeddings.token_type_embeddings", 2, 32));
  append(tensors, norm_of("albert.embeddings.LayerNorm", 32));
  append(tensors, biased("albert.encoder.embedding_hidden_mapping_in", 64, 32));
  const std::string at = "albert.encoder.albert_layer_groups.0.albert_layers.0.";
  for (const char* name : {"query", "key", "value", "dense"}) append(tensors, biased(at + "attention." + name, 64, 64));
  append(tensors, norm_of(at + "attention.LayerNorm", 64));
  append(tensors, biased(at + "ffn", 128, 64));
  append(tensors, biased(at + "ffn_output", 64, 128));
  append(tensors, norm_of(at + "full_layer_layer_norm", 64));
  append(tensors, biased("albert.pooler", 64, 64));
  append(tensors, biased("classifier", 3, 64));
  expect_clean(report_of(albert_config(), tensors), tensors);
}

TEST(Encoder, ElectraHasNarrowWordsAndAHeadOfTwoLayers) {
  Tensors tensors = bert("electra.");
  for (SparseTensor& tensor : tensors)
    if (tensor.name.find(".embeddings.") != std::string::npos) tensor.shape.back() = 32;
  append(tensors, biased("electra.embeddings_project", 64, 32));
  append(tensors, biased("discriminator_predictions.dense", 64, 64));
  append(tensors, biased("discriminator_predictions.dense_prediction", 1, 64));
  expect_clean(report_of(encoder("ElectraForPreTraining", "electra", {{"embedding_size", 32}}), tensors), tensors);
}

Json t5_config(const char* architecture) {
  return Json{{"architectures", {architecture}},
              {"model_type", "t5"},
              {"torch_dtype", "float16"},
              {"vocab_size", 100},
              {"d_model", 64},
              {"d_kv", 8},
              {"d_ff", 128},
              {"num_layers", 2},
              {"num_decoder_layers", 3},
              {"num_heads", 4},
              {"n_positions", 32},
              {"relative_attention_num_buckets", 16},
              {"feed_forward_proj", "gated-gelu"}};
}

// Heads narrower than the width, distances of the first layer alone, words that files say up to three times.
Tensors t5(bool decoder) {
  Tensors tensors = bare("shared", 100, 64);
  const auto gain = [&](const std::string& name) { tensors.push_back({name + ".weight", kType, {64}}); };
  for (int half = 0; half < (decoder ? 2 : 1); ++half) {
    const std::string name = half == 0 ? "encoder" : "decoder";
    const int ffn = half + 1;
    for (int i = 0; i < (half == 0 ? 2 : 3); ++i) {
      const std::string at = name + ".block." + std::to_string(i) + ".layer.";
      for (int part = 0; part < ffn; ++part) {
        const std::string attention = at + std::to_string(part) + (part == 0 ? ".SelfAttention." : ".EncDecAttention.");
        for (const char* matrix : {"q", "k", "v"}) append(tensors, bare(attention + matrix, 32, 64));
        append(tensors, bare(attention + "o", 64, 32));
        gain(at + std::to_string(part) + ".layer_norm");
      }
      for (const char* matrix : {".DenseReluDense.wi_0", ".DenseReluDense.wi_1"})
        append(tensors, bare(at + std::to_string(ffn) + matrix, 128, 64));
      append(tensors, bare(at + std::to_string(ffn) + ".DenseReluDense.wo", 64, 128));
      gain(at + std::to_string(ffn) + ".layer_norm");
    }
    append(tensors, bare(name + ".block.0.layer.0.SelfAttention.relative_attention_bias", 16, 4));
    gain(name + ".final_layer_norm");
  }
  return tensors;
}

TEST(EncoderDecoder, T5IsReadWithItsDecoderAndWithout) {
  expect_clean(report_of(t5_config("T5ForConditionalGeneration"), t5(true)), t5(true));
  expect_clean(report_of(t5_config("T5EncoderModel"), t5(false)), t5(false));
  Tensors apart = t5(true);
  append(apart, bare("lm_head", 100, 64));
  Json untied = t5_config("T5ForConditionalGeneration");
  untied["tie_word_embeddings"] = false;
  expect_clean(report_of(untied, apart), apart);
}

// Its own cache and one of the input, which is as long as the request where no table limits it: 3 layers of 4 heads of 8. A bound, and the
// plan says so; an encoder alone keeps nothing.
TEST(EncoderDecoder, KeepsTheInputBesideWhatItWrites) {
  const Plan plan = encoder_plan(t5_config("T5ForConditionalGeneration"), "max");
  EXPECT_EQ(plan.verdict, Verdict::kFits);
  EXPECT_EQ(plan.kv_cache.groups.size(), 2U);
  EXPECT_EQ(plan.kv_cache.bytes_per_token_per_device, 2U * 3 * 4 * 8 * 2 * 2);
  EXPECT_EQ(plan.limits.max_length, 32U);
  for (const KvGroupPlan& group : plan.kv_cache.groups) EXPECT_EQ(group.basis, Basis::kBound) << group.label;
  EXPECT_THAT(plan.warnings, Contains(Field(&Warning::code, WarningCode::kKvRuleIsABound)));
  EXPECT_THAT(encoder_plan(t5_config("T5EncoderModel"), "max").kv_cache.groups, IsEmpty());
}

Json bart_config() {
  return Json{{"architectures", {"BartForConditionalGeneration"}},
              {"model_type", "bart"},
              {"torch_dtype", "float16"},
              {"vocab_size", 100},
              {"d_model", 64},
              {"encoder_layers", 2},
              {"decoder_layers", 2},
              {"encoder_attention_heads", 4},
              {"decoder_attention_heads", 4},
              {"encoder_ffn_dim", 128},
              {"decoder_ffn_dim", 128},
              {"max_position_embeddings", 32}};
}

TEST(EncoderDecoder, BartKeepsAsManyInputsAsItHasPositions) {
  const Plan plan = encoder_plan(bart_config(), "max");
  EXPECT_EQ(plan.kv_cache.groups.size(), 2U);
  EXPECT_EQ(plan.kv_cache.groups[1].kind, CacheKind::kCross);
  EXPECT_THAT(plan.warnings, Contains(Field(&Warning::code, WarningCode::kKvRuleIsABound)));
}

TEST(EncoderDecoder, RefusesWhatNoModelSays) {
  const auto error_of = [](Json config, const std::string& key, const Json& value) {
    config[key] = value;
    const Directory directory(config, {});
    const auto model = test::built_context().load(directory.path());
    return model ? std::string() : model.error().where;
  };
  const std::uint64_t huge = 1ULL << 40;
  const Json t5_model = t5_config("T5ForConditionalGeneration");
  for (const char* key : {"d_model", "d_ff", "num_layers", "num_decoder_layers", "num_heads", "vocab_size"})
    for (const Json& value : {Json(0), Json("many"), Json(-1)}) EXPECT_THAT(error_of(t5_model, key, value), HasSubstr(key)) << value;
  EXPECT_NE(error_of(t5_model, "num_layers", huge), "");
  EXPECT_NE(error_of(t5_model, "relative_attention_num_buckets", huge), "");
  EXPECT_NE(error_of(bart_config(), "decoder_attention_heads", 3), "");
  EXPECT_NE(error_of(bart_config(), "encoder_layers", huge), "");
  EXPECT_NE(error_of(bart_config(), "max_position_embeddings", 0), "");
  EXPECT_NE(error_of(albert_config(), "num_hidden_groups", huge), "");
  EXPECT_NE(error_of(albert_config(), "inner_group_num", 2), "");
  EXPECT_NE(error_of(albert_config(), "embedding_size", 0), "");
}

// Decoders that attend both ways, by a key or by their class.
TEST(Embedder, ThatLooksAheadKeepsNoCache) {
  for (const Json& key : {Json{{"is_causal", false}}, Json{{"use_bidirectional_attention", true}}}) {
    Json config = llama_config();
    EXPECT_THAT(encoder_plan(config, "max").kv_cache.groups, Not(IsEmpty()));
    config.update(key);
    EXPECT_THAT(encoder_plan(config, "max").kv_cache.groups, IsEmpty()) << key;
  }
  Json images = llama_config();
  images["use_bidirectional_attention"] = "vision"; // of images alone
  EXPECT_THAT(encoder_plan(images, "max").kv_cache.groups, Not(IsEmpty()));
}

TEST(Embedder, ClassesHaveProjectionsInPlaceOfTheHead) {
  const std::uint64_t bare_bytes = bytes_of(llama()) - 100 * 256 * 2;
  Json config = llama_config();
  config["architectures"] = {"JinaForRanking"};
  EXPECT_EQ(report_of(config, {}).declared_bytes, bare_bytes + (128 * 256 + 512 * 128) * 2);
  config["architectures"] = {"VoyageQwen3BidirectionalEmbedModel"};
  config["num_labels"] = 32;
  EXPECT_EQ(report_of(config, {}).declared_bytes, bare_bytes + 32 * 256 * 2);
  EXPECT_THAT(encoder_plan(config, "max").kv_cache.groups, IsEmpty());
  config["architectures"] = {"LlamaForClassification"};
  config["classification_out_size"] = 5;
  EXPECT_EQ(report_of(config, {}).declared_bytes, bare_bytes + 5 * 256 * 2);
  config["architectures"] = {"LlamaForSequenceClassificationWithNormal_Weights"};
  EXPECT_EQ(report_of(config, {}).declared_bytes, bare_bytes + (32 * 256 + 2 * (256 * 256 + 256) + 16 * 256 + 16) * 2);
}

} // namespace
} // namespace plimsoll::testing
