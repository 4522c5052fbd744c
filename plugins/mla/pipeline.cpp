// Ops from a Shape: see pipeline.hpp. Sources: the classes of DeepSeek V2 and V3 in the transformers library, DeepSeek's
// own modeling code, llama.cpp's deepseek2.
//
// Worked example, DeepSeek-V3: scores are over the root of 128 + 64 elements, times the square of 0.1 ln 40 + 1 = 1.368888 (yarn with
// mscale_all_dim 1): 0.0721688 x 1.873854 = 0.1352338.
#include "pipeline.hpp"

#include <algorithm>
#include <cmath>
#include <string>

namespace mla {
namespace {

using plimsoll::Bytes;
using plimsoll::Config;
using plimsoll::Error;
using plimsoll::Pipeline;
using plimsoll::PipelinePart;
using plimsoll::RopeFrequencies;
using plimsoll::RopeKeys;
using plimsoll::Rows;
using plimsoll::Value;
namespace op = plimsoll::op;

constexpr double kInnerEpsilon = 1e-6; // of the norms on latent vectors: the classes leave rms_norm_eps aside

void check_known(const Config& config, const Shape& s) {
  const std::string_view type = config.model_type();
  if (type != "deepseek_v2" && type != "deepseek_v3" && type != "kimi_k2" && type != "kimi_linear")
    plimsoll::no_pipeline("/model_type", "for model_type " + std::string(type.substr(0, 60)));
  if (s.attentions_per_layer != 1 || s.indexer.heads != 0 || s.gates_per_head != 0)
    plimsoll::no_pipeline("", "for a latent attention with an indexer, an output gate or a twin");
}

double epsilon_of(const Config& config) { return config.find_f64("/rms_norm_eps").value_or(0); }

class LayerWriter {
public:
  // `prefix`: of labels; those of the layer that drafts have one.
  LayerWriter(const Config& config, const Shape& shape, Value residual, const Pipeline& out, std::string prefix = {})
      : config_(config), s_(shape), residual_(residual), out_(out), prefix_(std::move(prefix)) {}

  // The attention by itself, for a layer that another family writes.
  void write_attention(Value x) const { out_.set(residual_, projected(x)); }

  void write() const {
    out_.add(residual_, projected(normed("input_norm")));
    const Value y = out_.value(s_.hidden);
    out_.ffn(normed("post_attention_norm"), y);
    out_.add(residual_, op::Add(y));
  }

private:
  op::Linear projected(Value x) const {
    op::Linear o(attention(x), prefix_ + "attention.o_proj");
    return biased(o, "attention.o_proj").reduce();
  }
  Value normed(const char* label) const { return out_.make(s_.hidden, 0, op::Norm(residual_, prefix_ + label, epsilon_of(config_))); }
  op::Linear& biased(op::Linear& linear, const std::string& label) const {
    if (s_.bias) linear.bias(prefix_ + label + ".bias");
    return linear;
  }

  Value queries(Value x) const {
    const Bytes width = Bytes(s_.heads) * (Bytes(s_.nope_elements) + s_.rope_elements);
    if (s_.q_rank == 0) return out_.make(width, s_.heads, op::Linear(x, prefix_ + "attention.q_proj"));
    op::Linear down(x, prefix_ + "attention.q_a_proj");
    const Value c = out_.make(s_.q_rank, 0, biased(down, "attention.q_a_proj"));
    out_.set(c, op::Norm(c, prefix_ + "attention.q_a_norm", kInnerEpsilon));
    return out_.make(width, s_.heads, op::Linear(c, prefix_ + "attention.q_b_proj"));
  }

  // The vector that is cached, and behind it the key that turns, one for all heads.
  Value latent(Value x) const {
    op::Linear down(x, prefix_ + "attention.kv_a_proj");
    const Value c = out_.make(s_.latent_elements(), 0, biased(down, "attention.kv_a_proj"));
    out_.set(c, op::Norm(c, prefix_ + "attention.kv_a_norm", kInnerEpsilon).columns(1, s_.latent_elements(), 0, s_.kv_rank));
    return c;
  }

