// Ops from a Model: see pipeline.hpp. Worked example, a layer of Llama: norm, three linear layers, two rotations, attention, a linear
// layer back onto the residual stream; norm, the FFN (which the host asks for), its sum: 10 ops, and 4 of the FFN.
#include "pipeline.hpp"

#include <cmath>
#include <string>
#include <tuple>
#include <utility>

#include "forward.hpp"

namespace dense {

using plimsoll::Bytes;
using plimsoll::Config;
using plimsoll::Error;
using plimsoll::KvKind;
using plimsoll::Pipeline;
using plimsoll::PipelinePart;
using plimsoll::Rows;
using plimsoll::Value;
namespace op = plimsoll::op;

namespace {

std::string bias(bool has, std::string_view of) { return has ? std::string(of) + ".bias" : std::string(); }

// A norm of the residual stream.
op::Norm residual_norm(const Model& model, const Forward& forward, Value x, std::string_view label, double epsilon) {
  op::Norm norm(x, std::string(label), epsilon);
  return norm.plus_one(forward.plus_one).mean(forward.mean).bias(bias(model.dialect.norm_bias, label));
}

// A layer of a model: one of its own, or the one that drafts, whose labels have a prefix.
struct Written {
  const Layer& layer;
  std::uint32_t number;
  std::string prefix = {};
};

// What layers are told of tokens besides the residual stream: `width` elements each, one after another; 0: nothing.
struct LayerInputs {
  std::uint64_t width = 0, all = 0;
};
LayerInputs layer_inputs_of(const Config& config, const Model& model) {
  const std::uint64_t width = config.u64("/hidden_size_per_layer_input", 0);
  return {width, (Bytes(width) * model.layers.size()).value()};
}
constexpr std::uint32_t kLayerInputs = 0; // the shared value that holds them

class LayerWriter {
public:
  LayerWriter(const Config& config, const Model& model, const Forward& forward, Written of, const PipelinePart& part, const Pipeline& out)
      : config_(config), model_(model), forward_(forward), layer_(of.layer), residual_(part.out), number_(of.number),
        prefix_(std::move(of.prefix)), out_(out), epsilon_(epsilon_of(config, forward)), by_(multipliers_of(config, forward)) {
    const Attention& a = layer_.attention;
    const bool whole = part.is_layer() && !part.is_attention();
    const bool shares = (a.value_is_key || a.borrows) && !forward.scaled_layers;
    if (!a.exists() || a.linear || a.cross || shares || (whole && layer_.ffn.none) || model.head_gate)
      plimsoll::no_pipeline("", "for the attention of layer " + std::to_string(part.layer));
    if (by_.inputs != 1 && model.qkv_bias) plimsoll::no_pipeline("/attention_in_multiplier", "for projections with this factor and biases");
  }

  void write() const {
    const auto& norms = model_.dialect.norms;
    if (forward_.order == Order::kBeside) return write_beside(norms[0]);
    std::size_t next = 0;
    const bool before = forward_.order != Order::kAfter, after = forward_.order != Order::kBefore;
    const op::Linear o = attention(before ? normed(residual_, norms[next++]) : residual_);
    if (after) out_.add(residual_, op::Add(normed(out_.make(model_.hidden, 0, o), norms[next++])));
    else out_.add(residual_, op::Linear(o).scale(by_.context * by_.residual));
    const Value y = out_.value(model_.hidden);
    if (forward_.scaled_layers && config_.boolean("/enable_moe_block", false)) {
      out_.ffn(residual_, y); // whose parts norm what they read
      ++next;
    } else {
      out_.ffn(before ? normed(residual_, norms[next++]) : residual_, y);
    }
    out_.add(residual_, op::Add(after ? normed(y, norms[next]) : y, by_.residual));
    if (!forward_.scaled_layers) return;
    if (const LayerInputs inputs = layer_inputs_of(config_, model_); inputs.width != 0) add_layer_input(inputs);
    out_.set(residual_, op::Multiply(residual_, "layer_scalar"));
  }

