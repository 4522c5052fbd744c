// What a kind of vision part knows: its tensors and its largest image. One subclass per packaging (LLaVA, Qwen-VL, ...),
// made by the functions below when a planner is constructed. Immutable afterwards. Threads: any.
#pragma once

#include <cstdint>
#include <memory>

#include "plimsoll/plugin.hpp"
#include "vision_keys.hpp"

namespace vlm {

// The largest image that the processor lets through.
struct Image {
  std::uint64_t rows = 0;           // embeddings handed to the language model
  std::uint64_t tower_tokens = 0;   // positions inside the encoder
  std::uint64_t tower_elements = 0; // width of the encoder
};

class Tower {
public:
  Tower() = default;
  virtual ~Tower() = default;
  Tower(const Tower&) = delete;
  Tower& operator=(const Tower&) = delete;
  virtual void weights(const plimsoll::Sink& out) const = 0;
  virtual Image largest_image() const = 0;
};

// `text` is the width of the language model.
using MakeTower = std::unique_ptr<Tower> (*)(const VisionKeys& keys, std::uint64_t text);

std::unique_ptr<Tower> make_qwen2_vl(const VisionKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_qwen2_5_vl(const VisionKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_qwen3_vl(const VisionKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_glm4v(const VisionKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_internvl(const VisionKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_llava(const VisionKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_gemma3(const VisionKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_gemma3n(const VisionKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_gemma4(const VisionKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_idefics3(const VisionKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_minicpm_v(const VisionKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_mllama(const VisionKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_llama4(const VisionKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_minimax_m3(const VisionKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_paligemma(const VisionKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_aya_vision(const VisionKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_cohere2_vision(const VisionKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_internvl_hf(const VisionKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_deepseek_vl2(const VisionKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_phi3_v(const VisionKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_phi4mm(const VisionKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_step(const VisionKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_kimi_vl(const VisionKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_kimi_k25(const VisionKeys& keys, std::uint64_t text);
std::unique_ptr<Tower> make_kimi_k3(const VisionKeys& keys, std::uint64_t text);

} // namespace vlm
