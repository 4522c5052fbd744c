// Layers of hybrid models. Worked example, a layer of Granite-4-H with Mamba-2: norm; five linear layers (gate, x, b, c, steps), three
// convolutions, a scan, a gate, a norm and a linear layer; a sum; norm, the FFN (which the host asks for), its sum: 16 ops.
#include "pipeline.hpp"

#include <algorithm>

namespace hybrid {
namespace {

using plimsoll::Pipeline;
using plimsoll::PipelinePart;
using plimsoll::Value;
namespace op = plimsoll::op;

bool holds(const Layers& layers, std::uint32_t layer) { return std::binary_search(layers.begin(), layers.end(), layer); }

// Who has this part of the layer; nullptr: nobody.
const Delegate* delegate_of(const Model& model, Aspect part, std::uint32_t layer) {
  for (const Delegate& d : model.delegates) {
    if (!d.aspects.has(part)) continue;
    const auto listed =
        std::find_if(d.map.parts.begin(), d.map.parts.end(), [&](const auto& entry) { return plimsoll::Aspects(entry.aspect).has(part); });
    if (listed == d.map.parts.end() || holds(listed->layers, layer)) return &d;
  }
  return nullptr;
}

// Calls `each(describe)` for the mixers of a layer, which set a value from another; says how many there are.
template <class Each>
std::size_t for_mixers(const Model& model, std::uint32_t layer, const Pipeline& out, Each each) {
  std::size_t n = 0;
  for (const Mixer& own : model.mixers) {
    if (!holds(own.layers, layer)) continue;
    each([&](Value x, Value y) { own.describe({kState, layer, x, y}, out); });
    ++n;
  }
  if (const Delegate* const attention = delegate_of(model, kAttention, layer)) {
    each([&](Value x, Value y) { attention->child.describe({kAttention, layer, x, y}, out); });
    ++n;
  }
  return n;
}

void describe_layer(const Model& model, const PipelinePart& part, const Pipeline& out) {
  const Frame& frame = *model.frame;
  const Config& config = model.config;
  const double epsilon = config.find_f64(frame.epsilon).value_or(0);
  const double by = frame.multiplier[0] == '\0' ? 1 : config.find_f64(frame.multiplier).value_or(1);
  const auto normed = [&](std::string_view label) {
    return out.make(model.hidden, 0, op::Norm(part.out, std::string(label), epsilon).plus_one(frame.plus_one));
  };
  const auto add_ffn = [&](std::string_view norm) {
    const Value y = out.value(model.hidden);
    out.ffn(normed(norm), y);
    out.add(part.out, op::Add(y, by));
  };
  // All mixers read what the norm gave before any of them has added to the residual stream.
  Value x;
  const std::size_t mixers = for_mixers(model, part.layer, out, [&](const auto& describe) {
    if (x.index == PLIMSOLL_NO_VALUE) x = normed(frame.mixer_norm);
    const Value mixed = out.value(model.hidden);
    describe(x, mixed);
    out.add(part.out, op::Add(mixed, by));
  });
  if (!frame.ffn_norm.empty()) {
    if (mixers == 0) plimsoll::no_pipeline("", "for the mixer of layer " + std::to_string(part.layer));
    add_ffn(frame.ffn_norm);
  } else if (mixers == 0) {
    add_ffn(frame.mixer_norm);
  }
}

} // namespace

void describe_draft(const Model& model, const PipelinePart& part, const Pipeline& out) {
  if (!model.frame || !model.drafts)
    plimsoll::no_pipeline("/model_type", "for the layers that draft of model_type " + std::string(model.config.model_type().substr(0, 60)));
  const Frame& frame = *model.frame;
  const DraftFrame& drafts = *model.drafts;
  const plimsoll::Child& ends = model.delegates.front().child;
  const auto norm = [&](Value x, std::string_view label) {
    return op::Norm(x, std::string(label), model.config.find_f64(frame.epsilon).value_or(0)).plus_one(frame.plus_one);
  };
  if (part.is_handover() && part.layer == PLIMSOLL_NO_LAYER) {
    out.set(part.out, norm(part.in, "final_norm"));
  } else if (part.is_embedding()) {
    const Value token = out.value(model.hidden);
    ends.describe({kEmbed, part.layer, {}, token}, out);
    out.set(token, norm(token, drafts.token_norm));
    const Value before = out.make(model.hidden, 0, norm(part.in, drafts.model_norm));
    const Value both = out.make(Bytes(2) * model.hidden, 0, op::Join(token, before));
    out.set(part.out, op::Linear(both, std::string(drafts.projection)));
  } else if (part.is_handover()) {
    out.set(part.out, norm(part.in, drafts.last_norm));
  } else if (part.is_head()) {
    const Value rows = out.value(model.hidden, 0, plimsoll::Rows::kOutputs);
    out.set(rows, op::LastRows(part.in));
    out.set(part.out, op::Linear(rows, model.config.boolean("/tie_word_embeddings", false) ? "embedding" : "head"));
  } else if (part.is_ffn()) {
    const auto ffn = std::find_if(model.delegates.begin(), model.delegates.end(), [](const Delegate& d) { return d.aspects.has(kFfn); });
    if (ffn == model.delegates.end()) plimsoll::no_pipeline("", "for the FFN of the layer that drafts");
    ffn->child.describe_draft(part, out);
  } else {
    const auto normed = [&](std::string_view label) { return out.make(model.hidden, 0, norm(part.out, "draft." + std::string(label))); };
    const Value mixed = out.value(model.hidden), y = out.value(model.hidden);
    ends.describe_draft({kAttention, part.layer, normed(frame.mixer_norm), mixed}, out);
    out.add(part.out, op::Add(mixed));
    out.ffn(normed(frame.ffn_norm), y);
    out.add(part.out, op::Add(y));
  }
}

void describe(const Model& model, const PipelinePart& part, const Pipeline& out) {
  if (!model.frame) plimsoll::no_pipeline("/model_type", "for model_type " + std::string(model.config.model_type().substr(0, 60)));
  if (part.is_embedding() || part.is_head()) return model.delegates.front().child.describe(part, out);
  if (!part.is_ffn()) return describe_layer(model, part, out);
  const Delegate* const ffn = delegate_of(model, kFfn, part.layer);
  if (ffn == nullptr) plimsoll::no_pipeline("", "for the FFN of layer " + std::to_string(part.layer));
  ffn->child.describe(part, out);
}

} // namespace hybrid
