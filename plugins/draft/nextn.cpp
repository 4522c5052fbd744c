// See nextn.hpp. The family declares its model and, with the draft's role, the layers behind it. Only those pass, as a model; the copies
// of embedding and head in them are the target's, which engines share, and are never loaded.
#include "nextn.hpp"

#include <algorithm>
#include <array>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "weights.hpp"

namespace draft {
namespace {

using plimsoll::Sink;

constexpr std::array<std::pair<std::string_view, std::string_view>, 37> kTargets{{{"DeepSeekMTPModel", "deepseek_v3"},
                                                                                  {"DeepseekV3ForCausalLMNextN", "deepseek_v3"},
                                                                                  {"Glm4MoeMTPModel", "glm4_moe"},
                                                                                  {"Glm4MoeForCausalLMNextN", "glm4_moe"},
                                                                                  {"Qwen3NextMTP", "qwen3_next"},
                                                                                  {"Qwen3NextForCausalLMMTP", "qwen3_next"},
                                                                                  {"MiMoMTPModel", "mimo"},
                                                                                  {"MiMoMTP", "mimo"},
                                                                                  {"MiMoV2MTPModel", "mimo_v2"},
                                                                                  {"MiMoV2MTP", "mimo_v2"},
                                                                                  {"MiMoV2OmniMTPModel", "mimo_v2"},
                                                                                  {"Glm4MoeLiteMTPModel", "glm4_moe_lite"},
                                                                                  {"Glm4MoeLiteForCausalLMNextN", "glm4_moe_lite"},
                                                                                  {"GlmMoeDsaForCausalLMNextN", "glm_moe_dsa"},
                                                                                  {"GlmOcrMTPModel", "glm_ocr_text"},
                                                                                  {"GlmOcrForConditionalGenerationNextN", "glm_ocr_text"},
                                                                                  {"DeepSeekV4MTPModel", "deepseek_v4"},
                                                                                  {"DeepseekV4ForCausalLMNextN", "deepseek_v4"},
                                                                                  {"LongCatFlashMTPModel", "longcat_flash"},
                                                                                  {"LongcatFlashForCausalLMNextN", "longcat_flash"},
                                                                                  {"OpenPanguMTPModel", "pangu_ultra_moe"},
                                                                                  {"Step3p5MTP", "step3p5"},
                                                                                  {"Qwen3_5MTP", "qwen3_5_text"},
                                                                                  {"Qwen3_5ForCausalLMMTP", "qwen3_5_text"},
                                                                                  {"Qwen3_5MoeMTP", "qwen3_5_moe_text"},
                                                                                  {"HYV3MTPModel", "hy_v3"},
                                                                                  {"HYV3ForCausalLMNextN", "hy_v3"},
                                                                                  {"NemotronHMTPModel", "nemotron_h"},
                                                                                  {"NemotronHForCausalLMMTP", "nemotron_h"},
                                                                                  {"BailingMoeForCausalLMNextN", "bailing_moe_v2"},
                                                                                  {"BailingMoeV25MTPModel", "bailing_hybrid"},
                                                                                  {"BailingMoeV3MTPModel", "bailing_hybrid"},
                                                                                  {"ErnieMTPModel", "ernie4_5_moe"},
                                                                                  {"Ernie4_5_MoeForCausalLMMTP", "ernie4_5_moe"},
                                                                                  {"ExaoneMoeMTP", "exaone_moe"},
                                                                                  {"ExaoneMoEForCausalLMMTP", "exaone_moe"},
                                                                                  {"Exaone4_5_MTP", "exaone4_5_text"}}};

// Where the sizes of the layers stand: models of several modalities keep them in a part.
std::string_view part_of(const plimsoll::Config& config) { return config.has("/hidden_size") ? "" : "/text_config"; }

// Passes on what is a draft's, as a model's own.
class DraftsOnly {
public:
  DraftsOnly(const Sink& out, std::uint32_t first, bool from_zero) : out_(out), first_(first), from_zero_(from_zero) {
    raw_.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_sink, item);
    raw_.ctx = this;
    raw_.weight = [](void* ctx, const plimsoll_weight* w)
                      PLIMSOLL_NOEXCEPT { return of(ctx).guarded([&] { return of(ctx).weight(plimsoll::detail::copy_of(*w)); }); };
    raw_.kv = [](void* ctx, const plimsoll_kv_group* g)
                  PLIMSOLL_NOEXCEPT { return of(ctx).guarded([&] { return of(ctx).kv(plimsoll::detail::copy_of(*g)); }); };
    raw_.entry = [](void*, const plimsoll_entry*) PLIMSOLL_NOEXCEPT -> plimsoll_status { return PLIMSOLL_OK; };
    raw_.item = [](void* ctx, const plimsoll_item* i) PLIMSOLL_NOEXCEPT {
      const plimsoll_sink* to = of(ctx).out_.raw();
      return to->item(to->ctx, i);
    };
  }
  DraftsOnly(const DraftsOnly&) = delete;
  DraftsOnly& operator=(const DraftsOnly&) = delete;
  Sink sink() const { return {&raw_, out_.aspects()}; }

private:
  static const DraftsOnly& of(void* ctx) { return *static_cast<const DraftsOnly*>(ctx); }
  template <class Call>
  static plimsoll_status guarded(Call&& call) noexcept {
    try {
      return call();
    } catch (const std::bad_alloc&) {
      return PLIMSOLL_E_MEMORY;
    } catch (...) {
      return PLIMSOLL_E_INTERNAL;
    }
  }
  plimsoll_status weight(plimsoll_weight w) const {
    if (w.role != PLIMSOLL_ROLE_DRAFT) return PLIMSOLL_OK;
    w.role = w.placement == PLIMSOLL_PLACE_VOCAB ? PLIMSOLL_ROLE_UNUSED : PLIMSOLL_ROLE_MODEL;
    constexpr std::string_view kDraft = "draft.";
    if (const std::string_view label = plimsoll::to_view(w.label); label.substr(0, kDraft.size()) == kDraft)
      w.label = plimsoll::to_str(label.substr(kDraft.size())); // all that passes is one
    const std::vector<std::uint32_t> layers = numbered(w.layers, w.n_layers);
    if (w.layers != nullptr) w.layers = layers.data();
    return out_.raw()->weight(out_.raw()->ctx, &w);
  }
  plimsoll_status kv(plimsoll_kv_group g) const {
    if (g.role != PLIMSOLL_ROLE_DRAFT) return PLIMSOLL_OK;
    g.role = PLIMSOLL_ROLE_MODEL;
    const std::vector<std::uint32_t> layers = numbered(g.layers, g.n_layers);
    g.layers = layers.data();
    return out_.raw()->kv(out_.raw()->ctx, &g);
  }
  std::vector<std::uint32_t> numbered(const std::uint32_t* layers, std::uint64_t n) const {
    std::vector<std::uint32_t> out;
    for (std::uint64_t at = 0; layers != nullptr && at < n; ++at)
      out.push_back(from_zero_ && layers[at] >= first_ ? layers[at] - first_ : layers[at]);
    return out;
  }

