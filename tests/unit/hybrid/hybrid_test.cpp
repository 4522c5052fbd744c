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

const KvGroup* find_group(const Declared& d, const std::string& label) {
  for (const KvGroup& group : d.kv)
    if (group.label == label) return &group;
  return nullptr;
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
  };
  for (const Row& row : rows) EXPECT_EQ(state_elements(declared(catalogue(row.name))), row.elements) << row.name;
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
  EXPECT_EQ(state->regions[0].dtype, "");
  EXPECT_EQ(state->regions[1].dtype, "state");
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
}

// A configuration may ask for a type of the recurrence; what a convolution keeps stays in the model's own.
TEST(State, IsOfTheTypeThatTheCheckpointAsksFor) {
  Json config = qwen36();
  config["mamba_ssm_dtype"] = "float32";
  const auto d = declared(config);
  const KvGroup* state = find_group(d, "state");
  ASSERT_NE(state, nullptr);
  EXPECT_EQ(state->regions[0].dtype, "");
  EXPECT_EQ(state->regions[1].dtype, "float32");
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
