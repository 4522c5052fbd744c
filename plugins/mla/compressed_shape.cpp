// Reads the sizes of a model with compressed sparse attention. Refuses ratios whose pooling is not public, and more than 4096
// layers. Any thread.
#include "compressed_shape.hpp"

#include <algorithm>

namespace mla {
namespace {

using plimsoll::bounded;
using plimsoll::Config;
using plimsoll::Error;

constexpr std::uint64_t kMaxStreams = 1024;

// `compress_ratios` has an entry per layer, draft layers after the model's.
void read_ratios(const Config& config, std::uint64_t n, std::uint64_t drafts, CompressedShape& s) {
  const auto ratios = config.u64_list("/compress_ratios");
  if (ratios.size() != n && ratios.size() != n + drafts)
    throw Error(PLIMSOLL_E_CONFIG, "/compress_ratios",
                "has " + std::to_string(ratios.size()) + " entries; " + std::to_string(n) + " were expected, or " +
                    std::to_string(n + drafts) + " with the draft layers");
  for (std::uint64_t i = 0; i < n + drafts; ++i) {
    const std::uint64_t ratio = i < ratios.size() ? ratios[static_cast<std::size_t>(i)] : 0;
    if (ratio != 0 && ratio != 4 && ratio != 128)
      throw Error(PLIMSOLL_E_UNSUPPORTED, "/compress_ratios/" + std::to_string(i),
                  "is " + std::to_string(ratio) + "; how tokens are pooled is known for 4 and 128, and 0 for no pooling");
    auto it = std::find_if(s.ratios.begin(), s.ratios.end(), [&](const RatioLayers& r) { return r.ratio >= ratio; });
    if (it == s.ratios.end() || it->ratio != ratio) it = s.ratios.insert(it, RatioLayers{ratio, {}, {}, {}});
    const auto layer = static_cast<std::uint32_t>(i);
    if (i < n) {
      it->layers.push_back(layer);
      s.layers.push_back(layer);
    } else {
      const auto name = static_cast<std::uint32_t>(i - n);
      it->draft_layers.push_back(layer);
      it->draft_names.push_back(name);
      s.draft_layers.push_back(layer);
      s.draft_names.push_back(name);
    }
  }
}

} // namespace

CompressedShape read_compressed_shape(const Config& config) {
  CompressedShape s;
  s.hidden = config.positive("/hidden_size");
  s.vocab = config.positive("/vocab_size");
  s.max_length = config.u64("/max_position_embeddings", 0);
  s.heads = config.positive("/num_attention_heads");
  s.head = config.positive("/head_dim");
  s.rope = config.positive("/qk_rope_head_dim");
  if (s.rope >= s.head)
    throw Error(PLIMSOLL_E_CONFIG, "/qk_rope_head_dim", "is " + std::to_string(s.rope) + "; less than head_dim was expected");
  s.q_rank = config.positive("/q_lora_rank");
  s.o_rank = config.positive("/o_lora_rank");
  s.o_groups = config.positive("/o_groups");
  plimsoll::check_divides(s.o_groups, s.heads, "/o_groups");
  s.window = config.positive("/sliding_window");
  s.index_heads = config.positive("/index_n_heads");
  s.index_head = config.positive("/index_head_dim");
  s.streams = bounded(config.positive("/hc_mult"), kMaxStreams, "/hc_mult");
  if (config.str("/quantization_config/quant_method", "") == "fp8") s.linear_format = config.str("/fp8_storage_format", "");
  const std::uint64_t n = plimsoll::layer_count(config);
  const std::uint64_t drafts = bounded(config.u64("/num_nextn_predict_layers", 0), plimsoll::kMaxDraftLayers, "/num_nextn_predict_layers");
  read_ratios(config, n, drafts, s);
  return s;
}

} // namespace mla
