// What the vlm family declares and prices: vision entries and encoder peaks against worked examples, names of delegated
// tensors, class defaults, and what it refuses. Totals of real models are golden/parameters_test.cpp's.
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <fstream>

#include "unit/experts/family.hpp"

namespace plimsoll::testing {
namespace {

// From the model file itself or, where that has none, from the catalogue.
Json real_config(const std::string& name) {
  for (const char* place : {"/tests/data/models/", "/core/catalogue/models/"}) {
    std::ifstream in(std::string(PLIMSOLL_SOURCE_DIR) + place + name + ".json");
    const Json file = Json::parse(in, nullptr, false);
    if (file.is_object() && file.contains("config")) return file["config"];
  }
  ADD_FAILURE() << name << " has no configuration";
  return Json::object();
}

struct EntryCase {
  const char* model;
  std::uint64_t rows, row_elements, tower_tokens, tower_elements;
};

TEST(VisionEntry, IsTheLargestImageOfRealModels) {
  const std::vector<EntryCase> cases{
      {"nvidia__Kimi-K2.5-NVFP4", 1024, 7168, 4096, 1152},          // 64 x 64 / 4; in bf16 14,680,064 bytes
      {"moonshotai__Kimi-VL-A3B-Instruct", 1024, 2048, 4096, 1152}, // the same tower
      {"Qwen__Qwen2-VL-2B", 16384, 1536, 65536, 1280},              // 12,845,056 / 28^2
      {"Qwen__Qwen2.5-VL-7B-Instruct", 16384, 3584, 65536, 1280},
      {"Qwen__Qwen3-VL-2B-Instruct", 16384, 2048, 65536, 1024},               // 16,777,216 / 32^2
      {"zai-org__GLM-4.5V", 6144, 4096, 24576, 1536},                         // 4,816,896 / 28^2
      {"OpenGVLab__InternVL2-2B", 3328, 2048, 13325, 1024},                   // 13 tiles of (448 / 14 / 2)^2 and 1025
      {"google__gemma-3-27b-it", 256, 5376, 4096, 1152},                      // pooled
      {"google__gemma-4-26B-A4B", 280, 2816, 2520, 1152},                     // 280 x 3 x 3
      {"llava-hf__llava-1.5-7b-hf", 576, 4096, 577, 1024},                    // 24 x 24, a class token
      {"llava-hf__llava-v1.6-mistral-7b-hf", 2928, 4096, 2885, 1024},         // 48 x 48 + 48 + 576
      {"llava-hf__llava-onevision-qwen2-7b-ov-hf", 8154, 3584, 26973, 1152},  // 135 x 54 + 135 + 729; 37 tiles
      {"mistral-community__pixtral-12b", 4096, 5120, 4096, 1024},             // 1024 / 16
      {"mistralai__Devstral-Small-2-24B-Instruct", 3025, 5120, 12100, 1024},  // 110 x 110 / 4
      {"meta-llama__Llama-3.2-11B-Vision-Instruct", 6404, 4096, 6404, 1280},  // 4 x (40 x 40 + 1)
      {"meta-llama__Llama-4-Scout-17B-16E-Instruct", 2448, 5120, 9809, 1408}, // 17 x 144, 17 x 577
      {"HuggingFaceTB__SmolVLM-Instruct", 1377, 2048, 12393, 1152},           // 17 x 9 x 9, 17 x 27 x 27
      {"microsoft__Phi-3.5-vision-instruct", 2653, 3072, 9809, 1024},         // 17 x 12 x 13 + 1, 17 x 577
      {"microsoft__Phi-4-multimodal-instruct", 10065, 3072, 37888, 1152},     // 37 x 16 x 17 + 1, 37 x 1,024
      {"openbmb__MiniCPM-V-4", 640, 2560, 10240, 1152},                       // 10 x 64
      {"rednote-hilab__dots.ocr", 14400, 1536, 57600, 1536},                  // 11,289,600 / 28^2
      {"PaddlePaddle__PaddleOCR-VL", 3600, 1024, 14400, 1152},                // 2,822,400 / 28^2
      {"tencent__HunyuanOCR", 4162, 1024, 16384, 1152},                       // 64 x 65 + 2
      {"zai-org__GLM-OCR", 6144, 1536, 24576, 1024},                          // 4,816,896 / 28^2
      {"deepseek-ai__DeepSeek-OCR", 933, 1280, 13696, 768},                   // 16 x 17 + 60 x 11 + 1
      {"LiquidAI__LFM2-VL-1.6B", 2816, 2048, 11264, 1152},                    // 11 x 16 x 16
      {"allenai__Molmo-7B-D-0924", 2032, 3584, 7501, 1024},                   // 13 x 12 x 13 + 4, 13 x 577
      {"allenai__Molmo2-8B", 1894, 4096, 6561, 1152},                         // 9 x 14 x 15 + 4, 9 x 729
      {"omni-research__Tarsier-7b", 601, 4096, 577, 1024},                    // 24 x 25 + 1
      {"lightonai__LightOnOCR-2-1B", 3025, 1024, 12100, 1024},                // 110 x 110 / 4
      {"baidu__ERNIE-4.5-VL-28B-A3B-PT", 6144, 2560, 24576, 1280},            // 4,816,896 / 28^2
      {"zai-org__glm-4v-9b", 1602, 4096, 6401, 1792},                         // 40 x 40 + 2
      {"shapes__PixtralForConditionalGeneration", 3025, 5120, 12100, 1024},   // 110 x 110 / 4
      {"shapes__LlavaLlamaForCausalLM", 576, 4096, 577, 1024},                // 24 x 24
      {"shapes__LlavaMistralForCausalLM", 2928, 4096, 2885, 1024},            // as llava-v1.6-mistral-7b-hf
      {"shapes__LlavaQwenForCausalLM", 8154, 3584, 26973, 1152},              // as llava-onevision-qwen2-7b-ov-hf, grids as text
      {"shapes__LlavaVidForCausalLM", 2304, 4096, 9232, 1024},                // 16 frames of 12 x 12
      {"shapes__YiVLForCausalLM", 1024, 4096, 1025, 1280},                    // 32 x 32
      {"google__gemma-4-12B-it", 280, 3840, 280, 3840},
      {"shapes__DiffusionGemmaForBlockDiffusion", 280, 2816, 2520, 1152},            // 280 x 3 x 3
      {"meta-models__Muse-Glimmer-30B", 4096, 6656, 16384, 1536},                    // four patches a row
      {"baidu__Unlimited-OCR", 3793, 1280, 55296, 768},                              // 16 x 17 + 320 x 11 + 1
      {"shapes__LocateAnythingForConditionalGeneration", 1024, 2048, 4096, 1152},    // 64 x 64 / 4
      {"shapes__DotsVLMForCausalLM", 14400, 2048, 57600, 1536},                      // 11,289,600 / 28^2
      {"shapes__InternS1ProForConditionalGeneration", 16384, 2048, 65536, 1152},     // 16,777,216 / 32^2
      {"shapes__Cosmos3ForConditionalGeneration", 16384, 2048, 65536, 1024},         // likewise
      {"shapes__Cosmos3EdgeForConditionalGeneration", 16384, 2048, 65536, 1152},     // likewise
      {"shapes__POINTSV15ChatModel", 16384, 3584, 65536, 1280},                      // 12,845,056 / 28^2
      {"shapes__Sarashina2VisionForCausalLM", 16384, 4096, 65536, 1280},             // likewise
      {"shapes__KananaVForConditionalGeneration", 16384, 2048, 65536, 1280},         // likewise
      {"shapes__HCXVisionV2ForCausalLM", 16384, 2048, 65536, 1280},                  // likewise
      {"shapes__OpenPanguVLForConditionalGeneration", 16384, 2048, 65536, 1280},     // likewise
      {"shapes__LlavaOnevision2ForConditionalGeneration", 16384, 2560, 65536, 1024}, // likewise
      {"shapes__HCXVisionForCausalLM", 891, 3072, 7290, 1152},                       // 10 x 81 + 9 x 9
      {"shapes__Granite4VisionForConditionalGeneration", 744, 2560, 2880, 1152},     // 24 x 24 + 24 + 144, 5 x 576
      {"shapes__NVILAForConditionalGeneration", 3072, 3584, 17408, 1152},            // 12 x 256, 17 x 1,024
      {"shapes__NVILALiteForConditionalGeneration", 1573, 3584, 13312, 1152},        // 13 x 121
      {"shapes__LlamaNemotronVLModel", 1792, 2048, 7168, 1152},                      // 7 x 256
      {"shapes__LlamaNemotronVLForSequenceClassification", 1792, 2048, 7168, 1152},  // likewise
      {"shapes__ColModernVBertForRetrieval", 64, 768, 1024, 768},                    // 32 x 32 / 16
      {"shapes__BagelForConditionalGeneration", 4900, 3584, 4900, 1152},             // 70 x 70
      {"deepseek-ai__Janus-1.3B", 576, 2048, 576, 1024},                             // 24 x 24
      {"shapes__ChameleonForConditionalGeneration", 1024, 4096, 1024, 512},          // 512 / 16
  };
  for (const EntryCase& c : cases) {
    const DeclaredConfig d = declared(real_config(c.model));
    ASSERT_EQ(d.entries.size(), 1U) << c.model;
    const MediaEntry& entry = d.entries[0];
    EXPECT_EQ(entry.modality, Modality::kImage) << c.model;
    EXPECT_EQ(entry.rows, c.rows) << c.model;
    EXPECT_EQ(entry.row_elements, c.row_elements) << c.model;
    EXPECT_EQ(entry.encoder_tokens, c.tower_tokens) << c.model;
    EXPECT_EQ(entry.encoder_elements, c.tower_elements) << c.model;
  }
}

Json to_json(const YAML::Node& node) {
  if (node.IsMap()) {
    Json out = Json::object();
    for (const auto& pair : node) out[pair.first.Scalar()] = to_json(pair.second);
    return out;
  }
  return Json::parse(node.Scalar(), nullptr, false);
}

const Json& max_engine() {
  static const Json section = to_json(YAML::LoadFile(std::string(PLIMSOLL_SOURCE_DIR) + "/core/catalogue/engines/max.yaml")["planner"]);
  return section;
}

std::uint64_t encoder_bytes(const char* model, const Json& engine, ActivationRequest ask) {
  const auto tree = tree_of(real_config(model));
  if (tree == nullptr) return 0;
  const ItemSum sum = activations(*tree, ask, engine);
  const auto item = sum.bytes.find("vision.encoder");
  return item == sum.bytes.end() ? 0 : item->second;
}

// Documented: 20 x T x merge^2 x width on each device. 20 x 8192 x 4 x 1152.
TEST(SoundEntry, IsTheLongestClipOfRealModels) {
  const std::vector<EntryCase> cases{
      {"Qwen__Qwen2-Audio-7B-Instruct", 750, 4096, 1500, 1280},                     // pairs of 1,500
      {"Qwen__Qwen2.5-Omni-3B", 750, 2048, 1500, 1280},                             // likewise
      {"Qwen__Qwen3-ASR-1.7B", 390, 2048, 390, 1024},                               // 30 x 13
      {"nvidia__audio-flamingo-3-hf", 15000, 3584, 30000, 1280},                    // 20 x 750
      {"fixie-ai__ultravox-v0_5-llama-3_1-8b", 3008, 4096, 24000, 1280},            // 16 x 188
      {"zai-org__GLM-ASR-Nano-2512", 7875, 2048, 31500, 1280},                      // 21 x 375
      {"mistralai__Voxtral-Small-24B-2507", 131072, 5120, 524288, 1280},            // the context
      {"openai__whisper-large-v3", 1500, 1280, 1500, 1280},                         // a window
      {"CohereLabs__cohere-transcribe-03-2026", 438, 1024, 438, 1280},              // 35 s, eight frames in a row
      {"allendou__FireRedASR2-LLM-vllm", 375, 3584, 750, 1280},                     // 30 s, four frames and two positions in a row
      {"allendou__Fun-ASR-Nano-2512-vllm", 63, 1024, 500, 512},                     // 3,000 frames, one group in six, an eighth of them
      {"OpenMOSS-Team__MOSS-Audio-4B-Instruct", 375, 4 * 2560, 375, 1280},          // four layers get rows of their own
      {"OpenMOSS-Team__MOSS-Transcribe-Diarize", 40960, 1024, 270000, 1024},        // the context, of 180 windows
      {"FunAudioLLM__Fun-Audio-Chat-8B", 1500, 4096, 15000, 1280},                  // 300 s
      {"microsoft__VibeVoice-ASR-HF", 27000, 3584, 27000, 64},                      // an hour
      {"mistralai__Voxtral-Mini-4B-Realtime-2602", 131072, 2 * 3072, 524288, 1280}, // the context, rows of 5,120
  };
  for (const EntryCase& c : cases) {
    const DeclaredConfig d = declared(real_config(c.model));
    ASSERT_FALSE(d.entries.empty()) << c.model;
    const MediaEntry& entry = d.entries.back();
    EXPECT_EQ(entry.modality, Modality::kAudio) << c.model;
    EXPECT_EQ(entry.rows, c.rows) << c.model;
    EXPECT_EQ(entry.row_elements, c.row_elements) << c.model;
    EXPECT_EQ(entry.encoder_tokens, c.tower_tokens) << c.model;
    EXPECT_EQ(entry.encoder_elements, c.tower_elements) << c.model;
  }
}

// 32 decoder layers, 20 heads of 64: 1,500 positions of a window, whatever the request says.
TEST(Whisper, KeepsKeysAndValuesOfTheWholeWindow) {
  const DeclaredConfig d = declared(real_config("openai__whisper-large-v3"));
  const auto cross = std::find_if(d.kv.begin(), d.kv.end(), [](const KvGroup& g) { return g.kind == CacheKind::kCross; });
  ASSERT_NE(cross, d.kv.end());
  EXPECT_EQ(cross->layers.size(), 32U);
  EXPECT_EQ(cross->kv_heads, 20U);
  EXPECT_EQ(cross->k_elements, 64U);
  EXPECT_EQ(cross->fixed_tokens, 1500U);
}

const KvGroup* group_of(const DeclaredConfig& d, const char* label) {
  const auto found = std::find_if(d.kv.begin(), d.kv.end(), [&](const KvGroup& g) { return g.label == label; });
  return found == d.kv.end() ? nullptr : &*found;
}

// Decoders that look at what was heard keep the longest clip: 35 s at 12.5 positions a second, 30 s at 25.
TEST(Transcribers, KeepKeysAndValuesOfTheLongestClip) {
  struct Case {
    const char* model;
    std::uint64_t layers, heads, elements, positions;
  };
  for (const Case& c : {Case{"CohereLabs__cohere-transcribe-03-2026", 8, 8, 128, 438}, {"PatchyTisa__FireRedLID-vllm", 6, 20, 64, 750}}) {
    const DeclaredConfig d = declared(real_config(c.model));
    const KvGroup* const cross = group_of(d, "attention.cross");
    ASSERT_NE(cross, nullptr) << c.model;
    EXPECT_EQ(cross->kind, CacheKind::kCross);
    EXPECT_EQ(cross->layers.size(), c.layers) << c.model;
    EXPECT_EQ(cross->kv_heads, c.heads) << c.model;
    EXPECT_EQ(cross->k_elements, c.elements) << c.model;
    EXPECT_EQ(cross->fixed_tokens, c.positions) << c.model;
  }
}

// Four positions of 32 heads of 64 to a token; a window of 750 positions is 188 tokens, and one more.
TEST(VoxtralRealtime, KeepsWhatItsEncoderLooksBackAt) {
  const DeclaredConfig d = declared(real_config("mistralai__Voxtral-Mini-4B-Realtime-2602"));
  const KvGroup* const audio = group_of(d, "attention.audio");
  ASSERT_NE(audio, nullptr);
  EXPECT_EQ(audio->kind, CacheKind::kWindow);
  EXPECT_EQ(audio->layers.size(), 32U);
  EXPECT_EQ(audio->kv_heads, 128U);
  EXPECT_EQ(audio->k_elements, 64U);
  EXPECT_EQ(audio->window_tokens, 189U);
}

TEST(EncoderPeak, OfKimiIsOfABatchFullOfImages) {
  EXPECT_EQ(encoder_bytes("nvidia__Kimi-K2.5-NVFP4", max_engine(), {.ranks = 8, .dp = 8, .ep = 8}), 754974720U);
}

// The documented Kimi-K2.5 total over eight ranks: there the experts' workspace is the larger phase, the encoder's is hidden.
TEST(EncoderPeak, TakesTurnsWithOtherPhases) {
  const auto tree = tree_of(real_config("nvidia__Kimi-K2.5-NVFP4"));
  ASSERT_NE(tree, nullptr);
  const ActivationRequest ask{8, 8, 8, 262144, 8192, true, true};
  EXPECT_EQ(activations(*tree, ask, max_engine()).per_rank() * 8, 180115996672U);
}

// Documented, two ranks without chunked prefill: 2 x ((32 + 13) x 128 MiB + 8192 x 100 KiB) = 13,757,317,120.
TEST(EncoderPeak, OfInternVlCountsTilesAndTokens) {
  EXPECT_EQ(2 * encoder_bytes("OpenGVLab__InternVL3-8B-Instruct", max_engine(), {.ranks = 2}), 13757317120U);
  // Fewer tokens than a tile: one tile, and the 13.
  EXPECT_EQ(encoder_bytes("OpenGVLab__InternVL3-8B-Instruct", max_engine(), {.max_batch_input_tokens = 100}),
            14U * 134217728 + 100 * 102400);
  // The 13 are for prompts that are not cut.
  EXPECT_EQ(encoder_bytes("OpenGVLab__InternVL3-8B-Instruct", max_engine(), {.max_batch_input_tokens = 100, .chunked_prefill = true}),
            134217728U + 100 * 102400);
}

// 65,536 positions x 1280 x 20 B; 20,000 tokens hold one image of 16,384 rows, 40,000 hold two.
TEST(EncoderPeak, OfAnyTowerWhereTheEngineGivesADefault) {
  const Json engine{{"vision", {{"default", {{"bytes_per_tower_element", 20}}}}}};
  const char* model = "Qwen__Qwen2.5-VL-7B-Instruct";
  EXPECT_EQ(encoder_bytes(model, engine, {.max_batch_input_tokens = 20000}), 1677721600U);
  EXPECT_EQ(encoder_bytes(model, engine, {.max_batch_input_tokens = 40000}), 2U * 1677721600);
  EXPECT_EQ(encoder_bytes(model, engine, {.decode_only = true}), 0U);
  EXPECT_EQ(encoder_bytes(model, Json::object(), {}), 0U);
  EXPECT_EQ(encoder_bytes(model, max_engine(), {}), 0U);
}

struct NameCase {
  const char* model;
  const char* label;
  const char* name; // layer 1
};

TEST(Names, AreWhatTheCheckpointsHave) {
  const std::vector<NameCase> cases{
      {"google__gemma-3-27b-it", "attention.q_proj", "language_model.model.layers.1.self_attn.q_proj.weight"},
      {"google__gemma-3-27b-it", "vision.layers.mlp.fc1", "vision_tower.vision_model.encoder.layers.1.mlp.fc1.weight"},
      {"google__gemma-4-26B-A4B", "experts.gate_up_proj", "model.language_model.layers.1.experts.gate_up_proj"},
      {"google__gemma-4-E2B-it", "per_layer_projection", "model.language_model.layers.1.per_layer_projection.weight"},
      {"google__gemma-4-E2B-it", "vision.audio.layers.lconv1d.linear_end.linear",
       "model.audio_tower.layers.1.lconv1d.linear_end.linear.weight"},
      {"Qwen__Qwen2-VL-2B", "attention.q_proj", "model.layers.1.self_attn.q_proj.weight"},
      {"Qwen__Qwen2-VL-2B", "vision.blocks.attn.qkv.bias", "visual.blocks.1.attn.qkv.bias"},
      {"Qwen__Qwen3-VL-32B-Instruct", "attention.q_proj", "model.language_model.layers.1.self_attn.q_proj.weight"},
      {"Qwen__Qwen3-VL-32B-Instruct", "vision.deepstack_merger.linear_fc2", "model.visual.deepstack_merger_list.1.linear_fc2.weight"},
      {"OpenGVLab__InternVL2-2B", "attention.qkv_proj", "language_model.model.layers.1.attention.wqkv.weight"},
      {"OpenGVLab__InternVL2-2B", "vision.projector.1", "mlp1.1.weight"},
      {"HuggingFaceTB__SmolVLM-Instruct", "attention.q_proj", "model.text_model.layers.1.self_attn.q_proj.weight"},
      {"mistral-community__pixtral-12b", "vision.layers.feed_forward.gate_proj",
       "vision_tower.transformer.layers.1.feed_forward.gate_proj.weight"},
      {"openbmb__MiniCPM-V-4", "attention.q_proj", "llm.model.layers.1.self_attn.q_proj.weight"},
      {"moonshotai__Kimi-VL-A3B-Instruct", "attention.kv_a_proj", "language_model.model.layers.1.self_attn.kv_a_proj_with_mqa.weight"},
      {"moonshotai__Kimi-VL-A3B-Instruct", "vision.blocks.wqkv", "vision_tower.encoder.blocks.1.wqkv.weight"},
      {"meta-llama__Llama-3.2-11B-Vision-Instruct", "vision.global_layers.gate_ffn", "vision_model.global_transformer.layers.1.gate_ffn"},
      {"google__paligemma-3b-pt-224", "vision.projector.linear", "multi_modal_projector.linear.weight"},
      {"OpenGVLab__InternVL3-1B-hf", "vision.layers.attention.projection_layer",
       "model.vision_tower.encoder.layer.1.attention.projection_layer.weight"},
      {"google__gemma-3n-E2B-it", "vision.audio.layers.lconv1d.linear_start", "model.audio_tower.conformer.1.lconv1d.linear_start.weight"},
      {"google__gemma-3n-E2B-it", "laurel.linear_left", "model.language_model.layers.1.laurel.linear_left.weight"},
      {"microsoft__Phi-4-multimodal-instruct", "lora.speech.self_attn.qkv_proj.b",
       "model.layers.1.self_attn.qkv_proj.lora_B.speech.weight"},
      {"microsoft__Phi-4-multimodal-instruct", "vision.audio.layers.self_attn.linear_out",
       "model.embed_tokens_extend.audio_embed.encoder.encoders.1.self_attn.linear_out.weight"},
      {"zai-org__GLM-4.5V", "vision.merger.gate_proj", "model.visual.merger.gate_proj.weight"},
  };
  for (const NameCase& c : cases) {
    const DeclaredConfig d = declared(real_config(c.model));
    const WeightClass* w = find_class(d, c.label);
    ASSERT_NE(w, nullptr) << c.model << " " << c.label;
    EXPECT_EQ(tensor_name(w->pattern, 1, 0), c.name);
  }
}

TEST(Towers, LieOnTheFirstStageSplitByHeadsAndAreQuantisedOnlyWhereNothingExcludesThem) {
  const DeclaredConfig awq = declared(real_config("Qwen__Qwen2-VL-2B-Instruct-AWQ"));
  const WeightClass* qkv = find_class(awq, "vision.blocks.attn.qkv");
  ASSERT_NE(qkv, nullptr);
  EXPECT_EQ(qkv->stage, static_cast<std::uint32_t>(PLIMSOLL_STAGE_FIRST));
  EXPECT_EQ(qkv->placement, static_cast<std::uint32_t>(PLIMSOLL_PLACE_TP));
  ASSERT_EQ(qkv->parts.size(), 3U);
  EXPECT_EQ(qkv->parts.at(0).extent, 1280U);
  EXPECT_EQ(qkv->parts.at(0).units, 16U);
  EXPECT_EQ(find_class(awq, "vision.blocks.mlp.fc2")->shard_dim, 1U);
  EXPECT_TRUE(qkv->variants.at(0).storage->is_plain()) << "modules_to_not_convert names visual";
  EXPECT_FALSE(find_class(awq, "attention.q_proj")->variants.at(0).storage->is_plain());
  const DeclaredConfig fp8 = declared(real_config("mistralai__Devstral-Small-2-24B-Instruct"));
  EXPECT_TRUE(find_class(fp8, "vision.layers.attention.q_proj")->variants.at(0).storage->is_plain());
  EXPECT_TRUE(find_class(fp8, "vision.projector.linear_1")->variants.at(0).storage->is_plain());
}

// Newer exports nest Qwen2.5-VL's text keys and rename the tensors; the sizes stay.
TEST(Packaging, ReadsNestedAndFlatConfigurationsAlike) {
  const Json flat = real_config("Qwen__Qwen2.5-VL-7B-Instruct");
  Json nested = {{"architectures", flat["architectures"]}, {"model_type", "qwen2_5_vl"}, {"vision_config", flat["vision_config"]}};
  nested["text_config"] = flat;
  nested["text_config"].erase("vision_config"), nested["text_config"].erase("architectures");
  nested["text_config"]["model_type"] = "qwen2_5_vl_text";
  const DeclaredConfig d = declared(nested);
  EXPECT_EQ(parameters(d), parameters(declared(flat)));
  EXPECT_EQ(find_class(d, "vision.merger.mlp.0")->pattern, "model.visual.merger.mlp.0.weight");
}

// LLaVA-1.5 leaves every size of its language model to the class, Pixtral's vision_config most of them.
TEST(ClassDefaults, FillInParts) {
  Json config = real_config("mistral-community__pixtral-12b");
  const std::uint64_t whole = parameters(declared(config));
  config["vision_config"] = {{"model_type", "pixtral"}, {"image_size", 1024}, {"patch_size", 16}};
  config["text_config"].erase("num_attention_heads"); // 32 in any case
  EXPECT_EQ(parameters(declared(config)), whole);
  Json qwen = real_config("Qwen__Qwen2-VL-2B");
  EXPECT_FALSE(qwen["vision_config"].contains("depth"));
  EXPECT_EQ(find_class(declared(qwen), "vision.blocks.mlp.fc1")->dims[0], 5120U);
}

TEST(SiglipHead, IsThereUnlessTheConfigurationSaysNo) {
  Json config = real_config("google__gemma-3-27b-it");
  EXPECT_EQ(find_class(declared(config), "vision.head.probe"), nullptr);
  config["vision_config"].erase("vision_use_head");
  EXPECT_NE(find_class(declared(config), "vision.head.probe"), nullptr);
}

struct Refusal {
  const char* what;
  const char* model;
  Json vision; // replaces keys of vision_config
  Json outer;  // replaces keys of the whole
  const char* pointer;
};

TEST(Vlm, RefusesWhatItCannotSize) {
  const std::vector<Refusal> refusals{
      {"no layers", "Qwen__Qwen2.5-VL-7B-Instruct", {{"depth", 0}}, {}, "/vision_config/depth"},
      {"too many layers", "Qwen__Qwen2.5-VL-7B-Instruct", {{"depth", 1000000000}}, {}, "/vision_config/depth"},
      {"no width", "Qwen__Qwen2.5-VL-7B-Instruct", {{"hidden_size", nullptr}}, {}, "/vision_config/hidden_size"},
      {"a text for a number", "Qwen__Qwen2.5-VL-7B-Instruct", {{"patch_size", "14"}}, {}, "/vision_config/patch_size"},
      {"an output of another width", "Qwen__Qwen2.5-VL-7B-Instruct", {{"out_hidden_size", 2048}}, {}, "/vision_config/out_hidden_size"},
      {"a merge of nothing", "Qwen__Qwen3-VL-2B-Instruct", {{"spatial_merge_size", 0}}, {}, "/vision_config/spatial_merge_size"},
      {"patches larger than the image", "google__gemma-3-27b-it", {{"patch_size", 1000}}, {}, "/vision_config/image_size"},
      {"a pooling to nothing", "google__gemma-3-27b-it", {}, {{"mm_tokens_per_image", 0}}, "/mm_tokens_per_image"},
      {"a ratio of 0", "OpenGVLab__InternVL2-2B", {}, {{"downsample_ratio", 0}}, "/downsample_ratio"},
      {"no language model", "OpenGVLab__InternVL2-2B", {}, {{"llm_config", nullptr}}, "/llm_config"},
      {"no language model", "google__gemma-3-27b-it", {}, {{"text_config", 7}}, "/text_config"},
      {"no heads below",
       "google__gemma-3-27b-it",
       {},
       {{"text_config", {{"model_type", "gemma3_text"}, {"num_attention_heads", 0}}}},
       "/text_config/num_attention_heads"},
      {"a grid of the sky",
       "llava-hf__llava-v1.6-mistral-7b-hf",
       {},
       {{"image_grid_pinpoints", Json::parse("[[9000000000, 336]]")}},
       "/image_grid_pinpoints/0"},
      {"half a resolution",
       "llava-hf__llava-v1.6-mistral-7b-hf",
       {},
       {{"image_grid_pinpoints", Json::parse("[[336]]")}},
       "/image_grid_pinpoints/0/1"},
      {"a shuffle beyond the image", "HuggingFaceTB__SmolVLM-Instruct", {}, {{"scale_factor", 64}}, "/scale_factor"},
      {"positions that are no square", "LiquidAI__LFM2-VL-1.6B", {{"num_patches", 250}}, {}, "/vision_config/num_patches"},
      {"no vocabulary of pictures", "AIDC-AI__Ovis2.5-2B", {}, {{"visual_vocab_size", 3}}, "/visual_vocab_size"},
      {"a layer that is not there",
       "allenai__Molmo2-8B",
       {},
       {{"adapter_config", Json::parse(R"({"vit_layers": [-40], "hidden_size": 1152, "intermediate_size": 12288})")}},
       "/adapter_config/vit_layers/0"},
      {"experts of one kind", "baidu__ERNIE-4.5-VL-28B-A3B-PT", {}, {{"moe_num_experts", Json::parse("[64]")}}, "/moe_num_experts/1"},
      {"a decoder without heads", "openai__whisper-small", {}, {{"decoder_attention_heads", 0}}, "/decoder_attention_heads"},
      {"no bins", "PatchyTisa__FireRedLID-vllm", {}, {{"idim", 3}}, "/idim"},
      {"heads that divide nothing", "PatchyTisa__FireRedLID-vllm", {}, {{"n_head", 7}}, "/n_head"},
      {"shared biases",
       "CohereLabs__cohere-transcribe-03-2026",
       {},
       {{"encoder", Json::parse(R"({"d_model": 64, "ff_expansion_factor": 4, "n_heads": 8, "n_layers": 2, "conv_kernel_size": 9,
         "subsampling_conv_channels": 8, "subsampling_factor": 8, "feat_in": 128, "untie_biases": false})")}},
       "/encoder/untie_biases"},
      {"a clip of a year", "CohereLabs__cohere-transcribe-03-2026", {}, {{"max_audio_clip_s", 31536000}}, "/max_audio_clip_s"},
      {"a row of millions", "OpenMOSS-Team__MOSS-Transcribe-Diarize", {}, {{"audio_merge_size", 1000000}}, "/audio_merge_size"},
      {"layers without end",
       "allendou__Fun-ASR-Nano-2512-vllm",
       {},
       {{"audio_encoder_conf",
         Json::parse(R"({"output_size": 512, "linear_units": 2048, "kernel_size": 11, "num_blocks": 50, "tp_blocks": 1099511627776})")}},
       "/audio_encoder_conf/tp_blocks"},
      {"stages without blocks",
       "microsoft__VibeVoice-ASR-HF",
       {},
       {{"acoustic_tokenizer_encoder_config",
         Json::parse(R"({"hidden_size": 64, "kernel_size": 7, "num_filters": 32, "downsampling_ratios": [2, 2], "depths": [3, 3]})")}},
       "/acoustic_tokenizer_encoder_config/depths"},
      {"no window",
       "mistralai__Voxtral-Mini-4B-Realtime-2602",
       {},
       {{"audio_config", Json::parse(R"({"d_model": 64, "encoder_layers": 2, "encoder_ffn_dim": 128, "encoder_attention_heads": 4,
         "encoder_head_dim": 16, "num_mel_bins": 128, "downsample_factor": 4})")}},
       "/audio_config/sliding_window"},
      {"no ear",
       "Qwen__Qwen3-ASR-1.7B",
       {},
       {{"thinker_config", Json::parse(R"({"text_config": {"hidden_size": 8, "vocab_size": 8,
        "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}, "audio_config": {"d_model": 0}})")}},
       "/thinker_config/audio_config/d_model"},
  };
  for (const Refusal& r : refusals) {
    Json config = real_config(r.model);
    if (r.vision.is_object()) config["vision_config"].update(r.vision);
    if (r.outer.is_object()) config.update(r.outer);
    const auto tree = try_tree(config);
    ASSERT_FALSE(tree.has_value()) << r.what;
    EXPECT_EQ(tree.error().code, ErrorCode::kBadConfig) << r.what << ": " << tree.error().message;
    EXPECT_NE(tree.error().where.find(r.pointer), std::string::npos)
        << r.what << ": " << tree.error().where << ": " << tree.error().message;
  }
}

TEST(Vlm, NamesWhatItDoesNotKnow) {
  Json config = real_config("llava-hf__llava-1.5-7b-hf");
  config["vision_config"]["model_type"] = "dinov9";
  const auto tower = try_tree(config);
  ASSERT_FALSE(tower.has_value());
  EXPECT_EQ(tower.error().code, ErrorCode::kUnsupportedArchitecture);
  EXPECT_NE(tower.error().where.find("/vision_config/model_type"), std::string::npos);
  config = real_config("llava-hf__llava-1.5-7b-hf");
  config["text_config"] = {{"model_type", "babel_text"}};
  const auto text = try_tree(config);
  ASSERT_FALSE(text.has_value());
  EXPECT_EQ(text.error().code, ErrorCode::kUnsupportedArchitecture);
  EXPECT_NE(text.error().message.find("babel_text"), std::string::npos);
}

TEST(Vlm, SaysThatABillionPixelsDoNotFit) {
  Json config = real_config("Qwen__Qwen2.5-VL-7B-Instruct");
  config["vision_config"]["hidden_size"] = 9000000000000000000;
  const auto tree = try_tree(config); // refused where it is read: no size of a model is beyond 2^40
  ASSERT_FALSE(tree);
  EXPECT_EQ(tree.error().code, ErrorCode::kBadConfig);
  EXPECT_NE(tree.error().where.find("/vision_config/hidden_size"), std::string::npos) << tree.error().where;
}

} // namespace
} // namespace plimsoll::testing
