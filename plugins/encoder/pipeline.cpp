// See pipeline.hpp. Worked example, bge-base-en-v1.5: 4 ops of the embedding (words, types, positions, a norm); of each layer q, k, v,
// attention and its projection, two sums and two norms, and 3 ops of the FFN; the first row of each text: 4 + 12 x 11 + 1.
#include "pipeline.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace encoder {

using plimsoll::Activation;
using plimsoll::Bytes;
using plimsoll::Config;
using plimsoll::Error;
using plimsoll::Pipeline;
using plimsoll::PipelinePart;
using plimsoll::Pooling;
using plimsoll::Value;
namespace op = plimsoll::op;

namespace {

// What a kind computes beside what its row says.
struct Kind {
  std::string_view model_type;
  bool norm_first; // before attention and FFN; else behind their sums
  std::string_view activation, epsilon;
  double usual_epsilon; // of its class
  Pooling pooling;
};
constexpr std::array<Kind, 5> kKinds{{{"bert", false, "/hidden_act", "/layer_norm_eps", 1e-12, Pooling::kFirst},
                                      {"contriever", false, "/hidden_act", "/layer_norm_eps", 1e-12, Pooling::kMean},
                                      {"roberta", false, "/hidden_act", "/layer_norm_eps", 1e-12, Pooling::kFirst},
                                      {"distilbert", false, "/activation", "/layer_norm_eps", 1e-12, Pooling::kFirst},
                                      {"modernbert", true, "/hidden_activation", "/norm_eps", 1e-5, Pooling::kFirst}}};

const Kind& kind_of(const Model& m) {
  for (const Kind& kind : kKinds)
    if (kind.model_type == m.row.model_type) return kind;
  plimsoll::no_pipeline("/model_type", "for an encoder of the kind '" + std::string(m.row.model_type) + "'");
}

Activation activation_of(const Config& config, const Kind& kind) {
  static constexpr std::array<std::pair<std::string_view, Activation>, 8> kNames{{{"gelu", Activation::kGelu},
                                                                                  {"gelu_python", Activation::kGelu},
                                                                                  {"gelu_new", Activation::kGeluTanh},
                                                                                  {"gelu_fast", Activation::kGeluTanh},
                                                                                  {"gelu_pytorch_tanh", Activation::kGeluTanh},
                                                                                  {"relu", Activation::kRelu},
                                                                                  {"silu", Activation::kSilu},
                                                                                  {"swish", Activation::kSilu}}};
  const std::string_view name = config.str(kind.activation, "gelu");
  for (const auto& [known, activation] : kNames)
    if (name == known) return activation;
  plimsoll::no_pipeline(std::string(kind.activation), "with the activation '" + std::string(name.substr(0, 40)) + "'");
}

std::string stored(std::string_view a, std::string_view b) { return std::string(a).append(b); }

// One part of one model. Labels are those of weights.cpp.
class Writer {
public:
  Writer(const Config& config, const Model& model, const PipelinePart& part, const Pipeline& out)
      : config_(config), m_(model), kind_(kind_of(model)), part_(part), out_(out),
        epsilon_(config.find_f64(kind_.epsilon).value_or(kind_.usual_epsilon)) {
    if (m_.ending != Ending::kModel || m_.token_elements != 0)
      plimsoll::no_pipeline("/architectures/0",
                            "for the class " + std::string(m_.architecture.substr(0, 100)) + ", which gives no vectors of texts");
    if (config.boolean("/is_decoder", false)) plimsoll::no_pipeline("/is_decoder", "for an encoder that is made a decoder");
    if (!m_.extras.empty() || m_.stored != ".weight" || m_.word_elements != m_.hidden)
      plimsoll::no_pipeline("/model_type", "for tensors of this kind");
  }

  void embedding() const {
    out_.set(part_.out, op::Embed(stored(m_.names.words, ".weight")).reduce());
    if (m_.types > 0) out_.add(part_.out, op::EmbedPosition(stored(m_.names.types, ".weight")).same());
    if (m_.positions > 0) out_.add(part_.out, op::EmbedPosition(stored(m_.names.positions, ".weight"), first_position()));
    out_.set(part_.out, norm(part_.out, m_.names.embedding_norm));
  }

  void layer() const {
    const Value x = part_.out;
    const bool normed = is_in(m_.normed_layers);
    const Value read = kind_.norm_first && normed ? out_.make(m_.hidden, 0, norm(x, m_.names.attention_norm)) : x;
    if (kind_.norm_first) out_.add(x, attention(read));
    else {
      const Value y = out_.make(m_.hidden, 0, attention(read));
      out_.add(x, op::Add(y));
      out_.set(x, norm(x, m_.names.attention_norm));
    }
    const Value y = out_.value(m_.hidden);
    out_.ffn(kind_.norm_first ? out_.make(m_.hidden, 0, norm(x, m_.names.ffn_norm)) : x, y);
    out_.add(x, op::Add(y));
    if (!kind_.norm_first) out_.set(x, norm(x, m_.names.ffn_norm));
  }

