// Directories of adapters that are refused, each with the file and the key or tensor that is wrong; and what plans refuse.
#include <filesystem>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "plimsoll/host.hpp"
#include "support/built_context.hpp"
#include "support/sparse_checkpoint.hpp"
#include "support/tiny_adapter.hpp"

namespace plimsoll::lora_refused_test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using Json = nlohmann::ordered_json;
using test::TinyAdapter;

class LoraRefused : public ::testing::Test {
protected:
  void SetUp() override {
    test::write_tiny_folder(test::tiny_model("llama"), at_ + "/base");
    model_.emplace(test::built_context().load(at_ + "/base").value());
    adapter_ = test::tiny_adapter(test::tiny_model("llama"), {.rank = 4, .targets = {"q_proj", "v_proj"}});
  }
  void TearDown() override { std::filesystem::remove_all(at_); }

  PlanRequest request(std::uint64_t rank = 4) {
    PlanRequest request;
    request.engine = "reference";
    request.devices = "64MiB";
    request.max_loras = 2;
    request.max_lora_rank = rank;
    return request;
  }
  Result<AdapterSources> find(const TinyAdapter& adapter, const PlanRequest& asked) {
    test::write_tiny_adapter(adapter, at_ + "/adapter");
    PLIMSOLL_ASSIGN(const Program program, test::built_context().program(*model_, asked));
    return test::built_context().adapter(*model_, program.adapters, at_ + "/adapter");
  }
  std::string said(const TinyAdapter& adapter, const PlanRequest& asked) {
    const auto found = find(adapter, asked);
    return found ? "" : found.error().where + " | " + found.error().message;
  }
  TinyAdapter with(const std::string& key, const Json& value) {
    TinyAdapter out = adapter_;
    Json config = Json::parse(out.config);
    config[key] = value;
    out.config = config.dump();
    return out;
  }

  std::string at_ = ::testing::TempDir() + "/plimsoll-lora-refused-" + std::to_string(getpid());
  std::optional<Model> model_;
  TinyAdapter adapter_;
};

TEST_F(LoraRefused, NothingOfAPlainOne) {
  const auto found = find(adapter_, request());
  ASSERT_TRUE(found) << found.error().where << ": " << found.error().message;
  EXPECT_EQ(found->rank, 4U);
  EXPECT_EQ(found->pairs.size(), adapter_.modules.size());
  for (const AdapterPair& pair : found->pairs) EXPECT_EQ(pair.scale, 2);
}

TEST_F(LoraRefused, KeysThatChangeWhatIsComputed) {
  const std::vector<std::pair<const char*, Json>> wrong{{"peft_type", "IA3"},
                                                        {"use_dora", true},
                                                        {"bias", "all"},
                                                        {"modules_to_save", {"lm_head"}},
                                                        {"init_lora_weights", "pissa"},
                                                        {"layer_replication", Json::array({Json::array({0, 1})})},
                                                        {"use_something_new", true},
                                                        {"lora_bias", true},
                                                        {"alora_invocation_tokens", {1, 2}},
                                                        {"target_parameters", {"experts"}},
                                                        {"r", 0},
                                                        {"r", -4},
                                                        {"r", "4"},
                                                        {"r", 1e30},
                                                        {"lora_alpha", "8"},
                                                        {"use_rslora", 1},
                                                        {"target_modules", 7},
                                                        {"rank_pattern", 3}};
  for (const auto& [key, value] : wrong)
    EXPECT_THAT(said(with(key, value), request()), HasSubstr(std::string("adapter_config.json: /") + key)) << value;
  EXPECT_THAT(said(with("rank_pattern", {{"layers.(0|1).q_proj", 2}}), request()), HasSubstr("/rank_pattern/layers"));
  for (const char* harmless : {"use_something_new", "lora_bias", "layer_replication"})
    EXPECT_EQ(said(with(harmless, nullptr), request()), "") << harmless;
}

