// Hybrids: the state of a sequence in real models, worked by hand; which layers have what; and configurations that contradict
// themselves. Parameters of real models are golden tests.
#include <gmock/gmock.h>

#include <fstream>

#include "unit/experts/family.hpp"

namespace plimsoll::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Json catalogue(const std::string& name) {
  std::ifstream in(std::string(PLIMSOLL_SOURCE_DIR) + "/core/catalogue/models/" + name + ".json");
  const Json file = Json::parse(in, nullptr, false);
  EXPECT_TRUE(file.is_object()) << name;
  return file.is_object() ? file["config"] : Json::object();
}

// Qwen3.6-27B's text without its outer model.
Json qwen36() {
  return Json::parse(R"({"architectures": ["Qwen3_5ForCausalLM"], "model_type": "qwen3_5_text", "hidden_size": 5120,
    "intermediate_size": 17408, "num_hidden_layers": 64, "num_attention_heads": 24, "num_key_value_heads": 4, "head_dim": 256,
    "vocab_size": 248320, "full_attention_interval": 4, "linear_conv_kernel_dim": 4, "linear_key_head_dim": 128,
    "linear_num_key_heads": 16, "linear_num_value_heads": 48, "linear_value_head_dim": 128, "mtp_num_hidden_layers": 1})");
}

std::uint64_t state_elements(const Declared& d) {
  Checked sum = 0;
  for (const KvGroup& group : d.kv)
    for (const StateRegion& region : group.regions) sum += Checked(region.elements) * group.layers.size();
  return sum.value();
}

TEST(State, IsWhatTheLayersKeepForASequence) {
  struct Row {
    const char* name;
    std::uint64_t elements;
  };
  const std::vector<Row> rows{
      {"Qwen__Qwen3-Next-80B-A3B-Instruct", 36 * (8192 * 3 + 32 * 128 * 128)},
      {"nvidia__NVIDIA-Nemotron-Nano-9B-v2", 27 * (12288 * 3 + 128 * 80 * 128)},
      {"state-spaces__mamba-2.8b-hf", 64 * (5120 * 3 + 5120 * 16)},
      {"mistralai__Mamba-Codestral-7B-v0.1", 64 * (10240 * 3 + 128 * 64 * 128)},
      {"ai21labs__AI21-Jamba-1.5-Mini", 28 * (8192 * 3 + 8192 * 16)},
      {"LiquidAI__LFM2-1.2B", 10 * 2048 * 2},
      {"google__recurrentgemma-2b", 18 * (2560 * 3 + 2560)},
      {"MiniMaxAI__MiniMax-Text-01", 70 * 64 * 128 * 128},
      {"Zyphra__Zamba2-7B-Instruct", 81 * ((7168 + 256) * 3 + 7168 * 64)},
      {"moonshotai__Kimi-Linear-48B-A3B-Instruct", 20 * (3 * 4096 * 3 + 32 * 128 * 128)},
      {"moonshotai__Kimi-K3", 69 * (3 * 12288 * 3 + 96 * 128 * 128)},
      {"ibm-ai-platform__Bamba-9B-v1", 29 * ((8192 + 256) * 3 + 8192 * 128)},
      {"tiiuae__Falcon-H1-1.5B-Instruct", 24 * ((3072 + 512) * 3 + 3072 * 256)},
      {"ibm-granite__granite-4.0-h-350m", 28 * ((1536 + 256) * 3 + 1536 * 128)},
      {"nvidia__NVIDIA-Nemotron-3-Ultra-550B-A55B-BF16", 48 * ((16384 + 2048) * 3 + 16384 * 128)},
  };
  for (const Row& row : rows) EXPECT_EQ(state_elements(declared(catalogue(row.name))), row.elements) << row.name;
}

std::string dtype_of(const Declared& d, const std::string& region) {
  for (const KvGroup& group : d.kv)
    for (const StateRegion& r : group.regions)
      if (r.label == region) return !r.recurrent ? "" : r.type ? std::string(r.type->name) : "state";
  return "none";
}