  // Attention and FFN read the same, before either adds to the residual stream.
  void write_beside(std::string_view norm) const {
    const Value x = normed(residual_, norm), y = out_.value(model_.hidden);
    out_.ffn(x, y);
    out_.add(residual_, attention(x));
    out_.add(residual_, op::Add(y));
  }

  // The attention by itself, for a layer that another family writes.
  void write_attention(Value x) const { out_.set(residual_, attention(x)); }

private:
  Value normed(Value x, std::string_view label) const {
    return out_.make(model_.hidden, 0, residual_norm(model_, forward_, x, prefix_ + std::string(label), epsilon_));
  }

  // What this layer is told of a token besides, let in by a gate.
  void add_layer_input(const LayerInputs& inputs) const {
    const Value all = out_.shared(kLayerInputs, inputs.all);
    const Value own = out_.make(inputs.width, 0, op::Columns(all, 1, inputs.all, number_ * inputs.width, inputs.width));
    const Value gate = out_.make(inputs.width, 0, op::Linear(residual_, "per_layer_input_gate"));
    out_.set(gate, op::Gate(gate, own, activation_of(config_, forward_)));
    const Value y = out_.make(model_.hidden, 0, op::Linear(gate, "per_layer_projection"));
    out_.add(residual_, op::Add(normed(y, "post_per_layer_input_norm")));
  }

  // Projections in and out; what it gives is nowhere yet.
  op::Linear attention(Value x) const {
    const Attention& a = layer_.attention;
    Value q, gate;
    if (model_.gated_queries) {
      const Value both = projection(x, 0, "attention.q_proj", a.heads, 2 * a.k_elements);
      const auto half = [&](std::uint64_t first) {
        return out_.make(Bytes(a.heads) * a.k_elements, a.heads, op::Columns(both, a.heads, 2 * a.k_elements, first, a.k_elements));
      };
      q = half(0);
      gate = half(a.k_elements);
    } else if (!model_.names.by_head) {
      q = projection(x, 0, "attention.q_proj", a.heads, a.k_elements);
    }
    Value k, v;
    if (model_.names.by_head) {
      std::tie(q, k, v) = split_by_head(x);
    } else if (!a.borrows) {
      v = k = projection(x, 1, "attention.k_proj", a.kv_heads, a.k_elements, by_.keys);
      if (!a.value_is_key) v = projection(x, 2, "attention.v_proj", a.kv_heads, a.v_elements);
      if (forward_.scaled_layers) v = normed_values(v);
    }
    norm_heads(q, "attention.q_norm", a.heads);
    if (!a.borrows) norm_heads(k, "attention.k_norm", a.kv_heads);
    const bool turned = turns(config_, forward_, layer_, number_);
    if (turned) turn(q, a.heads);
    if (turned && !a.borrows) turn(k, a.kv_heads);
    op::Attend attend = a.borrows ? borrowed(q) : op::Attend(q, k, v, prefix_ + cache_label(layer_.span.kind), sizes());
    if (forward_.scaled_layers) attend.scale(1);
    attend.bias(bias_of(config_, forward_));
    if (layer_.span.kind == KvKind::kWindow) attend.window(layer_.span.tokens);
    if (layer_.span.kind == KvKind::kChunk) attend.chunk(layer_.span.tokens);
    if (by_.scores > 0) attend.scale(by_.scores);
    if (!forward_.score_elements.empty()) attend.scale(1 / std::sqrt(positive(forward_.score_elements)));
    if (!forward_.score_cap.empty()) attend.soft_cap(config_.find_f64(forward_.score_cap).value_or(0));
    if (!model_.dialect.sinks.empty()) attend.sinks(prefix_ + "attention.sinks");
    if (const Growth growth = growth_of(config_, forward_); !turned && growth.by > 0) attend.grow(growth.by, growth.step);
    const Value context = out_.make(Bytes(a.heads) * a.v_elements, a.heads, attend);
    if (model_.gated_queries) out_.set(context, op::Gate(gate, context, plimsoll::Activation::kSigmoid));
    op::Linear o(context, prefix_ + "attention.o_proj");
    return o.bias(bias(model_.o_bias, prefix_ + "attention.o_proj")).scale(by_.context).reduce();
  }

