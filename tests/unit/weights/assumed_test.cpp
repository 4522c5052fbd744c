// Classes that no planner names: planned by their model_type, with a warning that has both names, and without the head that
// their class lacks.
#include <gmock/gmock.h>

#include "unit/weights/checkpoints.hpp"

namespace plimsoll::testing {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::Not;

Json named(const char* architecture) {
  Json config = llama_config();
  if (*architecture == '\0') config.erase("architectures");
  else config["architectures"] = {architecture};
  return config;
}

Plan plan_of(const std::string& path, const std::string& engine = "max") {
  PlanRequest request;
  request.devices = "1x24GiB";
  request.engine = engine;
  auto plan = test::built_context().plan(loaded(path), request);
  if (!plan) throw std::runtime_error(plan.error().where + ": " + plan.error().message);
  return *plan;
}

const auto has_assumed = [](const char* architecture) {
  return Contains(AllOf(Field(&Warning::code, WarningCode::kArchitectureAssumed),
                        Field(&Warning::message, AllOf(HasSubstr(std::string("'") + architecture + "'"), HasSubstr("'llama'")))));
};

TEST(Assumed, IsAWarningOfThePlanAndANoteOfTheWeights) {
  const Directory directory(named("FooForCausalLM"), {});
  EXPECT_THAT(plan_of(directory.path()).warnings, has_assumed("FooForCausalLM"));
  const WeightsReport report = report_of(directory.path());
  EXPECT_THAT(report.notes, Contains(AllOf(HasSubstr("architecture_assumed"), HasSubstr("FooForCausalLM"), HasSubstr("llama"))));
  EXPECT_THAT(weights_to_json(report), HasSubstr("architecture_assumed"));
  EXPECT_EQ(report.declared_bytes, bytes_of(llama())); // as Llama in all else
}

TEST(Assumed, IsSaidWithGivenWeightsAndOfADraftToo) {
  const Directory model(llama_config(), {}), draft(named("FooForCausalLM"), {});
  PlanRequest request;
  request.devices = "1x24GiB";
  request.weights_bytes = 1 << 20;
  EXPECT_THAT(test::built_context().plan(loaded(draft.path()), request)->warnings, has_assumed("FooForCausalLM"));
  request = {};
  request.devices = "1x24GiB";
  request.draft = loaded(draft.path());
  request.num_draft_tokens = 2;
  EXPECT_THAT(test::built_context().plan(loaded(model.path()), request)->warnings, has_assumed("FooForCausalLM"));
}

TEST(Assumed, IsNotSaidOfKnownClassesNorWhereThereIsOnlyAModelType) {
  for (const char* architecture : {"LlamaForCausalLM", ""}) {
    const Directory directory(named(architecture), {});
    EXPECT_THAT(plan_of(directory.path()).warnings, Not(has_assumed(architecture)));
    EXPECT_EQ(report_of(directory.path()).declared_bytes, bytes_of(llama()));
  }
}

TEST(Assumed, NeedsAModelTypeThatIsKnown) {
  Json config = named("FooForCausalLM");
  config["model_type"] = "foo";
  const Directory directory(config, {});
  const auto model = test::built_context().load(directory.path());
  ASSERT_FALSE(model);
  EXPECT_EQ(model.error().code, ErrorCode::kUnsupportedArchitecture);
}

TEST(Assumed, ClassesWithoutAHeadHaveNone) {
  const std::uint64_t bare = bytes_of(llama()) - 100 * 256 * 2;
  const std::vector<std::pair<const char*, std::uint64_t>> rows{{"LlamaModel", 0},
                                                                {"LlamaForSequenceClassification", 3 * 256 * 2},
                                                                {"LlamaForTokenClassification", 3 * 256 * 2 + 3 * 2},
                                                                {"LlamaForQuestionAnswering", 2 * 256 * 2 + 2 * 2}};
  for (const auto& [architecture, head] : rows) {
    Json config = named(architecture);
    config["id2label"] = {{"0", "bad"}, {"1", "fair"}, {"2", "good"}};
    const Directory directory(config, {});
    const Plan plan = plan_of(directory.path());
    EXPECT_EQ(plan.devices[0].weights_bytes, bare + head) << architecture;
    EXPECT_GT(plan.devices[0].kv_cache_bytes, 0U) << architecture; // a decoder keeps its cache
    EXPECT_THAT(plan.warnings, has_assumed(architecture));
    for (const char* engine : {"vllm", "sglang", "tensorrt-llm", "llama.cpp"}) EXPECT_NO_THROW(plan_of(directory.path(), engine)) << engine;
    PlanRequest stages;
    stages.pp = 2;
    const std::vector<std::uint64_t> ranks = report_of(directory.path(), stages).rank_bytes;
    EXPECT_EQ(ranks[0] + ranks[1], bare + head) << architecture;
  }
}

TEST(Assumed, ACheckpointWithoutAHeadIsClean) {
  Tensors tensors = llama();
  drop(tensors, "lm_head");
  for (SparseTensor& tensor : tensors) tensor.name.erase(0, 6); // bare classes have no "model."
  expect_clean(report_of(named("LlamaModel"), tensors), tensors);
  tensors.push_back({"score.weight", "BF16", {1, 256}});
  Json config = named("LlamaForSequenceClassification");
  config["num_labels"] = 1;
  expect_clean(report_of(config, tensors), tensors);
}

TEST(Assumed, AHeadThatIsStoredAllTheSameIsCounted) {
  EXPECT_EQ(report_of(named("LlamaModel"), llama()).rank_bytes.at(0), bytes_of(llama()));
}

// Tied or not, of experts or not: what the family calls its head is what goes.
TEST(Assumed, TheHeadGoesInEveryFamily) {
  Json experts = moe_config();
  experts["architectures"] = {"Qwen3MoeModel"};
  EXPECT_EQ(report_of(experts, {}).declared_bytes, bytes_of(moe()) - 128 * 64 * 2);
  experts["tie_word_embeddings"] = true;
  EXPECT_EQ(report_of(experts, {}).declared_bytes, bytes_of(moe()) - 128 * 64 * 2);
}

// A class that generates, and beside its configuration the file by which engines know an embedder: no head, and the plan says why. The
// files of such a model have no head and no "model." either.
TEST(Assumed, ModulesBesideTheConfigurationMakeAnEmbedder) {
  Tensors tensors = llama();
  drop(tensors, "lm_head");
  for (SparseTensor& tensor : tensors) tensor.name.erase(0, 6);
  const std::string pooled = R"([{"idx": 0, "type": "sentence_transformers.models.Transformer"},
                                 {"idx": 1, "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}])";
  const auto beside = [](const Tensors& stored, const std::string& modules, const char* engine) {
    const Directory directory(llama_config(), stored);
    test::write_text(directory / "modules.json", modules);
    return plan_of(directory.path(), engine);
  };
  const auto weights = [&](const Tensors& stored, const std::string& modules, const char* engine) {
    return beside(stored, modules, engine).devices[0].weights_bytes;
  };
  const auto says_why =
      Contains(AllOf(Field(&Warning::code, WarningCode::kArchitectureAssumed), Field(&Warning::message, HasSubstr("embedder"))));
  const std::uint64_t head = 128 * 256 * 2; // 100 words, rows in multiples of 64
  for (const Tensors& stored : {Tensors{}, tensors}) {
    EXPECT_EQ(weights(stored, pooled, "vllm") + head, weights({}, "[]", "vllm"));
    EXPECT_EQ(weights(stored, pooled, "sglang"), weights({}, "[]", "sglang")); // makes the whole class
    const Plan plan = beside(stored, pooled, "vllm");
    EXPECT_GT(plan.devices[0].kv_cache_bytes, 0U);
    EXPECT_THAT(plan.warnings, says_why);
  }
  const std::uint64_t whole = weights({}, "[]", "vllm");
  for (const char* other : {"{}", "null", R"([1, {"type": 2}, {"type": "sentence_transformers.models.Normalize"}])", "[", ""}) {
    const Plan plan = beside({}, other, "vllm");
    EXPECT_EQ(plan.devices[0].weights_bytes, whole) << other;
    EXPECT_THAT(plan.warnings, Not(says_why)) << other;
  }
}

// What an engine has no class of is never planned as if it had, without a word.
TEST(Assumed, AnEngineThatHasNoSuchModelIsNamed) {
  const Json t5 = Json::parse(R"({"architectures": ["T5ForConditionalGeneration"], "model_type": "t5", "vocab_size": 128, "d_model": 64,
    "d_kv": 16, "d_ff": 128, "num_layers": 2, "num_heads": 4, "n_positions": 64, "torch_dtype": "bfloat16"})");
  Json albert = Json::parse(R"({"architectures": ["AlbertModel"], "model_type": "albert", "vocab_size": 128, "embedding_size": 32,
    "hidden_size": 64, "num_attention_heads": 4, "num_hidden_layers": 4, "intermediate_size": 128, "max_position_embeddings": 64,
    "torch_dtype": "bfloat16"})");
  const auto unserved = [](const std::string& engine, const char* architecture) {
    return Contains(AllOf(Field(&Warning::code, WarningCode::kArchitectureAssumed),
                          Field(&Warning::message, AllOf(HasSubstr(engine.substr(0, engine.find('@'))), HasSubstr(architecture)))));
  };
  const Directory writer(t5, {}), reader(albert, {}), decoder(llama_config(), {});
  for (const char* engine : {"max", "vllm", "vllm@0.10.0", "sglang"}) {
    EXPECT_THAT(plan_of(writer.path(), engine).warnings, unserved(engine, "T5ForConditionalGeneration")) << engine;
    EXPECT_THAT(plan_of(reader.path(), engine).warnings, unserved(engine, "AlbertModel")) << engine;
    EXPECT_THAT(plan_of(decoder.path(), engine).warnings, Not(unserved(engine, "LlamaForCausalLM"))) << engine;
  }
}

} // namespace
} // namespace plimsoll::testing
