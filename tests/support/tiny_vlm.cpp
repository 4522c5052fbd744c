#include "support/tiny_vlm.hpp"

#include <cmath>

#include <nlohmann/json.hpp>

#include "support/tiny_random.hpp"

namespace plimsoll::test {
namespace {

constexpr std::string_view kTinyVlmConfig = R"({
  "architectures": ["Qwen2VLForConditionalGeneration"], "model_type": "qwen2_vl", "bos_token_id": 1, "eos_token_id": 2,
  "hidden_act": "silu", "hidden_size": 64, "image_token_id": 300, "intermediate_size": 128, "max_position_embeddings": 512,
  "max_window_layers": 2, "num_attention_heads": 4, "num_hidden_layers": 2, "num_key_value_heads": 2, "rms_norm_eps": 1e-06,
  "rope_scaling": {"mrope_section": [2, 3, 3], "type": "mrope"}, "rope_theta": 10000.0, "sliding_window": 16,
  "tie_word_embeddings": false, "use_sliding_window": false, "vision_end_token_id": 302, "vision_start_token_id": 301,
  "vision_config": {"depth": 2, "embed_dim": 32, "hidden_act": "quick_gelu", "hidden_size": 64, "in_channels": 3,
    "max_image_pixels": 1536, "mlp_ratio": 4, "num_heads": 2, "patch_size": 4, "spatial_merge_size": 2, "temporal_patch_size": 2},
  "vocab_size": 320})";

// The second of three layers sees all of an image, the others windows of 2 x 2 blocks, of which the largest image has six.
constexpr std::string_view kTinyWindows = R"({"depth": 3, "fullatt_block_indexes": [1], "hidden_act": "silu", "hidden_size": 32,
  "in_channels": 3, "intermediate_size": 40, "max_image_pixels": 1536, "num_heads": 2, "out_hidden_size": 64, "patch_size": 4,
  "spatial_merge_size": 2, "temporal_patch_size": 2, "window_size": 16})";

constexpr std::uint64_t kTowerWidth = 32, kTowerFfn = 128, kMergedWidth = 128, kTextWidth = 64, kTowerLayers = 2;

class TowerWeights {
public:
  TowerWeights(std::uint64_t seed, std::vector<TinyTensor>& out) : seed_(seed), out_(out) {}

  void add_all() {
    add("patch_embed.proj.weight", {kTowerWidth, 3, 2, 4, 4}, 96);
    for (std::uint64_t layer = 0; layer < kTowerLayers; ++layer) {
      const std::string at = "blocks." + std::to_string(layer) + ".";
      norm(at + "norm1", kTowerWidth);
      norm(at + "norm2", kTowerWidth);
      linear(at + "attn.qkv", 3 * kTowerWidth, kTowerWidth, 1.5F);
      linear(at + "attn.proj", kTowerWidth, kTowerWidth, 1);
      linear(at + "mlp.fc1", kTowerFfn, kTowerWidth, 1);
      linear(at + "mlp.fc2", kTowerWidth, kTowerFfn, 1);
    }
    norm("merger.ln_q", kTowerWidth);
    merger();
  }

  // RMS norms and gated FFNs.
  void add_all_of_windows() {
    constexpr std::uint64_t kLayers = 3, kFfn = 40;
    add("patch_embed.proj.weight", {kTowerWidth, 3, 2, 4, 4}, 96);
    for (std::uint64_t layer = 0; layer < kLayers; ++layer) {
      const std::string at = "blocks." + std::to_string(layer) + ".";
      gain(at + "norm1", kTowerWidth);
      gain(at + "norm2", kTowerWidth);
      linear(at + "attn.qkv", 3 * kTowerWidth, kTowerWidth, 1.5F);
      linear(at + "attn.proj", kTowerWidth, kTowerWidth, 1);
      linear(at + "mlp.gate_proj", kFfn, kTowerWidth, 1);
      linear(at + "mlp.up_proj", kFfn, kTowerWidth, 1);
      linear(at + "mlp.down_proj", kTowerWidth, kFfn, 1);
    }
    gain("merger.ln_q", kTowerWidth);
    merger();
  }

private:
  void merger() {
    linear("merger.mlp.0", kMergedWidth, kMergedWidth, 1);
    linear("merger.mlp.2", kTextWidth, kMergedWidth, 2); // rows as large as embeddings
  }
  void add(const std::string& name, std::vector<std::uint64_t> shape, std::uint64_t columns, float gain = 1) {
    std::uint64_t count = 1;
    for (const std::uint64_t extent : shape) count *= extent;
    const std::string full = "visual." + name;
    out_.push_back({full, std::move(shape), draw_uniform(seed_, full, count, gain * std::sqrt(3.0F / static_cast<float>(columns)))});
  }
  void linear(const std::string& name, std::uint64_t out, std::uint64_t in, float gain) {
    add(name + ".weight", {out, in}, in, gain);
    add(name + ".bias", {out}, 12);
  }
  void gain(const std::string& name, std::uint64_t width) {
    const std::string full = "visual." + name + ".weight";
    out_.push_back({full, {width}, draw_around(seed_, full, width, 1, 200)});
  }
  void norm(const std::string& name, std::uint64_t width) {
    gain(name, width);
    add(name + ".bias", {width}, 12);
  }

  std::uint64_t seed_;
  std::vector<TinyTensor>& out_;
};

} // namespace

TinyModel tiny_vlm(std::uint64_t seed) {
  nlohmann::json text = nlohmann::json::parse(kTinyVlmConfig);
  text["model_type"] = "qwen2"; // whose tensors they are
  TinyModel model = tiny_model_of(text.dump(), seed);
  model.config = kTinyVlmConfig;
  TowerWeights(seed, model.tensors).add_all();
  return model;
}

TinyModel tiny_window_vlm(std::uint64_t seed) {
  nlohmann::json config = nlohmann::json::parse(kTinyVlmConfig);
  config["architectures"] = {"Qwen2_5_VLForConditionalGeneration"};
  config["vision_config"] = nlohmann::json::parse(kTinyWindows);
  config["model_type"] = "qwen2"; // whose tensors they are
  TinyModel model = tiny_model_of(config.dump(), seed);
  config["model_type"] = "qwen2_5_vl";
  model.config = config.dump();
  TowerWeights(seed, model.tensors).add_all_of_windows();
  return model;
}

std::string tiny_preprocessor_config() {
  return R"({"do_rescale": true, "rescale_factor": 0.00392156862745098, "do_normalize": true, "image_mean": [0.5, 0.45, 0.4],
  "image_std": [0.25, 0.26, 0.27]})";
}

std::vector<std::uint8_t> tiny_picture(std::uint32_t height, std::uint32_t width, std::uint64_t seed) {
  std::vector<std::uint8_t> out;
  for (std::uint64_t y = 0; y < height; ++y)
    for (std::uint64_t x = 0; x < width; ++x)
      for (std::uint64_t channel = 0; channel < 3; ++channel)
        out.push_back(static_cast<std::uint8_t>((7 * y + 13 * x + 29 * channel + (3 + seed) * x * y + 17 * seed) % 256));
  return out;
}

} // namespace plimsoll::test
