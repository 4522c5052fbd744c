// What a kind of vision or audio part knows: its tensors and its largest image or longest sound. One subclass per packaging (LLaVA,
// Qwen-VL, ...), made by the functions below when a planner is constructed. Immutable afterwards. Threads: any.
#pragma once

#include <cstdint>
#include <memory>

#include "part_keys.hpp"
#include "plimsoll/plugin.hpp"

namespace vlm {

// The largest image, or the longest sound, that the processor lets through.
struct Media {
  std::uint64_t rows = 0;           // embeddings handed to the language model
  std::uint64_t tower_tokens = 0;   // positions inside the encoder
  std::uint64_t tower_elements = 0; // width of the encoder
  std::uint64_t copies = 1;         // of the language model's width in a row: more where its layers get rows of their own
};

class Tower {
public:
  Tower() = default;
  virtual ~Tower() = default;
  Tower(const Tower&) = delete;
  Tower& operator=(const Tower&) = delete;
  virtual void weights(const plimsoll::Sink& out) const = 0;
  virtual Media largest_image() const = 0; // no rows: the model takes none
  virtual Media longest_sound() const { return {}; }
  // The encoder of images as ops (P-07); `out` is a row for each that an image has in the text. Who describes none runs texts alone.
  virtual void describe(plimsoll::Value, const plimsoll::Pipeline&) const { plimsoll::no_pipeline("/vision_config", "for images"); }
  // Whether it does, so that the text has places for images.
  virtual bool describes() const { return false; }
  // What each request keeps of its sound or image beside the language model's own cache.
  virtual void kv(const plimsoll::Sink&) const {}
};

// `text` is the width of the language model.
using MakeTower = std::unique_ptr<Tower> (*)(const PartKeys& keys, std::uint64_t text);

std::unique_ptr<Tower> make_qwen2_vl(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_qwen2_5_vl(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_qwen3_vl(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_glm4v(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_internvl(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_llava(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_gemma3(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_gemma3n(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_gemma4(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_idefics3(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_minicpm_v(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_mllama(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_llama4(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_minimax_m3(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_paligemma(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_aya_vision(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_cohere2_vision(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_internvl_hf(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_deepseek_vl2(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_phi3_v(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_phi4mm(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_step(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_llava_next(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_mistral3(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_lighton_ocr(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_r(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_bee(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_tarsier2(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_opencua(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_qwen2_5_omni(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_qwen3_omni(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_qwen3_asr(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_nvlm(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_qwen2_audio(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_audio_flamingo(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_ultravox(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_voxtral(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_glm_asr(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_dots_ocr(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_paddleocr(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_keye(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_keye_1_5(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_hunyuan_vl(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_glm_ocr(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_lfm2_vl(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_ovis2_5(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_eagle2_5(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_isaac(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_phi4_siglip(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_minicpm_v4_6(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_minicpm_o(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_molmo(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_molmo2(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_deepseek_ocr(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_deepseek_ocr2(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_whisper(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_glm4v_chat(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_qwen_vl_first(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_llama_nemotron_vl(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_nemotron_h_vl(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_granite_speech(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_blip2(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_step_vl(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_step3_vl(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_ernie_vl(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_kimi_audio(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_openvla(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_ovis(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_fuyu(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_aria(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_midasheng(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_fireredasr2(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_fireredlid(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_cohere_asr(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_moss_audio(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_moss_transcribe(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_fun_asr(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_fun_audio_chat(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_voxtral_realtime(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_vibevoice_asr(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_pixtral(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_llava_first(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_llava_vid(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_yi_vl(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_gemma4_unified(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_diffusion_gemma(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_unlimited_ocr(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_locate_anything(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_cosmos3(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_cosmos3_edge(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_points(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_sarashina2(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_hcx_v1(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_hcx_v2(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_kanana_v(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_openpangu_vl(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_llava_onevision2(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_granite4_vision(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_nvila(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_nvila_lite(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_llama_nemotron_embed(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_bagel(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_colmodernvbert(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_muse_glimmer(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_chameleon(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_janus(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_kimi_vl(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_kimi_k25(const PartKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_kimi_k3(const PartKeys& keys, std::uint64_t text);

} // namespace vlm