// Convolutions keep the model's type; the recurrence the engine's, or float32 where checkpoint or class insist on it.
TEST(State, HasTheTypesThatCheckpointsAskFor) {
  for (const char* key : {"mamba_ssm_dtype", "mamba_ssm_cache_dtype"}) {
    Json config = qwen36();
    EXPECT_EQ(dtype_of(declared(config), "ssm"), "state");
    config[key] = "bfloat16";
    EXPECT_EQ(dtype_of(declared(config), "ssm"), "state");
    config[key] = "float32";
    EXPECT_EQ(dtype_of(declared(config), "ssm"), "float32");
    EXPECT_EQ(dtype_of(declared(config), "conv"), "");
  }
  const auto ultra = declared(catalogue("nvidia__NVIDIA-Nemotron-3-Ultra-550B-A55B-BF16"));
  EXPECT_EQ(dtype_of(ultra, "ssm"), "float32");
  EXPECT_EQ(dtype_of(ultra, "conv.inner"), "");
  EXPECT_EQ(dtype_of(declared(catalogue("nvidia__NVIDIA-Nemotron-Nano-9B-v2")), "ssm"), "state");
  EXPECT_EQ(dtype_of(declared(catalogue("Qwen__Qwen3.5-35B-A3B")), "ssm"), "float32");
  EXPECT_EQ(dtype_of(declared(catalogue("Qwen__Qwen3-Next-80B-A3B-Instruct")), "ssm"), "state");
  EXPECT_EQ(dtype_of(declared(catalogue("moonshotai__Kimi-K3")), "recurrent"), "float32");
  EXPECT_EQ(dtype_of(declared(catalogue("moonshotai__Kimi-K3")), "conv.q"), "");
  EXPECT_EQ(dtype_of(declared(catalogue("google__recurrentgemma-2b")), "recurrent"), "float32");
}

// Per drafted token a column of the convolution; its recurrence is a row of its own, which is the engine's to count.
TEST(State, GrowsByAColumnForEachDraftedToken) {
  const auto d = declared(qwen36());
  const KvGroup* state = find_group(d, "state");
  ASSERT_NE(state, nullptr);
  EXPECT_EQ(state->regions[0].elements_per_draft_token, 10240U);
  EXPECT_EQ(state->regions[1].elements_per_draft_token, 0U);
}

// The documented example: 48 layers of conv [10240, 3] and ssm [48, 128, 128].
TEST(State, OfQwen36HasTheDocumentedRows) {
  const auto d = declared(qwen36());
  const KvGroup* state = find_group(d, "state");
  ASSERT_NE(state, nullptr);
  EXPECT_EQ(state->layers.size(), 48U);
  ASSERT_EQ(state->regions.size(), 2U);
  EXPECT_EQ(state->regions[0].elements, 10240U * 3);
  EXPECT_EQ(state->regions[1].elements, 48U * 128 * 128);
  EXPECT_EQ(state_elements(d) * 2, 78446592U);
  const KvGroup* attention = find_group(d, "attention");
  ASSERT_NE(attention, nullptr);
  EXPECT_EQ(attention->layers.size(), 16U);
  const KvGroup* draft = find_group(d, "draft.attention");
  ASSERT_NE(draft, nullptr);
  EXPECT_THAT(draft->layers, ElementsAre(64U));
}

TEST(Layers, AreFoundInEverySpelling) {
  const auto layers = [](const char* name) {
    const auto d = declared(catalogue(name));
    const KvGroup* group = find_group(d, "attention");
    return group == nullptr ? std::vector<std::uint32_t>{} : group->layers;
  };
  EXPECT_THAT(layers("nvidia__NVIDIA-Nemotron-Nano-9B-v2"), ElementsAre(14U, 21U, 30U, 39U));
  EXPECT_THAT(layers("ai21labs__AI21-Jamba-1.5-Mini"), ElementsAre(4U, 12U, 20U, 28U));
  EXPECT_THAT(layers("ibm-ai-platform__Bamba-9B-v1"), ElementsAre(9U, 18U, 27U));
  EXPECT_THAT(layers("LiquidAI__LFM2-1.2B"), ElementsAre(2U, 5U, 8U, 10U, 12U, 14U));
  EXPECT_THAT(layers("ibm-granite__granite-4.0-h-350m"), ElementsAre(10U, 13U, 17U, 27U));
  EXPECT_THAT(layers("Zyphra__Zamba2-2.7B"), ElementsAre(6U, 12U, 18U, 24U, 30U, 36U, 42U, 47U, 51U));
  EXPECT_EQ(layers("MiniMaxAI__MiniMax-Text-01").size(), 10U);
  EXPECT_EQ(layers("tiiuae__Falcon-H1-1.5B-Instruct").size(), 24U);
  EXPECT_TRUE(layers("state-spaces__mamba-130m-hf").empty());
  const auto kimi = declared(catalogue("moonshotai__Kimi-Linear-48B-A3B-Instruct"));
  const KvGroup* latent = find_group(kimi, "latent");
  ASSERT_NE(latent, nullptr);
  EXPECT_EQ(latent->kind, CacheKind::kLatent);
  EXPECT_EQ(latent->k_elements, 576U);
  EXPECT_THAT(latent->layers, ElementsAre(3U, 7U, 11U, 15U, 19U, 23U, 26U));
}

