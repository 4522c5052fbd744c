// Multi-token-prediction layers under the classes that engines load them by: as many parameters as the model that they stand in declares
// for its drafts.
#include "golden/model_files.hpp"

namespace plimsoll::testing {
namespace {

struct NextLayersOf {
  const char* model;
  const char* drafted_by; // a class
  Json more = {};         // keys beside the model's own
};
void PrintTo(const NextLayersOf& c, std::ostream* out) { *out << c.drafted_by; }

class RealNextLayers : public ::testing::TestWithParam<NextLayersOf> {};

std::uint64_t parameters_of(const Declared& declared, bool drafts_alone) {
  Checked total = 0;
  for (const WeightClass& weight : declared.weights)
    if (!drafts_alone || weight.role == PLIMSOLL_ROLE_DRAFT) total += weight.parameters();
  return total.value();
}

TEST_P(RealNextLayers, AreWhatTheModelDrafts) {
  Json file = read_model_file(GetParam().model);
  ASSERT_TRUE(file.contains("config"));
  if (GetParam().more.is_object()) file["config"].update(GetParam().more);
  const auto model = declare_model(file);
  ASSERT_TRUE(model) << model.error().where << ": " << model.error().message;
  file["config"]["architectures"] = {GetParam().drafted_by};
  const auto draft = declare_model(file);
  ASSERT_TRUE(draft) << draft.error().where << ": " << draft.error().message;
  EXPECT_GT(parameters_of(draft->declared, false), 0U);
  EXPECT_EQ(parameters_of(draft->declared, false), parameters_of(model->declared, true));
}

const Json kOne{{"num_nextn_predict_layers", 1}};

INSTANTIATE_TEST_SUITE_P(
    Golden, RealNextLayers,
    ::testing::Values(NextLayersOf{"zai-org__GLM-4.7-Flash", "Glm4MoeLiteMTPModel"},
                      NextLayersOf{"zai-org__GLM-4.7-Flash", "Glm4MoeLiteForCausalLMNextN"},
                      NextLayersOf{"zai-org__GLM-5.1", "GlmMoeDsaForCausalLMNextN"}, NextLayersOf{"tencent__Hy3", "HYV3MTPModel"},
                      NextLayersOf{"tencent__Hy3", "HYV3ForCausalLMNextN"}, NextLayersOf{"XiaomiMiMo__MiMo-V2.5-Pro", "MiMoV2MTPModel"},
                      NextLayersOf{"XiaomiMiMo__MiMo-V2.5-Pro", "MiMoV2MTP"},
                      NextLayersOf{"XiaomiMiMo__MiMo-V2.5-Pro", "MiMoV2OmniMTPModel"},
                      NextLayersOf{"deepseek-ai__DeepSeek-V4-Flash", "DeepSeekV4MTPModel"},
                      NextLayersOf{"deepseek-ai__DeepSeek-V4-Flash", "DeepseekV4ForCausalLMNextN"},
                      NextLayersOf{"meituan-longcat__LongCat-Flash-Chat", "LongCatFlashMTPModel"},
                      NextLayersOf{"meituan-longcat__LongCat-Flash-Chat", "LongcatFlashForCausalLMNextN"},
                      NextLayersOf{"nvidia__NVIDIA-Nemotron-3-Super-120B-A12B-FP8", "NemotronHMTPModel"},
                      NextLayersOf{"nvidia__NVIDIA-Nemotron-3-Super-120B-A12B-FP8", "NemotronHForCausalLMMTP"},
                      NextLayersOf{"Qwen__Qwen3.5-0.8B", "Qwen3_5MTP"}, NextLayersOf{"Qwen__Qwen3.5-0.8B", "Qwen3_5ForCausalLMMTP"},
                      NextLayersOf{"Qwen__Qwen3.5-35B-A3B", "Qwen3_5MoeMTP"},
                      NextLayersOf{"FreedomIntelligence__openPangu-Ultra-MoE-718B-V1.1", "OpenPanguMTPModel"},
                      NextLayersOf{"inclusionAI__Ling-mini-2.0", "BailingMoeForCausalLMNextN", kOne},
                      NextLayersOf{"shapes__BailingMoeV2_5ForCausalLM", "BailingMoeV25MTPModel", kOne},
                      NextLayersOf{"shapes__BailingMoeV3ForCausalLM", "BailingMoeV3MTPModel", kOne},
                      NextLayersOf{"stepfun-ai__Step-3.5-Flash", "Step3p5MTP"}),
    [](const auto& info) { return std::string(info.param.drafted_by); });

} // namespace
} // namespace plimsoll::testing
