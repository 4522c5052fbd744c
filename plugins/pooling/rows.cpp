// The table of classes. Facts come from their published code; README.md says which totals were met. Threads: constant data.
#include "rows.hpp"

#include <algorithm>
#include <iterator>

namespace pooling {
namespace {

// clang-format off
constexpr Row kRows[] = {
  {.architecture = "ColBERTLfm2Model", .projection = Projection::kTokens, .projection_name = "linear", .width = 128},
  {.architecture = "ColModernVBertForRetrieval", .model_type = "colmodernvbert", .projection = Projection::kTokens, .projection_name = "model.custom_text_proj", .width = 128, .bias = true, .both_ways = true},
  {.architecture = "ColPaliForRetrieval", .part = "/vlm_config", .prefix = "vlm.", .projection = Projection::kTokens, .projection_name = "embedding_proj_layer", .width = 128, .bias = true},
  {.architecture = "ColQwen3", .model_type = "qwen3_vl", .projection = Projection::kTokens, .projection_name = "embedding_proj_layer", .bias = true},
  {.architecture = "OpsColQwen3Model", .model_type = "qwen3_vl", .projection = Projection::kTokens, .projection_name = "custom_text_proj", .bias = true},
  {.architecture = "Qwen3VLNemotronEmbedModel", .model_type = "qwen3_vl", .projection = Projection::kTokens, .projection_name = "custom_text_proj", .bias = true},
  {.architecture = "ColQwen3_5", .model_type = "qwen3_5", .projection = Projection::kTokens, .projection_name = "custom_text_proj", .bias = true},
  {.architecture = "JinaEmbeddingsV5Model", .model_type = "qwen3"},
  {.architecture = "JinaForRanking", .projection = Projection::kRanker, .projection_name = "projector"},
  {.architecture = "JinaVLForRanking", .projection = Projection::kScorer, .projection_name = "score"},
  {.architecture = "LlamaForClassification", .model_type = "llama", .projection = Projection::kLabels, .projection_name = "classification_head", .labels = "/classification_out_size"},
  {.architecture = "LlamaForSequenceClassificationWithNormal_Weights", .model_type = "llama", .projection = Projection::kGates, .projection_name = "score"},
  {.architecture = "OpenAIPrivacyFilterForTokenClassification", .model_type = "gpt_oss", .projection = Projection::kLabels, .projection_name = "score", .bias = true, .both_ways = true},
  {.architecture = "Qwen3ASRForcedAlignerForTokenClassification", .model_type = "qwen3_asr", .projection = Projection::kLabels, .projection_name = "thinker.lm_head", .labels = "/thinker_config/classify_num"},
  {.architecture = "LlamaNemotronVLForSequenceClassification", .model_type = "llama_nemotron_vl", .projection = Projection::kLabels, .projection_name = "score", .both_ways = true},
  {.architecture = "VoyageQwen3BidirectionalEmbedModel", .projection = Projection::kLabels, .projection_name = "linear", .both_ways = true},
};
// clang-format on

} // namespace

const Row* find_row(std::string_view architecture) {
  const auto row = std::find_if(std::begin(kRows), std::end(kRows), [&](const Row& r) { return r.architecture == architecture; });
  return row == std::end(kRows) ? nullptr : row;
}

} // namespace pooling