  void ffn() const {
    const Activation act = activation_of(config_, kind_);
    const std::string up = stored(m_.names.gate_up.empty() ? m_.names.up : m_.names.gate_up, ".weight");
    const auto into = [&](std::optional<std::uint32_t> of) {
      op::Linear linear(part_.in, up);
      linear.bias(bias(m_.up_bias, up));
      if (of) linear.part(*of);
      return out_.make(m_.ffn_width, m_.ffn_width, linear);
    };
    Value a;
    if (m_.names.gate_up.empty()) {
      a = into(std::nullopt);
      out_.set(a, op::Gate(a, act));
    } else {
      a = into(0);
      const Value b = into(1);
      out_.set(a, op::Gate(a, b, act));
    }
    const std::string down = stored(m_.names.down, ".weight");
    out_.set(part_.out, op::Linear(a, down).bias(bias(m_.down_bias, down)).reduce());
  }

  void head() const {
    Value x = part_.in;
    if (!m_.names.final_norm.empty()) {
      const std::string label = m_.prefix + std::string(m_.names.final_norm);
      x = out_.make(m_.hidden, 0, op::Norm(x, label, epsilon_).mean().bias(bias(m_.norm_bias, label)));
    }
    out_.set(part_.out, op::Pool(x, kind_.pooling));
  }

private:
  static std::string bias(bool has, std::string_view of) { return has ? stored(of, ".bias") : std::string(); }
  bool is_in(const Layers& layers) const {
    for (const std::uint32_t layer : layers)
      if (layer == part_.layer) return true;
    return false;
  }

  // Positions are counted from the one behind the padding token's in RoBERTa.
  std::uint64_t first_position() const {
    return m_.row.positions_behind_padding ? (Bytes(config_.u64("/pad_token_id", 1)) + 1).value() : 0;
  }

  op::Norm norm(Value x, std::string_view name) const {
    const std::string label = stored(name, ".weight");
    op::Norm made(x, label, epsilon_);
    return made.mean().bias(bias(m_.norm_bias, label));
  }

  // Queries, keys or values: a linear layer of their own, or a part of the fused one.
  Value projection(Value x, std::uint32_t part, std::string_view name, std::uint64_t heads) const {
    const bool fused = !m_.names.qkv.empty();
    const std::string label = stored(fused ? m_.names.qkv : name, ".weight");
    op::Linear linear(x, label);
    linear.bias(bias(m_.qkv_bias, label));
    if (fused) linear.part(part);
    return out_.make(Bytes(heads) * m_.head_elements, heads, linear);
  }

  op::Linear attention(Value x) const {
    const Value q = projection(x, 0, m_.names.q, m_.heads), k = projection(x, 1, m_.names.k, m_.kv_heads),
                v = projection(x, 2, m_.names.v, m_.kv_heads);
    op::AttendWhole attend(q, k, v, {m_.heads, m_.kv_heads, m_.head_elements, m_.head_elements});
    if (m_.names.positions.empty()) {
      const bool local = is_local();
      const plimsoll::RopeTable table = out_.table(plimsoll::rope::plain(theta(local), m_.head_elements));
      out_.set(q, op::Rope(q, table).columns(m_.heads, m_.head_elements, 0, m_.head_elements));
      out_.set(k, op::Rope(k, table).columns(m_.kv_heads, m_.head_elements, 0, m_.head_elements));
      if (local) attend.window(config_.positive("/local_attention"));
    }
    const Value context = out_.make(Bytes(m_.heads) * m_.head_elements, m_.heads, attend);
    const std::string label = stored(m_.names.o, ".weight");
    return op::Linear(context, label).bias(bias(m_.o_bias, label)).reduce();
  }

  // ModernBERT: every so many layers look at the whole text, the others around themselves.
  bool is_local() const {
    const std::string_view type = config_.str("/layer_types/" + std::to_string(part_.layer), "");
    if (!type.empty()) return type == "sliding_attention";
    return part_.layer % std::max<std::uint64_t>(config_.u64("/global_attn_every_n_layers", 3), 1) != 0;
  }
  double theta(bool local) const {
    const std::string newer = local ? "/rope_parameters/sliding_attention" : "/rope_parameters/full_attention";
    if (config_.str(newer + "/rope_type", "default") != "default") plimsoll::no_pipeline(newer + "/rope_type", "with these frequencies");
    const std::string older = local ? "/local_rope_theta" : "/global_rope_theta";
    const std::optional<double> given = config_.find_f64(newer + "/rope_theta"), before = config_.find_f64(older);
    const double theta = given ? *given : before.value_or(local ? 10000 : 160000);
    if (!(theta > 1)) throw Error(PLIMSOLL_E_CONFIG, older, "is not above 1; frequencies are powers of it");
    return theta;
  }

  const Config& config_;
  const Model& m_;
  const Kind& kind_;
  const PipelinePart& part_;
  const Pipeline& out_;
  double epsilon_;
};

} // namespace

void describe(const Config& config, const Model& model, const PipelinePart& part, const Pipeline& out) {
  const Writer writer(config, model, part, out);
  if (part.is_embedding()) writer.embedding();
  else if (part.is_head()) writer.head();
  else if (part.layer >= model.layers.size()) throw Error(PLIMSOLL_E_INTERNAL, "", "was asked for a layer that the model does not have");
  else if (part.is_ffn()) writer.ffn();
  else writer.layer();
}

} // namespace encoder