  op::AttendSizes sizes() const {
    const Attention& a = layer_.attention;
    return {a.heads, a.kv_heads, a.k_elements, a.v_elements};
  }

  // Out of one tensor that has a head's together.
  std::tuple<Value, Value, Value> split_by_head(Value x) const {
    const Attention& a = layer_.attention;
    if (a.kv_heads != a.heads) plimsoll::no_pipeline("/num_key_value_heads", "for heads that share keys in one tensor of all projections");
    const Bytes width = Bytes(a.heads) * a.k_elements;
    const Value all = out_.make(width * 3, a.heads, op::Linear(x, "attention.qkv_proj").bias(bias(model_.qkv_bias, "attention.qkv_proj")));
    const auto part = [&](std::uint64_t n) {
      return out_.make(width, a.heads, op::Columns(all, a.heads, 3 * a.k_elements, n * a.k_elements, a.k_elements));
    };
    const Value q = part(0), k = part(1);
    return {q, k, part(2)};
  }

  Value normed_values(Value v) const {
    const Attention& a = layer_.attention;
    return out_.make(Bytes(a.kv_heads) * a.v_elements, a.kv_heads, op::Norm(v, "", epsilon_).heads(a.kv_heads, a.v_elements));
  }

  // Over keys and values of the last layer of its kind that has some.
  op::Attend borrowed(Value q) const {
    for (std::uint32_t lender = number_; lender-- > 0;) {
      const Layer& layer = model_.layers[lender];
      if (layer.attention.borrows || layer.span.kind != layer_.span.kind) continue;
      return op::Attend(q, cache_label(layer_.span.kind), sizes()).of_layer(lender);
    }
    throw Error(PLIMSOLL_E_CONFIG, "/num_kv_shared_layers",
                "leaves layer " + std::to_string(number_) + " no cache of its kind to look into");
  }

  // Queries or keys by their positions; in some models normed behind that.
  void turn(Value x, std::uint64_t heads) const {
    const std::uint64_t elements = layer_.attention.k_elements;
    const plimsoll::RopeFrequencies frequencies = rope_of(config_, forward_, layer_);
    const plimsoll::RopeTable table = out_.table(frequencies);
    if (const auto sections = sections_of(config_, forward_, frequencies.columns() / 2))
      out_.set(x, op::RopeSections(x, table, *sections).columns(heads, elements, 0, frequencies.columns()));
    else out_.set(x, op::Rope(x, table).interleaved(forward_.neighbours).columns(heads, elements, 0, frequencies.columns()));
    if (norms_turned(config_, forward_)) out_.set(x, op::Norm(x, "", epsilon_).heads(heads, elements));
  }

  // Queries, keys or values: a linear layer of their own, or a part of the fused one.
  Value projection(Value x, std::uint32_t part, const char* label, std::uint64_t heads, std::uint64_t elements, double scale = 1) const {
    const bool fused = !model_.names.qkv.empty();
    const std::string name = prefix_ + (fused ? "attention.qkv_proj" : label);
    op::Linear linear(x, name);
    linear.bias(bias(model_.qkv_bias, name)).scale(scale * by_.inputs);
    if (fused) linear.part(part);
    return out_.make(Bytes(heads) * elements, heads, linear);
  }

  void norm_heads(Value x, const char* label, std::uint64_t heads) const {
    op::Norm norm(x, prefix_ + label, epsilon_);
    norm.plus_one(forward_.plus_one);
    if (model_.qk_norm != QkNorm::kNone && model_.dialect.norm_bias) plimsoll::no_pipeline("", "for layer norms on queries and keys");
    switch (model_.qk_norm) {
    case QkNorm::kNone: return;
    case QkNorm::kHead: norm.heads(heads, layer_.attention.k_elements); break;
    case QkNorm::kProjection: break;
    case QkNorm::kMatrix:
    case QkNorm::kPerHead: plimsoll::no_pipeline("", "for norms on queries and keys of this shape");
    }
    out_.set(x, norm);
  }

  double positive(std::string_view pointer) const {
    const double value = config_.find_f64(pointer).value_or(0);
    if (value > 0) return value;
    throw Error(PLIMSOLL_E_CONFIG, std::string(pointer), "is missing or not above 0; scores are divided by its root");
  }