// Kimi-K3: bytes of packed experts with a scale per 32, of 16 and of 32 bits; and the names of its tensors.
TEST(KimiK3, IsStoredAsItsHeadersSay) {
  const auto d = declared(catalogue("moonshotai__Kimi-K3"));
  EXPECT_EQ(parameters(d), 2722740830208U + 57179884544U + 11122432U);
  EXPECT_EQ(stored_bytes(d), 2722740830208U / 2 + 2722740830208U / 32 + 2 * 57179884544U + 4 * 11122432U);
  const WeightClass* experts = find_class(d, "experts.gate_proj");
  ASSERT_NE(experts, nullptr);
  EXPECT_EQ(tensor_name(experts->pattern, 1, 17), "language_model.model.layers.1.block_sparse_moe.experts.17.w1.weight");
  EXPECT_EQ(experts->dims[0], 3072U);
  EXPECT_EQ(experts->dims[1], 3584U);
  EXPECT_EQ(find_class(d, "attention.g_proj")->layers.size(), 24U);
  EXPECT_EQ(find_class(d, "delta.A_log")->dims[0], 128U);
  EXPECT_EQ(find_class(d, "vision.projector.post_norm")->dims[0], 7168U);
}

// No publisher states these; the sums were worked by hand from the shapes of the checkpoints' tensors.
TEST(Parameters, MeetTheSumsWorkedByHand) {
  EXPECT_EQ(parameters(declared(catalogue("MiniMaxAI__MiniMax-Text-01"))), 456089655296U);
  EXPECT_EQ(parameters(declared(catalogue("mistralai__Mamba-Codestral-7B-v0.1"))), 7285403648U);
  EXPECT_EQ(parameters(declared(catalogue("google__recurrentgemma-2b"))), 2682862080U);
  EXPECT_EQ(parameters(declared(catalogue("Zyphra__Zamba2-2.7B"))), 2662214560U);
  EXPECT_EQ(parameters(declared(catalogue("ai21labs__AI21-Jamba-1.5-Large"))), 398555145696U);
  EXPECT_EQ(parameters(declared(catalogue("tiiuae__Falcon-H1-1.5B-Instruct"))), 1554789760U);
  EXPECT_EQ(parameters(declared(catalogue("nvidia__NVIDIA-Nemotron-3-Ultra-550B-A55B-BF16"))), 560524603904U);
}

// Exporters that convert linear layers take stacked experts apart: gate and up have two scalars each.
TEST(StackedExperts, HaveTheScalarsOfTheirHalves) {
  Json config = catalogue("Qwen__Qwen3.5-35B-A3B");
  config["quantization_config"] = {{"quant_method", "modelopt"}, {"quant_algo", "NVFP4"}, {"ignore", {"mtp*"}}};
  const auto d = declared(config);
  const std::uint64_t matrix = 512 * 2048 / 2 + 512 * 2048 / 16;
  EXPECT_EQ(find_class(d, "experts.gate_up_proj")->declared_bytes().value(), 40 * 256 * (2 * matrix + 2 * 8));
  EXPECT_EQ(find_class(d, "experts.down_proj")->declared_bytes().value(), 40 * 256 * (matrix + 8));
  EXPECT_EQ(find_class(d, "draft.experts.gate_up_proj")->declared_bytes().value(), 256U * 1024 * 2048 * 2);
}

