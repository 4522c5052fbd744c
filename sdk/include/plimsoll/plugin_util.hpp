// plimsoll/plugin_util.hpp - what the planners of several families need beside plugin.hpp: checked sizes and layer counts, the
// experts of a configuration, a Site that names the tensors of like layers, and a Relay that puts what another family declares
// where this model has it. Header only, C++17, nothing but the standard library. Pure functions and values without shared
// state: any thread. Never reads a device, never multiplies or shards.
#ifndef PLIMSOLL_PLUGIN_UTIL_HPP
#define PLIMSOLL_PLUGIN_UTIL_HPP

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "plimsoll/plugin.hpp"

namespace plimsoll {

// ---- sizes -------------------------------------------------------------------------------------------------

inline constexpr std::uint64_t kMaxLayers = 4096, kMaxDraftLayers = 64, kMaxExperts = 65536;

// `value`, or E_CONFIG at `pointer` where it is above `most`.
inline std::uint64_t bounded(std::uint64_t value, std::uint64_t most, std::string_view pointer) {
  if (value <= most) return value;
  throw Error(PLIMSOLL_E_CONFIG, std::string(pointer),
              "is " + std::to_string(value) + "; at most " + std::to_string(most) + " was expected, check the configuration");
}

// E_CONFIG at `pointer` where `part`, the value there, does not divide `whole`.
inline void check_divides(std::uint64_t part, std::uint64_t whole, std::string_view pointer) {
  if (part == 0 || whole % part != 0)
    throw Error(PLIMSOLL_E_CONFIG, std::string(pointer),
                "is " + std::to_string(part) + "; a divisor of " + std::to_string(whole) + " was expected");
}

// `n` as a number of layers, 1 to 4096.
inline std::uint32_t checked_layers(std::uint64_t n, std::string_view pointer) {
  if (n == 0 || n > kMaxLayers)
    throw Error(PLIMSOLL_E_CONFIG, std::string(pointer),
                "is " + std::to_string(n) + "; a positive number, 1 to 4096 layers, was expected, check the configuration");
  return static_cast<std::uint32_t>(n);
}

// Layers of the text model under every spelling. Where no number stands, a list with a kind for each layer, or a text with a
// letter for each, says how many they are.
// A layer of several attentions counts once, as num_layers says; num_hidden_layers may count the attentions.
inline std::uint32_t layer_count(const Config& config) {
  if (config.has("/attentions_per_layer") && config.find_u64("/num_layers"))
    return checked_layers(config.u64("/num_layers"), "/num_layers");
  for (const char* pointer : {"/num_hidden_layers", "/n_layer", "/n_layers", "/num_layers"})
    if (const auto n = config.find_u64(pointer)) return checked_layers(*n, pointer);
  if (const auto n = config.find_len("/layers_block_type")) return checked_layers(*n, "/layers_block_type");
  if (const auto letters = config.find_str("/hybrid_override_pattern")) return checked_layers(letters->size(), "/hybrid_override_pattern");
  return checked_layers(config.u64("/num_hidden_layers"), "/num_hidden_layers"); // says that it is missing
}

// first, first + 1, ...: `n` layers.
inline std::vector<std::uint32_t> layers_from(std::uint32_t first, std::uint64_t n) {
  std::vector<std::uint32_t> out;
  out.reserve(static_cast<std::size_t>(n));
  for (std::uint64_t i = 0; i < n; ++i) out.push_back(first + static_cast<std::uint32_t>(i));
  return out;
}

// Routed experts of a configuration; 0 where it switches them off, nothing where it says nothing of experts.
inline std::optional<std::uint64_t> find_experts(const Config& config) {
  if (!config.boolean("/enable_moe_block", true)) return 0;
  return config.find_u64_of({"/n_routed_experts", "/num_experts", "/num_local_experts", "/moe_num_experts", "/ffn_config/moe_num_experts"});
}

// ---- names -------------------------------------------------------------------------------------------------

// Layers whose tensors begin alike and are treated alike. The list of layers must outlive the emission.
struct Site {
  std::string prefix;                                 // of tensors: "model.layers.{layer}."
  std::string label;                                  // of labels: "", "draft."
  const std::vector<std::uint32_t>* layers = nullptr; // none: every class exists once
  bool draft = false;                                 // of a multi-token-prediction draft: kept on the last stage

  // A class of these layers, named prefix + pattern, labelled label + name.
  Weight weight(Aspect aspect, std::string_view name, std::string_view pattern, std::initializer_list<Bytes> dims) const {
    Weight w(aspect, joined(label, name), joined(prefix, pattern), dims);
    if (layers != nullptr) w.layers(*layers);
    if (draft) w.role(Role::kDraft).stage(Stage::kLast);
    return w;
  }

private:
  static std::string joined(std::string_view a, std::string_view b) {
    std::string out;
    out.reserve(a.size() + b.size());
    return out.append(a).append(b);
  }
};

// ---- delegation --------------------------------------------------------------------------------------------

// The layers that have a part of a model. A class belongs to the part when it counts for its aspect and its name goes on with
// `name` behind "{layer}.".
struct PartLayers {
  Aspect aspect;
  std::string name; // "self_attn."; empty: whatever it is called
  std::vector<std::uint32_t> layers;
};

// Where a model has what another family declares for every layer. Lists are ascending.
struct LayerMap {
  std::vector<PartLayers> parts; // what belongs to none is left as it is
  // Layers that cache; nothing: as declared.
  std::optional<std::vector<std::uint32_t>> caching;
};

// The same for a multi-token-prediction draft whose layers are built like the model's own.
struct DraftMap : LayerMap {
  std::string from, to;              // beginnings of names: "model.layers." becomes "mtp.layers."
  std::vector<std::uint32_t> layers; // numbers in names; what belongs to no part is in all of them
};

// A sink in front of another: a family that asks a child for a part of a model gives it this one. The child declares as if every
// layer had that part; the relay passes on what the map says is there.
//   const LayerMap map{{{Aspect::kAttention, "self_attn.", {3, 7}}}, {{3, 7}}};
//   child.weights(Relay(out, map).sink(), Aspect::kAttention);
// With a DraftMap it passes on the same classes and caches as a draft's, and drops what has no layers or is a draft's already.
// Lives for the call and holds references to its arguments.
class Relay {
public:
  Relay(const Sink& out, const LayerMap& map) : out_(out), map_(map) { open(); }
  Relay(const Sink& out, const DraftMap& map) : out_(out), map_(map), draft_(&map) { open(); }
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  Sink sink() const { return {&raw_, out_.aspects()}; }

private:
  using Layers = std::vector<std::uint32_t>;