  Value attention(Value x) const {
    const Value q = queries(x), c = latent(x);
    const auto attend = [&](double scale) {
      op::AttendLatent op(q, c, prefix_ + "attention.kv_b_proj", prefix_ + "latent",
                          op::LatentSizes{s_.heads, s_.kv_rank, s_.nope_elements, s_.rope_elements, s_.v_elements});
      return out_.make(Bytes(s_.heads) * s_.v_elements, s_.heads, op.scale(scale));
    };
    if (config_.boolean("/mla_use_nope", false)) return attend(usual_scale()); // recurrent layers tell positions apart
    const RopeKeys keys(config_);
    if (keys.columns(s_.rope_elements) != s_.rope_elements)
      plimsoll::no_pipeline("/partial_rotary_factor", "for a latent attention with this key");
    plimsoll::RopeFrequencies frequencies = keys.frequencies(s_.rope_elements);
    if (yarn_of_gguf(keys)) frequencies.attention_factor = 1;
    const plimsoll::RopeTable table = out_.table(frequencies);
    const bool neighbours = config_.boolean("/rope_interleave", true);
    const std::uint64_t head = s_.nope_elements + s_.rope_elements;
    out_.set(q, op::Rope(q, table).columns(s_.heads, head, s_.nope_elements, s_.rope_elements).interleaved(neighbours));
    out_.set(c, op::Rope(c, table).columns(1, s_.latent_elements(), s_.kv_rank, s_.rope_elements).interleaved(neighbours));
    return attend(score_scale(keys));
  }

  // GGUF files keep a tenth of one magnitude of yarn, which is that of scores and of turned columns alike, so that these cancel out.
  bool yarn_of_gguf(const RopeKeys& keys) const {
    return keys.type() == "yarn" && config_.str("/quantization_config/quant_method", "") == "gguf" &&
           !config_.has("/rope_scaling/mscale_all_dim");
  }
  double magnitude_of_all(const RopeKeys& keys) const {
    if (!yarn_of_gguf(keys)) return keys.number("mscale_all_dim");
    const auto tenth = config_.find_f64("/yarn_log_multiplier");
    if (!tenth)
      plimsoll::no_pipeline("/rope_scaling/mscale_all_dim", "for a GGUF file whose configuration does not say how yarn scales attention");
    return 10 * *tenth;
  }

  double usual_scale() const { return 1 / std::sqrt(static_cast<double>(s_.nope_elements) + static_cast<double>(s_.rope_elements)); }
  double score_scale(const RopeKeys& keys) const {
    const double usual = usual_scale();
    const double all = keys.type() == "yarn" ? magnitude_of_all(keys) : 0;
    if (all == 0) return usual;
    const double magnitude = plimsoll::rope::yarn_magnitude(keys.number("factor"), all);
    return usual * magnitude * magnitude;
  }

  const Config& config_;
  const Shape& s_;
  Value residual_;
  const Pipeline& out_;
  const std::string prefix_;
};

} // namespace

// The model's last norm stands before what the head takes of it; what the head gives is handed on before its own last norm.
void describe_draft(const Config& config, const Shape& s, const PipelinePart& part, const Pipeline& out) {
  check_known(config, s);
  if (s.draft_naming != DraftNaming::kLayers) plimsoll::no_pipeline("/mtp_names", "for layers that draft of a module of their own");
  const double epsilon = epsilon_of(config);
  if (part.is_handover() && part.layer == PLIMSOLL_NO_LAYER) {
    out.set(part.out, op::Norm(part.in, "final_norm", epsilon));
  } else if (part.is_embedding()) {
    const Value token = out.make(s.hidden, 0, op::Embed("embedding").reduce());
    out.set(token, op::Norm(token, "draft.embedding_norm", epsilon));
    const Value before = out.make(s.hidden, 0, op::Norm(part.in, "draft.hidden_norm", epsilon));
    const Value both = out.make(Bytes(2) * s.hidden, 0, op::Join(token, before).blank_first());
    out.set(part.out, op::Linear(both, "draft.join_proj"));
  } else if (part.is_handover()) {
    out.set(part.out, op::Add(part.in));
  } else if (part.is_head()) {
    const Value rows = out.value(s.hidden, 0, Rows::kOutputs);
    out.set(rows, op::LastRows(part.in));
    out.set(rows, op::Norm(rows, "draft.final_norm", epsilon));
    out.set(part.out, op::Linear(rows, s.tied ? "embedding" : "head"));
  } else {
    LayerWriter(config, s, part.out, out, "draft.").write();
  }
}

void describe(const Config& config, const Shape& s, const PipelinePart& part, const Pipeline& out) {
  check_known(config, s);
  if (part.is_embedding()) {
    out.set(part.out, op::Embed("embedding").reduce());
  } else if (part.is_head()) {
    const Value rows = out.value(s.hidden, 0, Rows::kOutputs);
    out.set(rows, op::LastRows(part.in));
    out.set(rows, op::Norm(rows, "final_norm", epsilon_of(config)));
    out.set(part.out, op::Linear(rows, s.tied ? "embedding" : "head"));
  } else {
    if (std::find(s.layers.begin(), s.layers.end(), part.layer) == s.layers.end())
      throw Error(PLIMSOLL_E_INTERNAL, "", "was asked for a layer that the model does not have");
    const LayerWriter writer(config, s, part.out, out);
    if (part.is_attention()) writer.write_attention(part.in);
    else writer.write();
  }
}

} // namespace mla