TEST(Names, AreTheCheckpoints) {
  const auto qwen = declared(catalogue("Qwen__Qwen3.5-35B-A3B"));
  const WeightClass* experts = find_class(qwen, "experts.gate_up_proj");
  ASSERT_NE(experts, nullptr);
  EXPECT_EQ(experts->pattern, "model.language_model.layers.{layer}.mlp.experts.gate_up_proj");
  const WeightClass* draft = find_class(qwen, "draft.fc");
  ASSERT_NE(draft, nullptr);
  EXPECT_EQ(draft->pattern, "mtp.fc.weight");
  EXPECT_EQ(draft->role, static_cast<std::uint32_t>(PLIMSOLL_ROLE_DRAFT));
  const auto nemotron = declared(catalogue("nvidia__NVIDIA-Nemotron-Nano-9B-v2"));
  const WeightClass* mixer = find_class(nemotron, "mamba.in_proj");
  ASSERT_NE(mixer, nullptr);
  EXPECT_EQ(mixer->pattern, "backbone.layers.{layer}.mixer.in_proj.weight");
  EXPECT_EQ(mixer->layers.size(), 27U);
}

// Engines price the buffers of expert parallelism by model type; whoever counts the experts prices them, below hybrid too.
TEST(Activations, OfExpertsArePricedWhereTheEngineNamesTheModel) {
  struct Row {
    const char* name;
    std::uint64_t experts, per_token, hidden;
  };
  // hidden: what an expert reads, a latent width in Nemotron-3-Super and Kimi-K3
  const std::vector<Row> rows{{"Qwen__Qwen3-Next-80B-A3B-Instruct", 512, 10, 2048},
                              {"Qwen__Qwen3.5-35B-A3B", 256, 8, 2048},
                              {"ai21labs__AI21-Jamba-1.5-Mini", 16, 2, 4096},
                              {"nvidia__NVIDIA-Nemotron-3-Super-120B-A12B-FP8", 512, 22, 1024},
                              {"ibm-granite__granite-4.0-h-small", 72, 10, 4096},
                              {"LiquidAI__LFM2-8B-A1B", 32, 4, 2048},
                              {"MiniMaxAI__MiniMax-Text-01", 32, 2, 6144},
                              {"moonshotai__Kimi-Linear-48B-A3B-Instruct", 256, 8, 2304},
                              {"moonshotai__Kimi-K3", 896, 16, 3584}};
  const ActivationRequest ask{8, 8, 8, 4096, 128};
  for (const Row& row : rows) {
    const Json config = catalogue(row.name);
    const Json& text = config.contains("text_config") ? config["text_config"] : config;
    const auto tree = tree_of(config);
    ASSERT_NE(tree, nullptr) << row.name;
    Json engine;
    EXPECT_THAT(activations(*tree, ask, engine).bytes, ::testing::IsEmpty()) << row.name;
    engine["models"][text["model_type"].get<std::string>()]["expert_buffer_sets"] = 1;
    auto bytes = activations(*tree, ask, engine).bytes;
    // one byte an element, 128 tokens: sent once, received from every expert; and two bytes back for each chosen expert
    EXPECT_EQ(bytes["experts.dispatch_buffers"], 128 * row.hidden * (1 + row.experts)) << row.name;
    EXPECT_EQ(bytes["experts.combine_buffers"], row.per_token * 128 * row.hidden * 2) << row.name;
  }
}

TEST(Activations, OfModelsWithoutExpertsAreNone) {
  Json engine;
  engine["models"]["qwen3_5_text"]["expert_buffer_sets"] = 1;
  EXPECT_THAT(activations(*tree_of(qwen36()), {8, 8, 8, 4096, 128}, engine).bytes, ::testing::IsEmpty());
}

