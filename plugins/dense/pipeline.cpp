// Ops from a Model: see pipeline.hpp. Worked example, a layer of Llama: norm, three linear layers, two rotations, attention, a linear
// layer back onto the residual stream; norm, the FFN (which the host asks for), its sum: 10 ops, and 4 of the FFN.
#include "pipeline.hpp"

#include <cmath>
#include <string>
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

class LayerWriter {
public:
  LayerWriter(const Config& config, const Model& model, const Forward& forward, Written of, const PipelinePart& part, const Pipeline& out)
      : config_(config), model_(model), forward_(forward), layer_(of.layer), residual_(part.out), number_(of.number),
        prefix_(std::move(of.prefix)), out_(out), epsilon_(epsilon_of(config, forward)), by_(multipliers_of(config, forward)) {
    const Attention& a = layer_.attention;
    const bool whole = part.is_layer() && !part.is_attention();
    if (!a.exists() || a.linear || a.cross || a.value_is_key || a.borrows || (whole && layer_.ffn.none) || model.head_gate)
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
    out_.ffn(before ? normed(residual_, norms[next++]) : residual_, y);
    out_.add(residual_, op::Add(after ? normed(y, norms[next]) : y, by_.residual));
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
    } else {
      q = projection(x, 0, "attention.q_proj", a.heads, a.k_elements);
    }
    const Value k = projection(x, 1, "attention.k_proj", a.kv_heads, a.k_elements, by_.keys);
    const Value v = projection(x, 2, "attention.v_proj", a.kv_heads, a.v_elements);
    norm_heads(q, "attention.q_norm", a.heads);
    norm_heads(k, "attention.k_norm", a.kv_heads);
    if (turns(config_, forward_, layer_, number_)) turn(q, k);
    op::Attend attend(q, k, v, prefix_ + cache_label(layer_.span.kind), op::AttendSizes{a.heads, a.kv_heads, a.k_elements, a.v_elements});
    if (layer_.span.kind == KvKind::kWindow) attend.window(layer_.span.tokens);
    if (layer_.span.kind == KvKind::kChunk) attend.chunk(layer_.span.tokens);
    if (by_.scores > 0) attend.scale(by_.scores);
    if (!forward_.score_elements.empty()) attend.scale(1 / std::sqrt(positive(forward_.score_elements)));
    if (!forward_.score_cap.empty()) attend.soft_cap(config_.find_f64(forward_.score_cap).value_or(0));
    if (!model_.dialect.sinks.empty()) attend.sinks(prefix_ + "attention.sinks");
    const Value context = out_.make(Bytes(a.heads) * a.v_elements, a.heads, attend);
    if (model_.gated_queries) out_.set(context, op::Gate(gate, context, plimsoll::Activation::kSigmoid));
    op::Linear o(context, prefix_ + "attention.o_proj");
    return o.bias(bias(model_.o_bias, prefix_ + "attention.o_proj")).scale(by_.context).reduce();
  }

  void turn(Value q, Value k) const {
    const Attention& a = layer_.attention;
    const plimsoll::RopeFrequencies frequencies = rope_of(config_, forward_, layer_);
    const plimsoll::RopeTable table = out_.table(frequencies);
    const auto turn_by = [&](auto op, Value x, std::uint64_t heads) {
      out_.set(x, op.columns(heads, a.k_elements, 0, frequencies.columns()));
    };
    if (const auto sections = sections_of(config_, forward_, frequencies.columns() / 2)) {
      turn_by(op::RopeSections(q, table, *sections), q, a.heads);
      turn_by(op::RopeSections(k, table, *sections), k, a.kv_heads);
    } else {
      turn_by(op::Rope(q, table).interleaved(forward_.neighbours), q, a.heads);
      turn_by(op::Rope(k, table).interleaved(forward_.neighbours), k, a.kv_heads);
    }
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
  out.set(rows, residual_norm(model, forward, rows, "final_norm", epsilon_of(config, forward)));
  describe_logits(config, model, forward, rows, part.out, out);
}

// The row of the model's type, where tensors are of a kind that it stands for.
const Forward& known_forward(const Config& config, const Model& model) {
  const Forward& forward = forward_of(config);
  if ((model.dialect.norm_bias && !forward.mean) || !model.extras.empty()) plimsoll::no_pipeline("/model_type", "for tensors of this kind");
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
    const Written written{model.draft, part.layer, "draft."};
    if (part.is_ffn()) return describe_ffn(config, model, forward, written, part, out);
    LayerWriter(config, model, forward, written, part, out).write();
  }
}

} // namespace dense
