// Drafts for speculative decoding: what they hold, from configurations and from checkpoints, what of it is the target's, and where their
// layers cache.
#include <fstream>
#include <gmock/gmock.h>

#include "unit/weights/checkpoints.hpp"

namespace plimsoll::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Json merged(Json config, const Json& more) {
  config.update(more);
  return config;
}

Json llama_eagle(const std::string& architecture) {
  return {{"architectures", {architecture}},
          {"model_type", "llama"},
          {"torch_dtype", "float16"},
          {"hidden_size", 4096},
          {"num_hidden_layers", 1},
          {"num_attention_heads", 32},
          {"num_key_value_heads", 8},
          {"intermediate_size", 14336},
          {"vocab_size", 128256},
          {"max_position_embeddings", 2048}};
}
Json eagle3() { return merged(llama_eagle("LlamaForCausalLMEagle3"), {{"draft_vocab_size", 32000}}); }
Json speculators() {
  return {{"architectures", {"Eagle3Speculator"}},
          {"speculators_model_type", "eagle3"},
          {"torch_dtype", "bfloat16"},
          {"draft_vocab_size", 32000},
          {"target_hidden_size", nullptr},
          {"transformer_layer_config",
           {{"model_type", "llama"},
            {"hidden_size", 4096},
            {"intermediate_size", 14336},
            {"num_attention_heads", 32},
            {"num_key_value_heads", 8},
            {"head_dim", 128},
            {"num_hidden_layers", 1},
            {"vocab_size", 128256},
            {"max_position_embeddings", 131072}}}};
}
Json dflash(const std::string& architecture = "DFlashDraftModel") {
  return {{"architectures", {architecture}},
          {"model_type", "qwen3"},
          {"dtype", "bfloat16"},
          {"hidden_size", 4096},
          {"num_hidden_layers", 5},
          {"num_attention_heads", 32},
          {"num_key_value_heads", 8},
          {"head_dim", 128},
          {"intermediate_size", 12288},
          {"vocab_size", 151936},
          {"dflash_config", {{"target_layer_ids", {1, 9, 17, 25, 33}}}}};
}
Json medusa() {
  return {{"architectures", {"MedusaModel"}}, {"model_type", "medusa"}, {"hidden_size", 4096}, {"vocab_size", 128256}, {"num_heads", 5}};
}
Json next_layer(const char* architecture) {
  std::ifstream file(PLIMSOLL_SOURCE_DIR "/core/catalogue/models/deepseek-ai__DeepSeek-V3.json");
  return merged(Json::parse(file)["config"], {{"architectures", {architecture}}, {"num_hidden_layers", 1}});
}

constexpr std::uint64_t kEagle3 = 849'763'584; // see plugins/draft/weights.cpp
constexpr std::uint64_t kEmbedding = 128256ULL * 4096;

struct DraftCase {
  const char* title;
  Json config;
  std::uint64_t parameters, rank_bytes; // stored, loaded on one rank
};
void PrintTo(const DraftCase& c, std::ostream* out) { *out << c.title; }