// A draft repeats an attention layer with the FFN of the model.
TEST(Drafts, RepeatWhatTheModelsLayersHave) {
  const auto qwen = declared(catalogue("Qwen__Qwen3-Next-80B-A3B-Instruct"));
  for (const char* label : {"attention.q_proj", "input_layernorm", "router", "experts.up_proj", "shared_experts.gate"}) {
    const WeightClass* own = find_class(qwen, label);
    const WeightClass* draft = find_class(qwen, std::string("draft.") + label);
    ASSERT_NE(own, nullptr) << label;
    ASSERT_NE(draft, nullptr) << label;
    EXPECT_EQ(draft->pattern, "mtp.layers.{layer}." + own->pattern.substr(std::string("model.layers.{layer}.").size())) << label;
    EXPECT_THAT(draft->layers, ElementsAre(0U)) << label;
    EXPECT_EQ(draft->role, static_cast<std::uint32_t>(PLIMSOLL_ROLE_DRAFT)) << label;
  }
  // Nemotron-3: attention in the first block of the draft, experts in the second
  const auto nemotron = declared(catalogue("nvidia__NVIDIA-Nemotron-3-Super-120B-A12B-FP8"));
  EXPECT_THAT(find_class(nemotron, "draft.attention.q_proj")->layers, ElementsAre(0U));
  EXPECT_THAT(find_class(nemotron, "draft.experts.up_proj")->layers, ElementsAre(1U));
  EXPECT_THAT(find_class(nemotron, "draft.norm")->layers, ElementsAre(0U, 1U));
  EXPECT_EQ(find_class(nemotron, "experts.gate_proj"), nullptr); // two matrices an expert
}

// What a contradiction is answered with: the place, and what was expected.
struct Wrong {
  const char* pointer;
  Json value;
  const char* message;
};

TEST(Contradictions, AreNamed) {
  const std::vector<Wrong> rows{
      {"/full_attention_interval", 0, "positive"}, {"/num_hidden_layers", 5000, "1 to 4096"},
      {"/num_hidden_layers", 0, "positive"},       {"/num_key_value_heads", 7, "divisor of 24"},
      {"/linear_num_key_heads", 0, "positive"},    {"/linear_num_key_heads", 7, "divisor of 48"},
      {"/linear_conv_kernel_dim", 0, "positive"},  {"/layer_types", Json::array({"full_attention"}), "64 were expected"},
      {"/mtp_num_hidden_layers", 1000000, "64"},
  };
  for (const Wrong& row : rows) {
    Json config = qwen36();
    config[Json::json_pointer(row.pointer)] = row.value;
    const auto tree = try_tree(config);
    ASSERT_FALSE(tree) << row.pointer;
    EXPECT_THAT(tree.error().where, HasSubstr(row.pointer));
    EXPECT_THAT(tree.error().message, HasSubstr(row.message)) << row.pointer;
  }
}

TEST(Contradictions, OfKimisListsAreNamed) {
  const Json good = catalogue("moonshotai__Kimi-Linear-48B-A3B-Instruct");
  const std::vector<Wrong> rows{
      {"/linear_attn_config/kda_layers", Json::array({0, 1}), "1 to 27"},
      {"/linear_attn_config/kda_layers", Json::array({1, 2}), "every layer once"},
      {"/linear_attn_config/full_attn_layers", Json::array({28}), "1 to 27"},
      {"/linear_attn_config/num_heads", 0, "positive"},
      {"/num_nextn_predict_layers", 1, "not known"},
      {"/kv_lora_rank", nullptr, "missing"},
  };
  for (const Wrong& row : rows) {
    Json config = good;
    config[Json::json_pointer(row.pointer)] = row.value;
    const auto tree = try_tree(config);
    ASSERT_FALSE(tree) << row.pointer;
    EXPECT_THAT(tree.error().message, HasSubstr(row.message)) << row.pointer << tree.error().where;
  }
}

TEST(Contradictions, OfPatternsAreNamed) {
  Json config = catalogue("nvidia__NVIDIA-Nemotron-Nano-9B-v2");
  config["hybrid_override_pattern"] = "M-X";
  auto tree = try_tree(config);
  ASSERT_FALSE(tree);
  EXPECT_THAT(tree.error().message, HasSubstr("\"X\""));
  config["hybrid_override_pattern"] = "M-M*";
  tree = try_tree(config);
  ASSERT_FALSE(tree);
  EXPECT_THAT(tree.error().where, HasSubstr("/num_hidden_layers"));

  config = catalogue("ibm-ai-platform__Bamba-9B-v1");
  config["attn_layer_indices"] = Json::array({9, 32});
  tree = try_tree(config);
  ASSERT_FALSE(tree);
  EXPECT_THAT(tree.error().message, HasSubstr("layer 32"));
}

} // namespace
} // namespace plimsoll::testing