  const Sink& out_;
  std::uint32_t first_;
  bool from_zero_;
  plimsoll_sink raw_{};
};

} // namespace

std::optional<std::string_view> target_of(std::string_view architecture) {
  const auto found = std::find_if(kTargets.begin(), kTargets.end(), [&](const auto& row) { return row.first == architecture; });
  return found == kTargets.end() ? std::nullopt : std::optional(found->second);
}

NextLayers::NextLayers(const plimsoll::Config& config, std::string_view model_type)
    : child_(config, part_of(config), plimsoll::as(model_type)),
      from_zero_(config.find_tensor("model.layers.0.eh_proj.weight").has_value()) {
  const plimsoll_facts target = child_.facts();
  first_ = target.n_layers;
  vocab_ = target.vocab_tokens;
  hidden_ = target.hidden_elements;
  if (child_.facts().draft_layers == 0)
    throw plimsoll::Error(PLIMSOLL_E_CONFIG, "/num_nextn_predict_layers", "is 0 or missing; a draft of such layers has one at least");
}

void NextLayers::weights(const Sink& out) const {
  child_.weights(DraftsOnly(out, first_, from_zero_).sink());
  declare_shared_embedding(vocab_, hidden_, out);
}

void NextLayers::kv(const Sink& out) const { child_.kv(DraftsOnly(out, first_, from_zero_).sink()); }

plimsoll_facts NextLayers::facts() const {
  plimsoll_facts out = child_.facts();
  out.n_layers = static_cast<std::uint32_t>(out.draft_layers);
  out.draft_layers = 0;
  return out;
}

} // namespace draft