std::vector<DraftCase> draft_cases() {
  // A Llama layer without its first norm, and 4096 x 8192 to join.
  const std::uint64_t eagle = 41'943'040 + 176'160'768 + 4'096 + 33'554'432;
  // 5 x (q and o 33,554,432, k and v 8,388,608, FFN 150,994,944, norms 2 x 4096 + 2 x 128), 4096 x 20480 to join, two norms.
  const std::uint64_t flash = 5ULL * (33'554'432 + 8'388'608 + 150'994'944 + 8'448) + 83'886'080 + 8'192;
  const std::uint64_t markov = 2ULL * 151936 * 256, confidence = 4096 + 256 + 1;
  const std::uint64_t heads = 5ULL * (4096 * 4096 + 128256 * 4096ULL);
  return {
      {"Eagle3", eagle3(), 424'689'664 + 32'000 + 128'256, kEagle3},
      {"Eagle3OfSpeculatorsStoresTheEmbedding", speculators(), 950'186'496, kEagle3},
      {"Eagle3OverTheWholeVocabulary", llama_eagle("Eagle3LlamaForCausalLM"), 424'689'664 + 96'256ULL * 4096,
       2 * (424'689'664 + 96'256ULL * 4096)},
      {"Eagle3OfAnotherWidthHasAnEmbedding", merged(eagle3(), {{"target_hidden_size", 5120}}),
       424'849'920 + 4096ULL * 3 * 1024 + kEmbedding, kEagle3 + 2 * (4096ULL * 3 * 1024 + kEmbedding)},
      {"Eagle3OfFiveStates", merged(eagle3(), {{"eagle_config", {{"eagle_aux_hidden_state_layer_ids", {1, 2, 3, 4, 5}}}}}),
       424'849'920 + 4096ULL * 2 * 4096, kEagle3 + 2 * 4096ULL * 2 * 4096},
      {"Eagle3OfTwoLayers", merged(eagle3(), {{"num_hidden_layers", 2}}), 424'849'920 + 218'112'000, kEagle3 + 2 * 218'112'000},
      {"Eagle", llama_eagle("LlamaForCausalLMEagle"), eagle, 2 * eagle},
      {"EagleOfTwoLayers", merged(llama_eagle("EagleLlamaForCausalLM"), {{"num_hidden_layers", 2}}), eagle + 218'112'000,
       2 * (eagle + 218'112'000)},
      {"DFlash", dflash(), flash, 2 * flash},
      {"DSpark",
       merged(dflash("DSparkDraftModel"), {{"dflash_config",
                                            {{"target_layer_ids", {1, 9, 17, 25, 33}},
                                             {"markov_rank", 256},
                                             {"markov_head_type", "vanilla"},
                                             {"enable_confidence_head", true}}}}),
       flash + markov + confidence, 2 * (flash + markov + confidence)},
      {"Medusa", medusa(), heads, 2 * heads},
      {"MedusaOfFewerTokens", merged(medusa(), {{"truncated_vocab_size", 32000}, {"original_lm_head", true}}),
       5ULL * 4096 * 4096 + 32000ULL * 4096 + 32000, 2 * (5ULL * 4096 * 4096 + 32000ULL * 4096) + 8 * 32000},
      // Layer 61 of DeepSeek-V3, with copies of embedding and head that no engine loads.
      {"NextN", next_layer("DeepseekV3ForCausalLMNextN"), 11'610'068'224 + 2ULL * 129280 * 7168, 11'717'511'392},
      {"EagleOfDeepSeek", merged(next_layer("EagleDeepSeekMTPModel"), {{"first_k_dense_replace", 0}, {"num_nextn_predict_layers", 0}}),
       11'610'068'224, 11'717'511'392},
  };
}

class Drafts : public ::testing::TestWithParam<DraftCase> {};

TEST_P(Drafts, HoldWhatTheirKindHas) {
  const WeightsReport report = report_of(GetParam().config, {});
  EXPECT_EQ(report.parameters, GetParam().parameters);
  EXPECT_THAT(report.rank_bytes, ElementsAre(GetParam().rank_bytes));
}

INSTANTIATE_TEST_SUITE_P(OfEveryKind, Drafts, ::testing::ValuesIn(draft_cases()),
                         [](const auto& info) { return std::string(info.param.title); });

// A tenth of the sizes, tensor by tensor as the files of each kind have them.
Json small_eagle3(bool of_speculators) {
  const Json layer{{"hidden_size", 256},       {"num_hidden_layers", 1},   {"num_attention_heads", 4},
                   {"num_key_value_heads", 2}, {"intermediate_size", 512}, {"vocab_size", 1000}};
  Json config{{"architectures", {of_speculators ? "Eagle3DraftModel" : "Eagle3LlamaForCausalLM"}},
              {"torch_dtype", "bfloat16"},
              {"draft_vocab_size", 100}};
  if (of_speculators) config["transformer_layer_config"] = layer;
  else config.update(layer);
  return config;
}

Tensors small_tensors(const std::string& layer) {
  Tensors out{{"fc.weight", "BF16", {256, 768}},
              {"norm.weight", "BF16", {256}},
              {"lm_head.weight", "BF16", {100, 256}},
              {"d2t", "I64", {100}},
              {"t2d", "BOOL", {1000}}};
  for (const auto& [name, rows] : {std::pair<const char*, std::uint64_t>{"q", 256}, {"k", 128}, {"v", 128}})
    append(out, plain(layer + "self_attn." + name + "_proj", rows, 512));
  append(out, plain(layer + "self_attn.o_proj", 256, 256));
  append(out, plain(layer + "mlp.gate_proj", 512, 256));
  append(out, plain(layer + "mlp.up_proj", 512, 256));
  append(out, plain(layer + "mlp.down_proj", 256, 512));
  for (const char* norm : {"input_layernorm", "hidden_norm", "post_attention_layernorm"})
    out.push_back({layer + norm + ".weight", "BF16", {256}});
  return out;
}

TEST(DraftCheckpoints, AreFoundUnderBothNames) {
  for (const bool of_speculators : {false, true})
    for (const char* layer : {"midlayer.", "layers.0."}) {
      SCOPED_TRACE(layer);
      const Tensors tensors = small_tensors(layer);
      const WeightsReport report = report_of(small_eagle3(of_speculators), tensors);
      expect_clean(report, tensors);
      EXPECT_THAT(report.rank_bytes, ElementsAre(bytes_of(tensors)));
    }
}

TEST(DraftCheckpoints, ACopyOfTheEmbeddingIsNotLoaded) {
  const Tensors without = small_tensors("layers.0.");
  Tensors tensors = without;
  tensors.push_back({"embed_tokens.weight", "BF16", {1000, 256}});
  const WeightsReport report = report_of(small_eagle3(true), tensors);
  EXPECT_EQ(report.stored_bytes, bytes_of(tensors));
  EXPECT_THAT(report.unclaimed, IsEmpty());
  EXPECT_THAT(report.rank_bytes, ElementsAre(bytes_of(without)));
  const WeightsReport trained = report_of(merged(small_eagle3(true), {{"embed_requires_grad", true}}), tensors);
  EXPECT_THAT(trained.rank_bytes, ElementsAre(bytes_of(tensors)));
}

Plan planned_alone(const std::string& target, const PlanRequest& request) {
  auto plan = test::built_context().plan(loaded(target), request);
  if (!plan) ADD_FAILURE() << plan.error().where << ": " << plan.error().message;
  return plan.value_or(Plan{});
}

Plan drafting(const std::string& target, const Json& draft, PlanRequest request) {
  const auto model = test::built_context().load_config(draft.dump(), "draft");
  if (!model) ADD_FAILURE() << model.error().where << ": " << model.error().message;
  request.draft = model.value();
  return planned_alone(target, request);
}

TEST(Drafting, SharesTheEmbeddingOnOneStageAndLoadsItOnAnother) {
  PlanRequest request;
  request.devices = "2xH100";
  request.engine = "vllm";
  request.max_length = 8192;
  request.num_draft_tokens = 3;
  request.tp = 1;
  request.pp = 2;
  for (const Json& draft : {eagle3(), speculators()}) {
    PlanRequest alone = request;
    alone.num_draft_tokens = 0;
    const Plan with = drafting("meta-llama/Llama-3.1-8B", draft, request), without = planned_alone("meta-llama/Llama-3.1-8B", alone);
    EXPECT_EQ(with.devices[0].weights_bytes, without.devices[0].weights_bytes); // all of it is on the last stage
    EXPECT_EQ(with.devices[1].weights_bytes - without.devices[1].weights_bytes, kEagle3 + 2 * kEmbedding);
    PlanRequest single = request;
    single.devices = alone.devices = "1xH100";
    single.pp.reset(), alone.pp.reset();
    EXPECT_EQ(drafting("meta-llama/Llama-3.1-8B", draft, single).devices[0].weights_bytes -
                  planned_alone("meta-llama/Llama-3.1-8B", alone).devices[0].weights_bytes,
              kEagle3);
  }
}

// A layer of the same page joins the target's: one group of 33 layers in vLLM; gpt-oss-20b's 12 full layers become 13, and so do the 12
// with windows, which are padded.
TEST(Drafting, LayersJoinTheTargetsGroups) {
  PlanRequest request;
  request.devices = "1xH100";
  request.engine = "vllm";
  request.num_draft_tokens = 3;
  request.max_length = 8192;
  for (const char* engine : {"vllm", "sglang", "tensorrt-llm"}) {
    request.engine = engine;
    const Plan plan = drafting("meta-llama/Llama-3.1-8B", eagle3(), request);
    EXPECT_EQ(plan.kv_cache.bytes_per_token_per_device, 33U * 4096) << engine;
    ASSERT_EQ(plan.kv_cache.groups.size(), 2U) << engine;
    EXPECT_EQ(plan.kv_cache.groups[1].label, "draft.attention") << engine;
  }
  request.engine = "vllm";
  const Plan padded = drafting(
      "openai/gpt-oss-20b",
      merged(eagle3(), {{"hidden_size", 2880}, {"num_key_value_heads", 8}, {"head_dim", 64}, {"num_attention_heads", 64}}), request);
  EXPECT_EQ(padded.kv_geometry.block_bytes(0), 13U * 16 * 2 * 8 * 64 * 2);
}

TEST(Drafting, OfAnotherModelIsRefused) {
  PlanRequest request;
  request.devices = "8xH100";
  request.draft = *test::built_context().load_config(eagle3().dump(), "draft");
  const auto plan = test::built_context().plan(loaded("meta-llama/Llama-3.1-70B"), request);
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().where, "--draft");
  EXPECT_THAT(plan.error().message, HasSubstr("width 4096; meta-llama/Llama-3.1-70B has 8192"));
}

TEST(Drafting, MedusaCachesNothing) {
  PlanRequest request;
  request.devices = "1xH100";
  request.engine = "vllm";
  request.num_draft_tokens = 5;
  const Plan plan = drafting("meta-llama/Llama-3.1-8B", medusa(), request);
  EXPECT_EQ(plan.kv_cache.groups.size(), 1U);
  EXPECT_EQ(plan.kv_cache.bytes_per_token_per_device, 32U * 4096);
}

TEST(Drafts, SayWhatIsMissing) {
  for (const auto& [config, where] :
       {std::pair<Json, const char*>{merged(eagle3(), {{"hidden_size", nullptr}}), "/hidden_size"},
        {merged(eagle3(), {{"num_attention_heads", 33}}), "/num_attention_heads"},
        {merged(eagle3(), {{"num_hidden_layers", 0}}), "/num_hidden_layers"},
        {merged(medusa(), {{"num_heads", 0}}), "/num_heads"},
        {merged(dflash(), {{"dflash_config", {{"use_swa", true}}}}), "/sliding_window"},
        {merged(next_layer("DeepSeekMTPModel"), {{"num_nextn_predict_layers", 0}}), "/num_nextn_predict_layers"}}) {
    const auto model = test::built_context().load_config(config.dump(), "draft");
    ASSERT_FALSE(model) << config;
    EXPECT_EQ(model.error().code, ErrorCode::kBadConfig) << model.error().message;
    EXPECT_THAT(model.error().where, HasSubstr(where)) << model.error().message;
  }
}

} // namespace
} // namespace plimsoll::testing