TEST_F(LoraRefused, ConfigurationsThatAreNone) {
  for (const char* text : {"", "[]", "{", "{}", "null", "{\"peft_type\": \"LORA\", \"peft_type\": \"LORA\"}"}) {
    adapter_.config = text;
    EXPECT_THAT(said(adapter_, request()), HasSubstr("adapter_config.json")) << text;
  }
  AdapterSlots one;
  one.slots = 1;
  EXPECT_FALSE(test::built_context().adapter(*model_, one, at_ + "/nowhere"));
}

// What JSON has no number for, numbers that no rank or scale is, and texts that are too much.
TEST_F(LoraRefused, ConfigurationsThatAreHostile) {
  const std::string whole = adapter_.config;
  const auto written = [&](const std::string& key, const std::string& value) {
    adapter_.config = "{\"peft_type\": \"LORA\", \"" + key + "\": " + value + "}";
    return said(adapter_, request());
  };
  for (const char* value : {"NaN", "Infinity", "1e999", "-1e999", "\"nan\"", "[8]"})
    EXPECT_THAT(written("lora_alpha", value), HasSubstr("adapter_config.json")) << value;
  for (const char* value : {"4.5", "-1", "99999999999999999999", "65537", "1e400"})
    EXPECT_THAT(written("r", value), HasSubstr("adapter_config.json")) << value;
  EXPECT_THAT(written("x", std::string(100'000, '[')), HasSubstr("adapter_config.json"));
  adapter_.config = whole + std::string(2U << 20, ' ');
  EXPECT_THAT(said(adapter_, request()), HasSubstr("adapter_config.json"));
}

TEST_F(LoraRefused, FilesThatAreMissingOrNoFiles) {
  const Program program = test::built_context().program(*model_, request()).value();
  for (const char* const name : {"adapter_config.json", "adapter_model.safetensors"})
    for (const bool folder : {false, true}) {
      test::write_tiny_adapter(adapter_, at_ + "/adapter");
      const std::string path = at_ + "/adapter/" + name;
      std::filesystem::remove(path);
      if (folder) std::filesystem::create_directory(path);
      const auto found = test::built_context().adapter(*model_, program.adapters, at_ + "/adapter");
      ASSERT_FALSE(found) << name;
      EXPECT_THAT(found.error().where + found.error().message, HasSubstr(name));
      std::filesystem::remove_all(path);
    }
}

// The first pattern of the file that fits counts, as in PEFT, whatever the order of names.
TEST_F(LoraRefused, TheFirstPatternThatFitsCounts) {
  for (const bool short_first : {true, false}) {
    Json patterns = Json::object();
    if (short_first) patterns["q_proj"] = 12;
    patterns["layers.0.self_attn.q_proj"] = 20;
    patterns["q_proj"] = 12;
    const auto found = find(with("alpha_pattern", patterns), request());
    ASSERT_TRUE(found) << found.error().message;
    for (const AdapterPair& pair : found->pairs) {
      const bool is_first = pair.name.ends_with("layers.0.self_attn.q_proj");
      const double alpha = !pair.name.ends_with("q_proj") ? 8 : is_first && !short_first ? 20 : 12;
      EXPECT_EQ(pair.scale, alpha / 4) << pair.name;
    }
  }
}

TEST_F(LoraRefused, PatternsGiveRanksAndScales) {
  TinyAdapter other = test::tiny_adapter(test::tiny_model("llama"), {.rank = 2, .targets = {"q_proj"}});
  const TinyAdapter v = test::tiny_adapter(test::tiny_model("llama"), {.rank = 4, .targets = {"v_proj"}});
  other.tensors.insert(other.tensors.end(), v.tensors.begin(), v.tensors.end());
  Json config = Json::parse(adapter_.config);
  config["rank_pattern"] = {{"self_attn.q_proj", 2}};
  config["alpha_pattern"] = {{"q_proj", 3}};
  other.config = config.dump();
  const auto found = find(other, request());
  ASSERT_TRUE(found) << found.error().message;
  for (const AdapterPair& pair : found->pairs) EXPECT_EQ(pair.scale, pair.name.ends_with("q_proj") ? 1.5 : 2) << pair.name;
}

TEST_F(LoraRefused, TensorsThatHaveNoPlace) {
  struct Wrong {
    const char* name; // of the first tensor
    std::vector<std::uint64_t> shape;
    const char* says;
  };
  const std::vector<std::uint64_t> a = adapter_.tensors[0].shape;
  const std::vector<Wrong> all{
      {"lora_A.weight", a, "is neither A nor B"},
      {"base_model.model.lora_A.weight", a, "is neither A nor B"},
      {"base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector.weight", a, "lora_magnitude_vector"},
      {"base_model.model.model.embed_tokens.lora_embedding_A", a, "is neither A nor B"},
      {"base_model.model.model.layers.99.self_attn.q_proj.lora_A.weight", a, "has no lora_A.weight"},
      {"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", {a[0], a[1], 1}, "is no matrix"},
      {"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", {a[0] / 2, a[1] * 2}, "says that its rank is 4"},
  };
  for (const Wrong& wrong : all) {
    TinyAdapter other = adapter_;
    other.tensors[0].name = wrong.name;
    other.tensors[0].shape = wrong.shape;
    EXPECT_THAT(said(other, request()), AllOf(HasSubstr("adapter_model.safetensors"), HasSubstr(wrong.says))) << wrong.name;
  }
  const auto renamed = [&](const std::string& layer) {
    TinyAdapter other = adapter_;
    other.tensors[0].name = layer + ".lora_A.weight";
    other.tensors[1].name = layer + ".lora_B.weight";
    return said(other, request());
  };
  EXPECT_THAT(renamed("base_model.model.model.layers.99.self_attn.q_proj"), HasSubstr("is no layer of this model"));
  EXPECT_THAT(renamed("base_model.model.model.layers.0.self_attn.k_proj"), HasSubstr("target_modules"));
  EXPECT_THAT(renamed("base_model.model.language_model.layers.1.self_attn.q_proj"), HasSubstr("changes the same weight as"));
}

// Weights that no LINEAR multiplies with: experts, and what latents are expanded with.
TEST_F(LoraRefused, ExpertsAndLatentProjections) {
  const test::TinyModel latent = test::tiny_model("deepseek_v3");
  test::write_tiny_folder(latent, at_ + "/latent");
  model_.emplace(test::built_context().load(at_ + "/latent").value());
  EXPECT_THAT(said(test::tiny_adapter(latent, {.targets = {"kv_b_proj"}}), request()), AllOf(HasSubstr("kv_b_proj"), HasSubstr("no room")));
  adapter_ = test::tiny_adapter(latent, {.targets = {"o_proj"}});
  adapter_.tensors[0].name = "base_model.model.model.layers.1.mlp.experts.0.down_proj.lora_A.weight";
  adapter_.tensors[1].name = "base_model.model.model.layers.1.mlp.experts.0.down_proj.lora_B.weight";
  EXPECT_THAT(said(with("target_modules", {"o_proj", "down_proj"}), request()), HasSubstr("is of experts"));
}

TEST_F(LoraRefused, RowsAndColumnsThatAreNotTheLayers) {
  for (const std::size_t which : {0U, 1U}) {
    TinyAdapter other = adapter_;
    test::TinyTensor& tensor = other.tensors[which];
    const std::size_t grown = 1 - which; // A's columns, B's rows
    tensor.shape[grown] += 1;
    tensor.values.resize(tensor.shape[0] * tensor.shape[1]);
    EXPECT_THAT(said(other, request()), HasSubstr(which == 0 ? "columns; the layer reads" : "is not what the layer gives"));
  }
}

TEST_F(LoraRefused, WhatThePlanHasNoRoomFor) {
  EXPECT_THAT(said(adapter_, request(3)), HasSubstr("plan with --max-lora-rank 4"));
  PlanRequest narrow = request();
  narrow.lora_targets = {"q_proj"};
  EXPECT_THAT(said(adapter_, narrow), AllOf(HasSubstr("v_proj"), HasSubstr("--lora-targets")));
  narrow.lora_targets = {"self_attn.q_proj", "v_proj"};
  EXPECT_EQ(said(adapter_, narrow), "");
}

TEST_F(LoraRefused, FilesThatAreCutOrNone) {
  test::write_tiny_adapter(adapter_, at_ + "/adapter");
  const std::string file = at_ + "/adapter/adapter_model.safetensors";
  const Program program = test::built_context().program(*model_, request()).value();
  const std::uint64_t bytes = std::filesystem::file_size(file);
  for (const std::uint64_t kept : {std::uint64_t{0}, std::uint64_t{7}, std::uint64_t{40}, bytes - 1}) {
    std::filesystem::resize_file(file, kept);
    const auto found = test::built_context().adapter(*model_, program.adapters, at_ + "/adapter");
    ASSERT_FALSE(found) << kept;
    EXPECT_EQ(found.error().code, ErrorCode::kBadCheckpoint);
    test::write_tiny_adapter(adapter_, at_ + "/adapter");
  }
}

// ---- plans ----------------------------------------------------------------------------------------------------------------

TEST_F(LoraRefused, ThePlanCountsSlotsTimesRankTimesLayers) {
  PlanRequest asked = request(8);
  asked.max_loras = 3;
  asked.lora_targets = {"q_proj", "down_proj"};
  asked.lora_dtype = "bfloat16";
  const Plan plan = test::built_context().plan(*model_, asked).value();
  const auto item = std::find_if(plan.items.begin(), plan.items.end(), [](const Item& one) { return one.label == "lora"; });
  ASSERT_NE(item, plan.items.end());
  const Json config = Json::parse(test::tiny_model("llama").config);
  const std::uint64_t hidden = config["hidden_size"], ffn = config["intermediate_size"], layers = config["num_hidden_layers"];
  const std::uint64_t heads = config["num_attention_heads"], head = config.value("head_dim", hidden / heads);
  EXPECT_EQ(item->bytes[0], 3 * 8 * layers * ((hidden + heads * head) + (ffn + hidden)) * 2);
  EXPECT_EQ(item->category, Category::kWeights);
  EXPECT_EQ(item->basis, Basis::kExact);
  const Json document = Json::parse(plan_to_json(plan));
  EXPECT_EQ(document["request"]["max_loras"], 3);
  EXPECT_EQ(document["request"]["lora_dtype"], "bfloat16");
}

TEST_F(LoraRefused, PlansThatCannotBe) {
  const auto refusal = [&](auto change) {
    PlanRequest asked = request();
    change(asked);
    const auto plan = test::built_context().plan(*model_, asked);
    return plan ? "" : plan.error().where + " | " + plan.error().message;
  };
  EXPECT_THAT(refusal([](PlanRequest& r) { r.engine = "max"; }), HasSubstr("--engine reference"));
  EXPECT_THAT(refusal([](PlanRequest& r) { r.max_loras.reset(); }), HasSubstr("give --max-loras N too"));
  EXPECT_THAT(refusal([](PlanRequest& r) { r.lora_dtype = "int8"; }), HasSubstr("--lora-dtype"));
  EXPECT_THAT(refusal([](PlanRequest& r) { r.lora_targets = {"x_proj"}; }), AllOf(HasSubstr("x_proj"), HasSubstr("q_proj")));
  EXPECT_THAT(refusal([](PlanRequest& r) { r.lora_targets = {"embed_tokens"}; }), HasSubstr("--lora-targets"));
  EXPECT_THAT(refusal([](PlanRequest& r) { r.max_loras = 0; }), HasSubstr("--max-loras"));
}

} // namespace
} // namespace plimsoll::lora_refused_test
