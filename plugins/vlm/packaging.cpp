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
  {"Tarsier2ForConditionalGeneration", make_tarsier2, "/text_config", "", "", "language_model."},
  {"opencua", make_opencua, "/text_config", "", "", "language_model.", "qwen2"},
  {"exaone4_5", make_qwen2_5_vl, "/text_config", "", "model.", "model.language_model.", "exaone4"},
  {"interns2_preview", make_qwen3_vl, "/text_config", "", "model.", "model.language_model."},
  {"qwen2_5_omni", make_qwen2_5_omni, "/thinker_config/text_config", "", "", "thinker.", "qwen2_5_omni_text"},
  {"qwen3_omni_moe", make_qwen3_omni, "/thinker_config/text_config", "", "", "thinker.", "qwen3_omni_moe_text"},
  {"qwen3_asr", make_qwen3_asr, "/thinker_config/text_config", "", "", "thinker.", "qwen3"},
  {"internvl_chat", make_internvl, "/llm_config", "", "", "language_model."},
  {"h2ovl_chat", make_internvl, "/llm_config", "", "", "language_model."},
  {"skywork_chat", make_internvl, "/llm_config", "", "", "language_model."},
  {"qianfan_ocr", make_internvl, "/llm_config", "", "", "language_model."},
  {"qianfan_ocr", make_internvl, "/text_config", "", "", "language_model."},
  {"NVLM_D", make_nvlm, "/llm_config", "", "", "language_model."},
  {"llava", make_llava, "/text_config", "", "", "language_model."},
  {"llava_next", make_llava_next, "/text_config", "", "", "language_model."},
  {"llava_next_video", make_llava_next, "/text_config", "", "", "language_model."},
  {"llava_onevision", make_llava_next, "/text_config", "", "", "language_model."},
  {"mistral3", make_mistral3, "/text_config", "", "", "language_model."},
  {"LightOnOCRForConditionalGeneration", make_lighton_ocr, "/text_config", "", "model.", "model.language_model."},
  {"lighton_ocr", make_lighton_ocr, "/text_config", "", "model.", "model.language_model."},
  {"RForConditionalGeneration", make_r, "/text_config", "", "model.", "model.language_model."},
  {"bee", make_bee, "/text_config", "", "model.", "model.language_model."},
  {"gemma3", make_gemma3, "/text_config", "", "", "language_model."},
  {"gemma3n", make_gemma3n, "/text_config", "", "model.", "model.language_model."},
  {"gemma4", make_gemma4, "/text_config", "", "model.", "model.language_model."},
  {"idefics3", make_idefics3, "/text_config", "", "model.", "model.text_model."},
  {"smolvlm", make_idefics3, "/text_config", "", "model.", "model.text_model."},
  {"minicpmv", make_minicpm_v, "", "dense", "", "llm."},
  {"minicpmo", make_minicpm_o, "", "dense", "", "llm.", "minicpmv"},
  {"minicpmv4_6", make_minicpm_v4_6, "/text_config", "", "model.", "model.language_model."},
  {"lfm2_vl", make_lfm2_vl, "/text_config", "", "model.", "model.language_model."},
  {"ovis2_5", make_ovis2_5, "/llm_config", "", "", "llm."},
  {"ovis2_6", make_ovis2_5, "/llm_config", "", "", "llm."},
  {"ovis2_6_moe", make_ovis2_5, "/llm_config", "", "", "llm."},
  {"eagle_2_5_vl", make_eagle2_5, "/text_config", "", "", "language_model."},
  {"isaac", make_isaac, "/text_config", "", "model.", "model.text_model.", "qwen3"},
  {"isaac", make_isaac, "", "dense", "model.", "model.text_model.", "qwen3"},
  {"phi4-siglip", make_phi4_siglip, "", "dense", "", "", "phi3"},
  {"dots_ocr", make_dots_ocr, "", "dense", "", "", "qwen2"},
  {"paddleocr_vl", make_paddleocr, "/text_config", "", "", "", "ernie4_5"},
  {"paddleocr_vl", make_paddleocr, "", "dense", "", "", "ernie4_5"},
  {"KeyeForConditionalGeneration", make_keye, "", "dense", "", "", "qwen3"},
  {"KeyeVL1_5ForConditionalGeneration", make_keye_1_5, "", "dense", "", "", "qwen3"},
  {"hunyuan_vl", make_hunyuan_vl, "/text_config", "", "", "", "hunyuan_v1_dense"},
  {"hunyuan_vl", make_hunyuan_vl, "", "dense", "", "", "hunyuan_v1_dense"},
  {"glm_ocr", make_glm_ocr, "/text_config", "", "model.", "model.language_model."},
  {"DeepseekOCRForCausalLM", make_deepseek_ocr, "/language_config", "", "", ""},
  {"DeepseekOCR2ForCausalLM", make_deepseek_ocr2, "/language_config", "", "", ""},
  {"molmo", make_molmo, "", "dense", "", ""},
  {"molmo2", make_molmo2, "/text_config", "", "", "", "molmo2_text"},
  {"mllama", make_mllama, "/text_config", "", "", "language_model."},
  {"llama4", make_llama4, "/text_config", "", "", "language_model."},
  {"minimax_m3_vl", make_minimax_m3, "/text_config", "", "", "language_model."},
  {"paligemma", make_paligemma, "/text_config", "", "", "language_model."},
  {"aya_vision", make_aya_vision, "/text_config", "", "", "language_model."},
  {"cohere2_vision", make_cohere2_vision, "/text_config", "", "model.", "model.language_model."},
  {"internvl", make_internvl_hf, "/text_config", "", "model.", "model.language_model."},
  {"interns1", make_internvl_hf, "/text_config", "", "model.", "model.language_model."},
  {"qwen2_audio", make_qwen2_audio, "/text_config", "", "", "language_model."},
  {"audioflamingo3", make_audio_flamingo, "/text_config", "", "", "language_model."},
  {"musicflamingo", make_audio_flamingo, "/text_config", "", "", "language_model."},
  {"ultravox", make_ultravox, "/text_config", "", "", "language_model."},
  {"VoxtralRealtimeGeneration", make_voxtral_realtime, "/text_config", "", "", "language_model.", "mistral"},
  {"vibevoice_asr", make_vibevoice_asr, "/text_config", "", "", "language_model.", "qwen2"},
  {"voxtral", make_voxtral, "/text_config", "", "", "language_model."},
  {"glmasr", make_glm_asr, "/text_config", "", "", "language_model."},
  {"deepseek_vl_v2", make_deepseek_vl2, "/language_config", "", "", "language."},
  {"phi3_v", make_phi3_v, "", "dense", "", ""},
  {"phi4mm", make_phi4mm, "", "dense", "", ""},
  {"step3p7", make_step, "/text_config", "", "model.", "model.language_model."},
  {"whisper", make_whisper, "", "dense", "", "", "whisper"},
  {"MoonshotKimiaForCausalLM", make_kimi_audio, "", "dense", "", "", "qwen2"},
  {"granite_speech", make_granite_speech, "/text_config", "", "", "language_model."},
  {"granite_speech_plus", make_granite_speech, "/text_config", "", "", "language_model."},
  {"GraniteSpeechPlusForConditionalGeneration", make_granite_speech, "/text_config", "", "", "language_model."},
  {"FireRedASR2ForConditionalGeneration", make_fireredasr2, "", "dense", "", "llm.", "qwen2"},
  {"fireredlid", make_fireredlid, "", "encoder_decoder", "", "", "fireredlid"},
  {"cohere_asr", make_cohere_asr, "", "encoder_decoder", "", "", "cohere_asr"},
  {"moss_audio", make_moss_audio, "/language_config", "", "model.", "language_model.", "qwen3"},
  {"moss_transcribe_diarize", make_moss_transcribe, "/text_config", "", "model.", "model.language_model.", "qwen3"},
  {"FunASRForConditionalGeneration", make_fun_asr, "", "dense", "", "llm.", "qwen3"},
  {"funaudiochat", make_fun_audio_chat, "/text_config", "", "", "language_model."},
  {"blip-2", make_blip2, "/text_config", "", "", "language_model."},
  {"GLM4VForCausalLM", make_glm4v_chat, "", "dense", "", "", "chatglm"},
  {"QwenVLForConditionalGeneration", make_qwen_vl_first, "", "dense", "", "", "qwen"},
  {"Llama_Nemotron_Nano_VL", make_llama_nemotron_vl, "/llm_config", "", "", "language_model."},
  {"NemotronH_Nano_VL_V2", make_nemotron_h_vl, "/llm_config", "", "", "language_model."},
  {"StepVLForConditionalGeneration", make_step_vl, "/text_config", "", "", ""},
  {"step3_vl", make_step3_vl, "/text_config", "", "", ""},
  {"minimax_vl_01", make_llava_next, "/text_config", "", "", "language_model."},
  {"ernie4_5_moe_vl", make_ernie_vl, "", "moe", "", "", "ernie4_5_moe_vl_text"},
  {"ernie4_5_vl_moe", make_ernie_vl, "", "moe", "", "", "ernie4_5_moe_vl_text"},
  {"NemotronH_Nano_Omni_Reasoning_V3", make_nemotron_h_vl, "/llm_config", "", "", "language_model."},
  {"NemotronH_Super_Omni_Reasoning_V3", make_nemotron_h_vl, "/llm_config", "", "", "language_model."},
  {"fuyu", make_fuyu, "/text_config", "dense", "", "language_model.", "fuyu"},
  {"fuyu", make_fuyu, "", "dense", "", "language_model.", "fuyu"},
  {"aria", make_aria, "/text_config", "", "", "language_model.", "aria_text"},
  {"midashenglm", make_midasheng, "/text_config", "", "", "decoder.", "qwen2_5_omni_text"},
  {"openvla", make_openvla, "/text_config", "", "", "language_model."},
  {"ovis", make_ovis, "/llm_config", "", "", "llm."},
  {"kimi_vl", make_kimi_vl, "/text_config", "", "", "language_model."},
  {"kimi_k25", make_kimi_k25, "/text_config", "", "", "language_model."},
  {"kimi_k3", make_kimi_k3, "/text_config", "", "", "language_model."},
};
// clang-format on

} // namespace

const Packaging& packaging_of(const plimsoll::Config& config) {
  const Packaging* known = nullptr;
  for (const std::string_view name : {config.str("/architectures/0", ""), config.model_type()})
    for (const Packaging& row : kRows) {
      if (row.model_type != name) continue;
      if (known == nullptr) known = &row;
      if (row.text.empty() || config.find_len(row.text)) return row;
    }
  if (known != nullptr)
    throw plimsoll::Error(PLIMSOLL_E_CONFIG, std::string(known->text),
                          "is missing; an object that configures the language model was expected");
  throw plimsoll::Error(PLIMSOLL_E_UNSUPPORTED, "/model_type",
                        "'" + std::string(config.model_type().substr(0, 64)) +
                            "' is no vision model this planner knows; a row in its packaging table is needed");
}

} // namespace vlm
