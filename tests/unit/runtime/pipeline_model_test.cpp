// PipelineModel of the documented module: calculate_max_seq_len, estimate_weights_size, estimate_activation_memory,
// infer_optimal_batch_size, dtype, lora_manager, load, prepare_initial_token_inputs, prepare_next_token_inputs, execute, release.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/built_context.hpp"
#include "unit/runtime/fake_model.hpp"

namespace plimsoll::pipeline_model_test {
namespace {

using namespace plimsoll::testing;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

const Context& context() { return test::built_context(); }
Model model_of(const char* name) { return context().load(name).value(); }
PlanRequest request_of(const char* devices, const char* engine = "max") {
  PlanRequest request;
  request.devices = devices;
  request.engine = engine;
  return request;
}

// ---- upper_bounded_default, calculate_max_seq_len -------------------------------------------------------------------------

TEST(UpperBoundedDefault, IsTheValueOrTheBound) {
  EXPECT_EQ(upper_bounded_default(8, std::nullopt), 8U);
  EXPECT_EQ(upper_bounded_default(8, 8), 8U);
  EXPECT_EQ(upper_bounded_default(8, 1), 1U);
  const auto above = upper_bounded_default(8, 9);
  ASSERT_FALSE(above);
  EXPECT_EQ(above.error().code, ErrorCode::kBadRequest);
  EXPECT_EQ(above.error().message, "the value provided (9) exceeds the upper bound (8)");
  EXPECT_FALSE(upper_bounded_default(8, 0));
}

// The example of the documentation: a model's own function, over the helper, with a message of its own.
class MistralModel : public CachelessModel {
public:
  using CachelessModel::CachelessModel;
  static Result<std::uint64_t> calculate_max_seq_len(std::optional<std::uint64_t> max_length, std::uint64_t max_seq_len) {
    auto length = upper_bounded_default(max_seq_len, max_length);
    if (length) return length;
    return fail(ErrorCode::kBadRequest, "Unable to infer max_length for Mistral, the provided max_length (" + std::to_string(*max_length) +
                                            ") exceeds the model's max_seq_len (" + std::to_string(max_seq_len) + ").");
  }
};

TEST(PipelineModel, CalculateMaxSeqLenOfTheDocumentedMistralExample) {
  EXPECT_EQ(MistralModel::calculate_max_seq_len(std::nullopt, 32'768), 32'768U);
  EXPECT_EQ(MistralModel::calculate_max_seq_len(4096, 32'768), 4096U);
  EXPECT_EQ(MistralModel::calculate_max_seq_len(40'000, 32'768).error().message,
            "Unable to infer max_length for Mistral, the provided max_length (40000) exceeds the model's max_seq_len (32768).");
}

TEST(PipelineModel, CalculateMaxSeqLenIsTheModelsOwnLengthOrTheOneAskedFor) {
  const Model model = model_of("mistralai/Mistral-7B-v0.1");
  PlanRequest request = request_of("1MiB"); // nothing that is planned or allocated
  EXPECT_EQ(PipelineModel::calculate_max_seq_len(context(), model, request), 32'768U);
  request.max_length = 1000;
  EXPECT_EQ(PipelineModel::calculate_max_seq_len(context(), model, request), 1000U);
  request.max_length = 32'769;
  EXPECT_EQ(PipelineModel::calculate_max_seq_len(context(), model, request).error().message,
            "Unable to infer max_length for MistralForCausalLM, the provided max_length (32769) exceeds the model's max_seq_len (32768).");
  request.max_length_auto = true;
  EXPECT_EQ(PipelineModel::calculate_max_seq_len(context(), model, request), 32'768U) << "as much as there is";
  request.max_length = 0;
  EXPECT_THAT(PipelineModel::calculate_max_seq_len(context(), model, request).error().message, HasSubstr("(0) is below 1"));
}

TEST(PipelineModel, CalculateMaxSeqLenOfAModelThatDoesNotSayItsLength) {
  const Model model = context()
                          .load_config(R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64,
      "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 320, "torch_dtype": "float32",
      "max_position_embeddings": 0})",
                                       "lengthless")
                          .value();
  PlanRequest request = request_of("64MiB");
  const std::uint64_t usual = PipelineModel::calculate_max_seq_len(context(), model, request).value();
  request.max_length = usual + 1000;
  EXPECT_EQ(PipelineModel::calculate_max_seq_len(context(), model, request), usual + 1000);
}

// ---- estimates ------------------------------------------------------------------------------------------------------------

TEST(PipelineModel, EstimateWeightsSizeAndActivationMemoryAreThePlans) {
  struct Case {
    const char *model, *devices, *engine;
  };
  for (const Case& c : {Case{PLIMSOLL_TEST_DATA "/tiny/kjv", "64MiB", "reference"}, Case{"meta-llama/Llama-3.1-8B", "2xH100", "vllm"},
                        Case{"deepseek-ai/DeepSeek-V3", "8xH200", "max"}, Case{"meta-llama/Llama-3.1-8B", "1GiB", "max"}}) {
    const Model model = model_of(c.model);
    const PlanRequest request = request_of(c.devices, c.engine);
    const Plan plan = context().plan(model, request).value();
    std::vector<std::uint64_t> weights, activations;
    for (const DevicePlan& device : plan.devices) {
      weights.push_back(device.weights_bytes);
      activations.push_back(device.activation_bytes);
    }
    EXPECT_EQ(PipelineModel::estimate_weights_size(context(), model, request).value(), weights) << c.model;
    EXPECT_EQ(PipelineModel::estimate_activation_memory(context(), model, request).value(), activations) << c.model;
  }
  EXPECT_EQ(PipelineModel::estimate_weights_size(context(), model_of(PLIMSOLL_TEST_DATA "/tiny/kjv"), request_of("64MiB")).value()[0],
            820'352U * 4);
  EXPECT_FALSE(PipelineModel::estimate_weights_size(context(), model_of(PLIMSOLL_TEST_DATA "/tiny/kjv"), request_of("no device")));
}

TEST(PipelineModel, InferOptimalBatchSizeIsThePlansAndNeverOutside1To4096) {
  const Model model = model_of("meta-llama/Llama-3.1-8B");
  PlanRequest request = request_of("1xH100");
  const auto roomy = PipelineModel::infer_optimal_batch_size(context(), model, request, {.available_cache_memory = 40ULL << 30});
  ASSERT_TRUE(roomy) << roomy.error().message;
  PlanRequest same = request;
  same.kv_cache_bytes = 40ULL << 30;
  const Plan plan = context().plan(model, same).value();
  EXPECT_EQ(roomy->chosen, plan.limits.max_batch_size);
  EXPECT_EQ(roomy->planned, plan.limits.max_batch_size);
  EXPECT_EQ(roomy->at_max_length, plan.limits.max_batch_at_max_length);
  request.max_batch_size = 8000;
  request.max_batch_input_tokens = 8192;
  const auto clamped = PipelineModel::infer_optimal_batch_size(context(), model, request, {.available_cache_memory = 40ULL << 30});
  ASSERT_TRUE(clamped) << clamped.error().message;
  EXPECT_EQ(clamped->chosen, kMostBatch);
  EXPECT_EQ(clamped->planned, 8000U);
  const auto host =
      PipelineModel::infer_optimal_batch_size(context(), model, request, {.available_cache_memory = 40ULL << 30, .one_host_device = true});
  ASSERT_TRUE(host);
  EXPECT_EQ(host->chosen, 1U);
  EXPECT_EQ(host->planned, 8000U) << "both figures are told";
  EXPECT_FALSE(PipelineModel::infer_optimal_batch_size(context(), model, request_of("1xH100"), {.available_cache_memory = 1000}));
}

// ---- what a model is ------------------------------------------------------------------------------------------------------

TEST(PipelineModel, DtypeIsThePlans) {
  Plan plan = fake_plan({});
  EXPECT_EQ(FakeModel(PipelineModelOptions{plan, {}}).dtype(), ElementType::kFloat32);
  plan.request.dtype = "bfloat16";
  EXPECT_EQ(FakeModel(PipelineModelOptions{plan, {}}).dtype(), ElementType::kBfloat16);
  plan.request.dtype = "";
  const auto none = FakeModel(PipelineModelOptions{plan, {}}).dtype();
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message, HasSubstr("the plan's type is ''"));
}

TEST(PipelineModel, LoraManagerIsNoneWithoutAdapters) {
  FakeModel model(PipelineModelOptions{fake_plan({}), {}});
  EXPECT_EQ(model.lora_manager(), nullptr);
  EXPECT_EQ(model.arenas().size(), 0U);
  EXPECT_EQ(model.return_logits(), ReturnLogits::kVariable);
  EXPECT_EQ(model.PipelineModel::step_limits().tokens, 16U);
}

// ---- the reference model --------------------------------------------------------------------------------------------------

constexpr const char* kBible = PLIMSOLL_TEST_DATA "/tiny/kjv";

TEST(PipelineModel, LoadRefusesAPlanThatDoesNotFitBeforeAnythingIsAllocated) {
  const auto pipeline = TextGenerationPipeline::create(context(), model_of(kBible), request_of("2MiB", "reference"));
  ASSERT_FALSE(pipeline);
  EXPECT_EQ(pipeline.error().code, ErrorCode::kModelTooLarge);
  const Model model = model_of(kBible);
  const Plan plan = context().plan(model, request_of("2MiB", "reference")).value();
  EXPECT_FALSE(PipelineModel::load(context(), model, request_of("2MiB", "reference"), {plan, {}}));
}

TEST(PipelineModel, LoadTakesARankForEachDeviceAndRefusesWhatHasNoWeights) {
  const auto two = TextGenerationPipeline::create(context(), model_of(kBible), request_of("64MiB,64MiB", "reference"));
  ASSERT_TRUE(two) << two.error().message;
  EXPECT_EQ(two->model().arenas().size(), 2U);
  const auto config_only =
      TextGenerationPipeline::create(context(), model_of("meta-llama/Llama-3.1-8B"), request_of("1xH200", "reference"));
  EXPECT_FALSE(config_only);
}

// One model and its cache, stepped by hand.
class ReferenceSteps : public ::testing::Test {
protected:
  void SetUp() override {
    PlanRequest request = request_of("64MiB", "reference");
    request.max_length = 64;
    request.max_batch_size = 3;
    auto made = TextGenerationPipeline::create(context(), model_of(kBible), request);
    ASSERT_TRUE(made) << made.error().message;
    pipeline_.emplace(std::move(*made));
  }
  PipelineModel& model() { return pipeline_->model(); }

  std::optional<TextGenerationPipeline> pipeline_;
  const std::vector<std::vector<Token>> prompts_{{1, 76, 113, 35, 119}, {1, 68}, {1, 87, 107, 104, 35, 79, 82, 85, 71}};
};

TEST_F(ReferenceSteps, InputsAreRaggedAndNamed) {
  std::vector<TextContext> contexts;
  std::vector<const TextContext*> batch;
  for (const auto& prompt : prompts_) {
    TextContextOptions options;
    options.id = contexts.size();
    options.prompt = prompt;
    options.max_length = 64;
    contexts.push_back(TextContext::create(options).value());
  }
  for (const TextContext& one : contexts) batch.push_back(&one);
  const auto inputs = model().prepare_initial_token_inputs(batch, std::nullopt, 2);
  ASSERT_TRUE(inputs) << inputs.error().message;
  std::vector<std::string> shapes;
  for (const NamedTensor& input : **inputs) shapes.push_back(input.name + " " + input.tensor.description());
  EXPECT_THAT(shapes, ElementsAre("tokens int64 [16]", "input_row_offsets uint32 [4]", "return_n_logits int64 [1]"));
  EXPECT_THAT((*inputs)->find("input_row_offsets").values<std::uint32_t>().value(), ElementsAre(0, 5, 7, 16));
  EXPECT_THAT((*inputs)->find("return_n_logits").values<std::int64_t>().value(), ElementsAre(2));
  const auto executed = model().execute(**inputs);
  ASSERT_FALSE(executed) << "no pages are claimed";
  EXPECT_EQ(executed.error().code, ErrorCode::kBadRequest);
  batch.push_back(batch[0]);
  EXPECT_FALSE(model().prepare_initial_token_inputs(batch)) << "a batch of 3 is planned";
}

// The tokens of a multi-step execution are those of as many single steps.
TEST_F(ReferenceSteps, NextTokenInputsStepByStepGiveWhatGenerateGives) {
  constexpr std::uint64_t kSteps = 6;
  std::vector<TextGenerationRequest> requests;
  for (const auto& prompt : prompts_) {
    requests.emplace_back();
    requests.back().prompt_tokens = prompt;
    requests.back().max_new_tokens = kSteps;
    requests.back().ignore_end = true;
  }
  const auto whole = pipeline_->generate(requests);
  ASSERT_TRUE(whole) << whole.error().message;

  // Pages for all steps at once.
  auto* const cached = dynamic_cast<KvCacheModel*>(&model());
  ASSERT_NE(cached, nullptr);
  const Plan& plan = pipeline_->plan();
  std::vector<Arena> arenas{Arena::create(plan, 0).value()};
  KvCacheOptions options;
  options.manager.slack_tokens = kSteps;
  auto cache = cached->load_kv_manager(plan, arenas, options);
  ASSERT_TRUE(cache) << cache.error().message;
  std::vector<TextContext> contexts;
  for (const auto& prompt : prompts_) {
    TextContextOptions one;
    one.id = contexts.size();
    one.prompt = prompt;
    one.max_length = 64;
    contexts.push_back(TextContext::create(one).value());
    ASSERT_TRUE(cache->manager().claim(contexts.back().id()));
    ASSERT_TRUE(cache->manager().alloc(contexts.back()));
  }
  std::vector<const TextContext*> batch;
  for (const TextContext& one : contexts) batch.push_back(&one);
  auto inputs = model().prepare_initial_token_inputs(batch, cache->runtime_inputs(batch).value());
  for (std::uint64_t step = 0; step < kSteps; ++step) {
    ASSERT_TRUE(inputs) << inputs.error().message;
    const auto outputs = model().execute(**inputs);
    ASSERT_TRUE(outputs) << outputs.error().message;
    Tensor next = Tensor::zeros({batch.size()}, step % 2 == 0 ? ElementType::kInt64 : ElementType::kInt32).value();
    for (std::size_t i = 0; i < batch.size(); ++i) {
      const std::span<const float> row = outputs->next_token_row(i).value();
      const auto token = static_cast<Token>(std::max_element(row.begin(), row.end()) - row.begin());
      EXPECT_EQ(token, (*whole)[i].tokens[step]) << "request " << i << ", step " << step;
      if (step % 2 == 0) next.values<std::int64_t>().value()[i] = token;
      else next.values<std::int32_t>().value()[i] = token;
    }
    inputs = model().prepare_next_token_inputs(next, std::move(*inputs));
  }
  const Tensor few = Tensor::zeros({1}, ElementType::kInt64).value();
  EXPECT_THAT(model().prepare_next_token_inputs(few, std::move(*inputs)).error().message, HasSubstr("1 next tokens for 3 requests"));
  EXPECT_FALSE(model().prepare_next_token_inputs(few, nullptr));
}

TEST_F(ReferenceSteps, ADeviceThatIsPlannedIsTakenToTheByte) {
  for (const Usage& usage : pipeline_->usage()) EXPECT_EQ(usage.live_bytes, usage.planned_bytes) << category_name(usage.category);
  EXPECT_EQ(model().dtype(), ElementType::kFloat32);
  EXPECT_EQ(model().step_limits().vocab_tokens, 320U);
  EXPECT_TRUE(model().signal_buffers().value().empty());
  model().release(7);
}

} // namespace
} // namespace plimsoll::pipeline_model_test