  const Config& config_;
  const Model& model_;
  const Forward& forward_;
  const Layer& layer_;
  Value residual_;
  std::uint32_t number_;
  std::string prefix_;
  const Pipeline& out_;
  double epsilon_;
  Multipliers by_;
};

void describe_embedding(const Config& config, const Model& model, const Forward& forward, const PipelinePart& part, const Pipeline& out) {
  if (model.embedding_width != model.hidden) plimsoll::no_pipeline("", "for an embedding of another width than the model's");
  op::Embed embed("embedding");
  embed.scale(multipliers_of(config, forward).embedding);
  if (forward.scaled_embedding) embed.scale(std::sqrt(static_cast<double>(model.hidden)));
  out.set(part.out, embed.reduce());
  if (forward.positions) out.add(part.out, op::EmbedPosition("embedding.positions", 2));
  if (forward.normed_embedding)
    out.set(part.out, op::Norm(part.out, "embedding.norm.weight", epsilon_of(config, forward)).mean().bias("embedding.norm.bias"));
  const LayerInputs inputs = forward.scaled_layers ? layer_inputs_of(config, model) : LayerInputs{};
  if (inputs.width == 0) return;
  // The mean of two, times the root of two: rows of a table of their own, and a projection of the embedding, normed layer by layer.
  const double half = std::sqrt(0.5), hidden = static_cast<double>(model.hidden);
  const Value all = out.shared(kLayerInputs, inputs.all);
  out.set(all, op::Embed("embedding.per_layer").scale(half * std::sqrt(static_cast<double>(inputs.width))).reduce());
  const Value projected = out.make(inputs.all, 0, op::Linear(part.out, "embedding.per_layer_projection").scale(1 / std::sqrt(hidden)));
  out.set(projected, op::Norm(projected, "embedding.per_layer_norm", epsilon_of(config, forward)).heads(model.layers.size(), inputs.width));
  out.add(all, op::Add(projected, half));
}

void describe_ffn(const Config& config, const Model& model, const Forward& forward, const Written& of, const PipelinePart& part,
                  const Pipeline& out) {
  const Ffn& ffn = of.layer.ffn;
  if (ffn.none || ffn.linear) plimsoll::no_pipeline("", "for the FFN of layer " + std::to_string(part.layer));
  const plimsoll::Activation act = activation_of(config, forward);
  const Multipliers by = multipliers_of(config, forward);
  const bool fused = !model.names.gate_up.empty();
  const auto into = [&](const char* name, std::uint32_t piece, double scale) {
    const std::string label = of.prefix + name;
    op::Linear linear(part.in, label);
    linear.bias(bias(model.ffn_bias, label)).scale(scale);
    if (fused) linear.part(piece);
    return out.make(ffn.width, ffn.width, linear);
  };
  Value inner;
  if (fused || !model.names.gate.empty()) {
    inner = into(fused ? "mlp.gate_up_proj" : "mlp.gate_proj", 0, by.gate);
    out.set(inner, op::Gate(inner, into(fused ? "mlp.gate_up_proj" : "mlp.up_proj", 1, 1), act));
  } else {
    inner = into("mlp.up_proj", 0, 1);
    out.set(inner, op::Gate(inner, act));
  }
  out.set(part.out,
          op::Linear(inner, of.prefix + "mlp.down_proj").bias(bias(model.down_bias, of.prefix + "mlp.down_proj")).scale(by.down).reduce());
}

// Logits of rows behind the last norm.
void describe_logits(const Config& config, const Model& model, const Forward& forward, Value rows, Value logits, const Pipeline& out) {
  out.set(logits, op::Linear(rows, model.tied ? "embedding" : "head")
                      .bias(bias(model.head_bias, "head"))
                      .scale(multipliers_of(config, forward).logits));
  const double cap = forward.final_cap.empty() ? 0 : config.find_f64(forward.final_cap).value_or(0);
  if (cap > 0) out.set(logits, op::Gate(logits, plimsoll::Activation::kSoftCap).cap(cap));
}

// Only the rows that want logits are normed.
void describe_head(const Config& config, const Model& model, const Forward& forward, const PipelinePart& part, const Pipeline& out) {
  if (model.tied && model.embedding_rows != model.vocab) plimsoll::no_pipeline("", "for a tied head of fewer rows than the embedding");
  const Value rows = out.value(model.hidden, 0, Rows::kOutputs);
  out.set(rows, op::LastRows(part.in));
  out.set(rows, residual_norm(model, forward, rows, model.names.final_norm.empty() ? "" : "final_norm", epsilon_of(config, forward)));
  describe_logits(config, model, forward, rows, part.out, out);
}

// The row of the model's type, where tensors are of a kind that it stands for.
const Forward& known_forward(const Config& config, const Model& model) {
  const Forward& forward = forward_of(config);
  if ((model.dialect.norm_bias && !forward.mean) || (!model.extras.empty() && !forward.scaled_layers && !forward.own_extras))
    plimsoll::no_pipeline("/model_type", "for tensors of this kind");
  return forward;
}

} // namespace

void describe(const Config& config, const Model& model, const PipelinePart& part, const Pipeline& out) {
  const Forward& forward = known_forward(config, model);
  if (part.is_embedding()) return describe_embedding(config, model, forward, part, out);
  if (part.is_head()) return describe_head(config, model, forward, part, out);
  if (part.layer >= model.layers.size()) throw Error(PLIMSOLL_E_INTERNAL, "", "was asked for a layer that the model does not have");
  const Written written{model.layers[part.layer], part.layer};
  if (part.is_ffn()) return describe_ffn(config, model, forward, written, part, out);
  const LayerWriter writer(config, model, forward, written, part, out);
  if (part.is_attention()) writer.write_attention(part.in);
  else writer.write();
}

void describe_draft(const Config& config, const Model& model, const PipelinePart& part, const Pipeline& out) {
  const Forward& forward = known_forward(config, model);
  const Written written{model.draft, part.layer, "draft."};
  if (part.is_ffn()) return describe_ffn(config, model, forward, written, part, out);
  if (part.is_attention()) return LayerWriter(config, model, forward, written, part, out).write_attention(part.in); // of another family's
  if (model.dialect.draft == nullptr || forward.drafts == Drafts::kUnknown)
    plimsoll::no_pipeline("/model_type", "for the layers that draft of model_type " + std::string(config.model_type().substr(0, 60)));
  const bool model_first = forward.drafts == Drafts::kModelFirst; // its last norm then stands before what is handed on
  const double epsilon = epsilon_of(config, forward);
  const auto norm = [&](Value x, std::string_view label) { return op::Norm(x, std::string(label), epsilon).plus_one(forward.plus_one); };
  const auto own = [](std::string_view label) { return "draft." + std::string(label); };
  const auto& norms = model.dialect.draft->norms; // of the token, of the model, and the last
  if (part.is_handover() && part.layer == PLIMSOLL_NO_LAYER) {
    out.set(part.out, norm(part.in, "final_norm"));
  } else if (part.is_embedding()) {
    const Value token = out.value(model.hidden);
    describe_embedding(config, model, forward, {part.aspects, part.layer, {}, token}, out);
    out.set(token, norm(token, own(norms[0])));
    const Value before = out.make(model.hidden, 0, norm(part.in, own(norms[1])));
    op::Join join = model_first ? op::Join(before, token) : op::Join(token, before);
    const Value both = out.make(Bytes(2) * model.hidden, 0, join.blank_first(model_first));
    out.set(part.out, op::Linear(both, own("join_proj")));
  } else if (part.is_handover()) {
    if (model_first) out.set(part.out, norm(part.in, own(norms[2])));
    else out.set(part.out, op::Add(part.in));
  } else if (part.is_head()) {
    const Value rows = out.value(model.hidden, 0, Rows::kOutputs);
    out.set(rows, op::LastRows(part.in));
    if (!model_first) out.set(rows, norm(rows, own(norms[2])));
    describe_logits(config, model, forward, rows, part.out, out);
  } else {
    LayerWriter(config, model, forward, written, part, out).write();
  }
}

} // namespace dense
