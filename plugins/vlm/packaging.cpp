// The table of packaging.hpp. To add a model: a row here, its architecture and class defaults in models.json.
#include "packaging.hpp"

namespace vlm {
namespace {

// clang-format off
constexpr Packaging kRows[] = {
  // Configurations written before transformers 4.52 keep the text keys flat, later ones nest them and rename the tensors.
  {"qwen2_vl", make_qwen2_vl, "/text_config", "", "model.", "model.language_model."},
  {"qwen2_vl", make_qwen2_vl, "", "dense", "", ""},
  {"qwen2_5_vl", make_qwen2_5_vl, "/text_config", "", "model.", "model.language_model."},
  {"qwen2_5_vl", make_qwen2_5_vl, "", "dense", "", ""},
  {"qwen3_vl", make_qwen3_vl, "/text_config", "", "model.", "model.language_model."},
  {"qwen3_vl_moe", make_qwen3_vl, "/text_config", "", "model.", "model.language_model."},
  {"qwen3_5", make_qwen3_vl, "/text_config", "", "model.", "model.language_model."},
  {"qwen3_5_moe", make_qwen3_vl, "/text_config", "", "model.", "model.language_model."},
  {"glm4v", make_glm4v, "/text_config", "", "model.", "model.language_model."},
  {"glm4v_moe", make_glm4v, "/text_config", "", "model.", "model.language_model."},
  {"internvl_chat", make_internvl, "/llm_config", "", "", "language_model."},
  {"llava", make_llava, "/text_config", "", "", "language_model."},
  {"llava_next", make_llava, "/text_config", "", "", "language_model."},
  {"llava_onevision", make_llava, "/text_config", "", "", "language_model."},
  {"mistral3", make_llava, "/text_config", "", "", "language_model."},
  {"gemma3", make_gemma3, "/text_config", "", "", "language_model."},
  {"gemma3n", make_gemma3n, "/text_config", "", "model.", "model.language_model."},
  {"gemma4", make_gemma4, "/text_config", "", "model.", "model.language_model."},
  {"idefics3", make_idefics3, "/text_config", "", "model.", "model.text_model."},
  {"smolvlm", make_idefics3, "/text_config", "", "model.", "model.text_model."},
  {"minicpmv", make_minicpm_v, "", "dense", "", "llm."},
  {"mllama", make_mllama, "/text_config", "", "", "language_model."},
  {"llama4", make_llama4, "/text_config", "", "", "language_model."},
  {"minimax_m3_vl", make_minimax_m3, "/text_config", "", "", "language_model."},
  {"paligemma", make_paligemma, "/text_config", "", "", "language_model."},
  {"aya_vision", make_aya_vision, "/text_config", "", "", "language_model."},
  {"cohere2_vision", make_cohere2_vision, "/text_config", "", "model.", "model.language_model."},
  {"internvl", make_internvl_hf, "/text_config", "", "model.", "model.language_model."},
  {"deepseek_vl_v2", make_deepseek_vl2, "/language_config", "", "", "language."},
  {"phi3_v", make_phi3_v, "", "dense", "", ""},
  {"phi4mm", make_phi4mm, "", "dense", "", ""},
  {"step3p7", make_step, "/text_config", "", "model.", "model.language_model."},
  {"kimi_vl", make_kimi_vl, "/text_config", "", "", "language_model."},
  {"kimi_k25", make_kimi_k25, "/text_config", "", "", "language_model."},
  {"kimi_k3", make_kimi_k3, "/text_config", "", "", "language_model."},
};
// clang-format on

} // namespace

const Packaging& packaging_of(const plimsoll::Config& config) {
  const std::string_view type = config.model_type();
  bool known = false;
  for (const Packaging& row : kRows) {
    if (row.model_type != type) continue;
    known = true;
    if (row.text.empty() || config.find_len(row.text)) return row;
  }
  if (known)
    for (const Packaging& row : kRows)
      if (row.model_type == type)
        throw plimsoll::Error(PLIMSOLL_E_CONFIG, std::string(row.text),
                              "is missing; an object that configures the language model was expected");
  throw plimsoll::Error(PLIMSOLL_E_UNSUPPORTED, "/model_type",
                        "'" + std::string(type.substr(0, 64)) +
                            "' is no vision model this planner knows; a row in its packaging table is needed");
}

} // namespace vlm
