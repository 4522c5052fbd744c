// What a hybrid model is made of: the parts that other families count, with the layers that have them, and declarations of its
// own. Filled once by the functions of models.hpp, replayed by planner.cpp. Immutable afterwards; any thread.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "plimsoll/plugin_util.hpp"

namespace hybrid {

using plimsoll::Aspect;
using plimsoll::Aspects;
using plimsoll::Bytes;
using plimsoll::check_divides;
using plimsoll::Config;
using plimsoll::DraftMap;
using plimsoll::Error;
using plimsoll::KvGroup;
using plimsoll::KvKind;
using plimsoll::LayerMap;
using plimsoll::Part;
using plimsoll::Sink;
using plimsoll::Stage;
using plimsoll::Weight;

using Layers = std::vector<std::uint32_t>;

inline constexpr Aspect kEmbed = Aspect::kEmbed, kAttention = Aspect::kAttention, kFfn = Aspect::kFfn, kState = Aspect::kState,
                        kHead = Aspect::kHead;
inline constexpr Aspects kNothing{0};

// Another family's planner of the same configuration, which counts as if every layer had its parts; the maps say which have.
struct Delegate {
  plimsoll::Child child;
  Aspects aspects;
  LayerMap map;
  std::optional<DraftMap> draft;
};

// How the parts of a layer stand around the residual stream, where the forward pass is described: a norm before each part, and what a
// part gives is multiplied before it is added. Mixers of one layer stand side by side.
struct Frame {
  std::string_view mixer_norm;           // labels
  std::string_view ffn_norm = "";        // empty: a layer is one block behind one norm, a mixer or an FFN
  const char* multiplier = "";           // key; empty: none
  bool plus_one = false;                 // the gains of the norms are stored less 1
  const char* epsilon = "/rms_norm_eps"; // key
};

// How the layer that drafts is joined to the model, where it is described: labels. Its norms stand where the model's do, its last before
// what is handed on.
struct DraftFrame {
  std::string_view token_norm, model_norm, projection, last_norm;
};

// The pass of a recurrent mixer: sets part.out from part.in, in the layers that have it.
struct Mixer {
  Layers layers;
  std::function<void(const plimsoll::PipelinePart& part, const plimsoll::Pipeline& out)> describe;
};

struct Model {
  // Width and layers as every family reads them.
  explicit Model(const Config& config)
      : config(config), hidden(config.positive_of({"/hidden_size", "/d_model"})), layers(plimsoll::layer_count(config)) {}

  // Asks `family` for `aspects`; what it declares is where `map` says.
  Delegate& ask(const char* family, Aspects aspects, LayerMap map = {}) {
    delegates.push_back({plimsoll::Child(config, "", plimsoll::of_family(family)), aspects, std::move(map), std::nullopt});
    return delegates.back();
  }
  // Embedding, head and attention, the latter in these layers; FFN too where `aspects` has it, in all layers.
  Delegate& ask_dense(const Layers& attention, Aspects more = kNothing, const char* block = "self_attn.") {
    return ask("dense", kEmbed | kAttention | kHead | more, {{{kAttention, block, attention}}, attention});
  }
  Layers all() const { return plimsoll::layers_from(0, layers); }

  const Config& config;
  std::uint64_t hidden;
  std::uint32_t layers;
  std::uint64_t draft_layers = 0;
  std::deque<Delegate> delegates;
  std::deque<Layers> lists; // that weights and caches point to
  std::vector<Weight> weights;
  std::vector<KvGroup> caches;      // that this family declares itself
  std::vector<Mixer> mixers;        // whose passes are described
  std::optional<Frame> frame;       // none: the pass is not described
  std::optional<DraftFrame> drafts; // likewise
};

// Layers that have a part of this family's own: how its tensors' names begin, and whose they are.
class Place {
public:
  Place(Model& model, std::string prefix, std::string label, Aspect aspect, Layers layers, bool draft = false)
      : model(model), aspect_(aspect) {
    model.lists.push_back(std::move(layers));
    site_ = {std::move(prefix), (draft ? "draft." : "") + label, &model.lists.back(), draft};
  }

  Weight weight(std::string_view name, std::initializer_list<Bytes> dims) const {
    return site_.weight(aspect_, label_of(name), name, dims);
  }
  Weight linear(std::string_view name, Bytes out, Bytes in) const { return weight(std::string(name) + ".weight", {out, in}).linear(); }
  Weight norm(std::string_view name, Bytes width) const { return weight(std::string(name) + ".weight", {width}); }
  void add(const Weight& w, bool bias = false) const {
    model.weights.push_back(w);
    if (bias) model.weights.push_back(w.bias());
  }
  const Layers& layers() const { return *site_.layers; }
  const std::string& label() const { return site_.label; } // before those of its tensors
  bool draft() const { return site_.draft; }

  Model& model;

private:
  static std::string_view label_of(std::string_view name) {
    constexpr std::string_view kEnd = ".weight";
    const bool ends = name.size() > kEnd.size() && name.substr(name.size() - kEnd.size()) == kEnd;
    return ends ? name.substr(0, name.size() - kEnd.size()) : name;
  }

  plimsoll::Site site_;
  Aspect aspect_;
};

} // namespace hybrid