  void open() {
    raw_.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_sink, item);
    raw_.ctx = this;
    raw_.weight = [](void* ctx, const plimsoll_weight* w) PLIMSOLL_NOEXCEPT { return of(ctx).guarded(&Relay::weight, *w); };
    raw_.kv = [](void* ctx, const plimsoll_kv_group* g) PLIMSOLL_NOEXCEPT { return of(ctx).guarded(&Relay::kv, *g); };
    raw_.entry = [](void* ctx, const plimsoll_entry* e) PLIMSOLL_NOEXCEPT {
      const plimsoll_sink* to = of(ctx).out_.raw();
      return to->entry(to->ctx, e);
    };
    raw_.item = [](void* ctx, const plimsoll_item* i) PLIMSOLL_NOEXCEPT {
      const plimsoll_sink* to = of(ctx).out_.raw();
      return to->item(to->ctx, i);
    };
  }
  static const Relay& of(void* ctx) { return *static_cast<const Relay*>(ctx); }

  // Works on a copy that holds what the child filled; no exception gets past it.
  template <class What>
  plimsoll_status guarded(plimsoll_status (Relay::*handle)(What&) const, const What& declared) const noexcept {
    try {
      What copy = detail::copy_of(declared);
      return (this->*handle)(copy);
    } catch (const std::bad_alloc&) {
      return PLIMSOLL_E_MEMORY;
    } catch (...) {
      return PLIMSOLL_E_INTERNAL;
    }
  }

  plimsoll_status weight(plimsoll_weight& w) const {
    const bool own = w.n_layers != 0 && w.role != PLIMSOLL_ROLE_DRAFT;
    if (draft_ != nullptr && !own) return PLIMSOLL_OK;
    const PartLayers* part = own ? part_of(w) : nullptr;
    if (draft_ != nullptr) {
      const std::string label = "draft." + std::string(to_view(w.label));
      const std::string pattern = renamed(to_view(w.pattern));
      w.label = to_str(label);
      w.pattern = to_str(pattern);
      w.role = PLIMSOLL_ROLE_DRAFT;
      w.stage = PLIMSOLL_STAGE_LAST;
      return pass(w, part == nullptr ? draft_->layers : part->layers);
    }
    if (part == nullptr) return pass(w);
    return pass(w, common(w, part->layers));
  }

  plimsoll_status kv(plimsoll_kv_group& g) const {
    const bool own = g.role != PLIMSOLL_ROLE_DRAFT;
    if (draft_ == nullptr) return own && map_.caching ? pass(g, common(g, *map_.caching)) : pass(g);
    if (!own || !map_.caching) return PLIMSOLL_OK;
    const std::string label = "draft." + std::string(to_view(g.label));
    g.label = to_str(label);
    g.role = PLIMSOLL_ROLE_DRAFT;
    return pass(g, *map_.caching);
  }

  plimsoll_status pass(const plimsoll_weight& w) const { return out_.raw()->weight(out_.raw()->ctx, &w); }
  plimsoll_status pass(const plimsoll_kv_group& g) const { return out_.raw()->kv(out_.raw()->ctx, &g); }
  template <class What>
  plimsoll_status pass(What& what, const Layers& layers) const {
    if (layers.empty()) return PLIMSOLL_OK;
    what.layers = layers.data();
    what.n_layers = layers.size();
    return pass(what);
  }

  const PartLayers* part_of(const plimsoll_weight& w) const {
    constexpr std::string_view kLayer = "{layer}.";
    const std::string_view pattern = to_view(w.pattern);
    const std::size_t at = pattern.find(kLayer);
    const std::string_view rest = at == std::string_view::npos ? pattern : pattern.substr(at + kLayer.size());
    for (const PartLayers& part : map_.parts)
      if (static_cast<std::uint32_t>(part.aspect) == w.aspect && rest.substr(0, part.name.size()) == part.name) return &part;
    return nullptr;
  }
  std::string renamed(std::string_view pattern) const {
    if (pattern.substr(0, draft_->from.size()) != draft_->from) return std::string(pattern);
    return draft_->to + std::string(pattern.substr(draft_->from.size()));
  }
  template <class What>
  static Layers common(const What& declared, const Layers& wanted) {
    Layers out;
    std::set_intersection(declared.layers, declared.layers + declared.n_layers, wanted.begin(), wanted.end(), std::back_inserter(out));
    return out;
  }

  const Sink& out_;
  const LayerMap& map_;
  const DraftMap* draft_ = nullptr;
  plimsoll_sink raw_{};
};

} // namespace plimsoll

#endif
