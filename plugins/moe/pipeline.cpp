// How models route, and the ops of their FFNs. Labels are those of ffn.cpp. The rows were read in the model's class of the transformers
// library (its modeling file), DeepSeek's in its own modeling code too.
//
// Worked example, a sparse layer of DeepSeek-V3: one op routes, one is the 8 of 256 experts, the shared expert is two linear layers, a
// gate and one more onto the same value: 6 ops.
#include "pipeline.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <optional>
#include <string>
#include <utility>

namespace moe {
namespace {

using plimsoll::Activation;
using plimsoll::Config;
using plimsoll::Error;
using plimsoll::GroupWorth;
using plimsoll::Pipeline;
using plimsoll::PipelinePart;
using plimsoll::Score;
using plimsoll::Value;
namespace op = plimsoll::op;

// When the weights of the chosen are made to add up to 1.
enum class Renormalise : std::uint8_t { kNever, kAlways, kByKey };

struct Routing {
  std::string_view model_type;
  Score score = Score::kSoftmax;
  Renormalise renormalise = Renormalise::kByKey; // norm_topk_prob
  bool scaled = false;                           // by routed_scaling_factor
  bool grouped = false;                          // n_group, topk_group
  GroupWorth worth = GroupWorth::kBest;
  bool clamped = false;              // gpt-oss's activation, gate and up alternating
  bool beside = false;               // Gemma 4: experts beside a dense FFN, each between norms of its own
  bool weighs_inputs = false;        // weights multiply what experts read
  bool correction_by_choice = false; // scores by sigmoid may go without a correction
  const char *renormalise_key = "/norm_topk_prob", *groups_key = "/n_group", *score_key = "/scoring_func";
  const char *activation = "/hidden_act", *activation_otherwise = "silu";
};

// clang-format off
constexpr Routing kRoutings[] = {
  // A softmax over all experts whose chosen weights add up to 1 is one over the chosen.
  {.model_type = "mixtral", .score = Score::kSoftmaxChosen, .renormalise = Renormalise::kNever},
  {.model_type = "qwen2_moe"},
  {.model_type = "qwen3_moe"},
  {.model_type = "qwen3_next"},
  {.model_type = "qwen3_5_moe_text", .renormalise = Renormalise::kAlways},
  {.model_type = "qwen3_vl_moe_text", .renormalise = Renormalise::kAlways},
  {.model_type = "minimax_m2", .score = Score::kSigmoid, .renormalise = Renormalise::kAlways},
  {.model_type = "olmoe"},
  {.model_type = "gemma4_text", .renormalise = Renormalise::kAlways, .beside = true, .activation = "/hidden_activation", .activation_otherwise = "gelu_pytorch_tanh"},
  {.model_type = "llama4_text", .score = Score::kSigmoidChosen, .renormalise = Renormalise::kNever, .weighs_inputs = true},
  {.model_type = "granitemoe", .score = Score::kSoftmaxChosen, .renormalise = Renormalise::kNever},
  {.model_type = "granitemoeshared", .score = Score::kSoftmaxChosen, .renormalise = Renormalise::kNever},
  {.model_type = "granitemoehybrid", .score = Score::kSoftmaxChosen, .renormalise = Renormalise::kNever},
  {.model_type = "jamba", .renormalise = Renormalise::kNever},
  {.model_type = "lfm2_moe", .score = Score::kSigmoid, .scaled = true, .correction_by_choice = true},
  {.model_type = "nemotron_h", .score = Score::kSigmoid, .scaled = true, .grouped = true, .worth = GroupWorth::kBestTwo, .activation = "/mlp_hidden_act", .activation_otherwise = "relu2"},
  {.model_type = "kimi_linear", .score = Score::kSigmoid, .scaled = true, .grouped = true, .worth = GroupWorth::kBestTwo, .renormalise_key = "/moe_renormalize", .groups_key = "/num_expert_group", .score_key = "/moe_router_activation_func"},
  {.model_type = "gpt_oss", .score = Score::kSoftmaxChosen, .renormalise = Renormalise::kNever, .clamped = true},
  {.model_type = "deepseek_v2", .scaled = true, .grouped = true},
  {.model_type = "deepseek_v3", .score = Score::kSigmoid, .scaled = true, .grouped = true, .worth = GroupWorth::kBestTwo},
  {.model_type = "kimi_k2", .score = Score::kSigmoid, .scaled = true, .grouped = true, .worth = GroupWorth::kBestTwo},
  {.model_type = "glm4_moe", .score = Score::kSigmoid, .scaled = true, .grouped = true, .worth = GroupWorth::kBestTwo},
};
// clang-format on

const Routing& routing_of(const Config& config) {
  const std::string_view model_type = config.model_type();
  const auto* row = std::find_if(std::begin(kRoutings), std::end(kRoutings), [&](const Routing& r) { return r.model_type == model_type; });
  if (row == std::end(kRoutings))
    plimsoll::no_pipeline("/model_type", "for the experts of model_type " + std::string(model_type.substr(0, 60)));
  return *row;
}

Activation activation_of(const Config& config, const Routing& routing) {
  const std::string_view name = config.str(routing.activation, routing.activation_otherwise);
  if (name == "silu" || name == "swish") return Activation::kSilu;
  if (name == "gelu_pytorch_tanh") return Activation::kGeluTanh;
  if (name == "relu2") return Activation::kReluSquared;
  plimsoll::no_pipeline(routing.activation, "with the activation " + std::string(name.substr(0, 60)));
}

double positive(const Config& config, std::string_view pointer) {
  const double value = config.find_f64(pointer).value_or(0);
  if (value > 0) return value;
  throw Error(PLIMSOLL_E_CONFIG, std::string(pointer), "is missing or not above 0; the FFN needs it");
}

bool lists(const std::vector<std::uint32_t>& layers, std::uint32_t layer) {
  return std::binary_search(layers.begin(), layers.end(), layer);
}

class FfnWriter {
public:
  // `prefix`: of labels; those of layers that draft have one.
  FfnWriter(const Config& config, const Shape& shape, const PipelinePart& part, const Pipeline& out, std::string prefix = {})
      : config_(config), shape_(shape), routing_(routing_of(config)), part_(part), out_(out), act_(activation_of(config, routing_)),
        prefix_(std::move(prefix)) {}

  // gate and up, both in one tensor, or up alone; down onto `to`.
  void ffn(Value from, const Projections& names, const std::string& of, std::uint64_t width, Value to, bool add) const {
    const std::string label = prefix_ + of;
    const bool fused = names.up.empty();
    const auto into = [&](const char* name, std::uint32_t part) {
      op::Linear linear(from, label + (fused ? ".gate_up_proj" : name));
      if (fused) linear.part(part);
      return out_.make(width, width, linear);
    };
    const Value inner = into(names.gate.empty() ? ".up_proj" : ".gate_proj", 0);
    if (names.gate.empty()) out_.set(inner, op::Gate(inner, act_));
    else out_.set(inner, op::Gate(inner, into(".up_proj", 1), act_));
    const op::Linear down = op::Linear(inner, label + ".down_proj").reduce();
    if (add) out_.add(to, down);
    else out_.set(to, down);
  }

  void sparse() const {
    const Names& names = *shape_.names;
    if (routing_.beside) return beside();
    const bool plain = shape_.zero_experts == 0 && !shape_.latent_norm && shape_.seen_experts == 0 && names.router_scales[0].empty() &&
                       names.hash_table.empty() && names.dense_per_layer == 0;
    if (!plain) plimsoll::no_pipeline("/ffn_names", "for experts of this kind");
    const Value routes = out_.make(2 * shape_.experts_per_token, 0, route(part_.in));
    routed(routes);
    if (shape_.shared_width == 0) return;
    if (names.shared_gate.empty()) return ffn(part_.in, names.shared, "shared_experts", shape_.shared_width, part_.out, true);
    const Value shared = out_.value(shape_.hidden), gate = out_.value(1);
    ffn(part_.in, names.shared, "shared_experts", shape_.shared_width, shared, false);
    out_.set(gate, op::Linear(part_.in, prefix_ + "shared_experts.gate"));
    out_.add(part_.out, op::ScaleRows(shared, gate, Activation::kSigmoid));
  }

private:
  // Experts and a dense FFN read the residual stream, through norms that are declared with the attention's.
  void beside() const {
    if (!lists(shape_.dense_layers, part_.layer)) plimsoll::no_pipeline("/residual_moe", "for experts without a dense FFN beside them");
    const Value x = normed(part_.in, "pre_feedforward_layernorm");
    ffn(x, shape_.names->dense, "mlp", shape_.dense_width, part_.out, false);
    out_.set(part_.out, norm(part_.out, "post_feedforward_layernorm_1"));
    const Value scored = normed(part_.in, "");
    out_.set(scored, op::Multiply(scored, "router.scale", 1 / std::sqrt(static_cast<double>(shape_.hidden))));
    const Value routes = out_.make(2 * shape_.experts_per_token, 0, route(scored).gains("router.expert_scale"));
    const Value y = out_.make(shape_.hidden, 0, experts(normed(part_.in, "pre_feedforward_layernorm_2"), routes).reduce());
    out_.add(part_.out, op::Add(normed(y, "post_feedforward_layernorm_2")));
  }
  op::Norm norm(Value x, const char* label) const { return op::Norm(x, label, positive(config_, "/rms_norm_eps")); }
  Value normed(Value x, const char* label) const { return out_.make(shape_.hidden, 0, norm(x, label)); }

  // The chosen experts, in the model's width or in one of their own.
  void routed(Value routes) const {
    if (shape_.expert_hidden == shape_.hidden) return out_.set(part_.out, experts(part_.in, routes).reduce());
    const Value in = out_.make(shape_.expert_hidden, 0, op::Linear(part_.in, prefix_ + "experts.latent_in_proj"));
    const Value latent = out_.make(shape_.expert_hidden, 0, experts(in, routes).reduce());
    out_.set(part_.out, op::Linear(latent, prefix_ + "experts.latent_out_proj"));
  }

  op::Route route(Value x) const {
    const Routing& routing = routing_;
    const bool sigmoid = routing.score == Score::kSigmoid;
    if (const auto stated = config_.find_str(routing.score_key); stated && *stated != (sigmoid ? "sigmoid" : "softmax"))
      plimsoll::no_pipeline(routing.score_key, "for experts that are scored by " + std::string(stated->substr(0, 60)));
    op::Route route(x, prefix_ + "router", shape_.experts, shape_.experts_per_token, routing.score);
    if (!shape_.names->router_bias.empty()) route.bias(prefix_ + "router.bias");
    if (shape_.correction && !shape_.names->correction.empty()) route.correction(prefix_ + "router.correction_bias");
    else if (sigmoid && !routing.correction_by_choice) plimsoll::no_pipeline("/topk_method", "for scores by sigmoid without a correction");
    const bool normed = routing.renormalise == Renormalise::kAlways ||
                        (routing.renormalise == Renormalise::kByKey && config_.boolean(routing.renormalise_key, false));
    route.renormalise(normed);
    if (routing.scaled) route.scale(positive(config_, "/routed_scaling_factor"));
    // DeepSeek's own class then leaves the scale away, that of the transformers library the sum.
    if (routing.model_type == "deepseek_v2" && normed) plimsoll::no_pipeline("/norm_topk_prob", "for a deepseek_v2 with this key");
    if (const auto groups = groups_of()) route.groups(groups->first, groups->second, routing.worth);
    return route;
  }

  // How many groups there are and how many are kept; nothing where all take part.
  std::optional<std::pair<std::uint64_t, std::uint64_t>> groups_of() const {
    const Routing& routing = routing_;
    if (!routing.grouped) return std::nullopt;
    if (config_.u64("/gguf_expert_groups", 1) > 1)
      plimsoll::no_pipeline("/topk_method", "for a GGUF file, which does not say how groups of experts are chosen");
    const std::string_view method = config_.str("/topk_method", routing.score == Score::kSigmoid ? "noaux_tc" : "greedy");
    if (method == "greedy" && routing.score != Score::kSigmoid) return std::nullopt;
    if (method != (routing.score == Score::kSigmoid ? "noaux_tc" : "group_limited_greedy"))
      plimsoll::no_pipeline("/topk_method", "for experts that are chosen by " + std::string(method.substr(0, 60)));
    const std::uint64_t groups = config_.u64(routing.groups_key, 1), kept = config_.u64("/topk_group", 1);
    if (groups <= 1) return std::nullopt;
    plimsoll::check_divides(groups, shape_.experts, routing.groups_key);
    if (kept == 0 || kept > groups || kept * (shape_.experts / groups) < shape_.experts_per_token)
      throw Error(PLIMSOLL_E_CONFIG, "/topk_group", "groups of experts that hold enough of them were expected");
    if (routing.worth == GroupWorth::kBestTwo && shape_.experts / groups < 2)
      throw Error(PLIMSOLL_E_CONFIG, routing.groups_key, "groups of two experts and more were expected");
    return std::pair(groups, kept);
  }

  op::Experts experts(Value x, Value routes) const {
    const bool fused = shape_.names->experts.up.empty(), biased = !shape_.names->expert_bias.empty();
    const bool gated = !shape_.names->experts.gate.empty();
    const plimsoll::Pairing pairing = routing_.clamped ? plimsoll::Pairing::kAlternating : plimsoll::Pairing::kRows;
    const auto label = [&](const char* name) { return prefix_ + "experts." + name; };
    const std::string gate = gated ? label("gate_proj") : std::string();
    op::Experts experts = fused ? op::Experts(x, routes, label("gate_up_proj"), pairing, label("down_proj"))
                                : op::Experts(x, routes, gate, label("up_proj"), label("down_proj"));
    if (biased && fused) experts.biases(label("gate_up_proj.bias"), "", label("down_proj.bias"));
    if (biased && !fused) experts.biases(gated ? gate + ".bias" : gate, label("up_proj.bias"), label("down_proj.bias"));
    experts.sizes(shape_.experts, shape_.experts_per_token, shape_.expert_width, routing_.clamped ? Activation::kSwigluOai : act_);
    experts.weigh_inputs(routing_.weighs_inputs);
    if (routing_.clamped) experts.clamp(positive(config_, "/swiglu_limit"), positive(config_, "/swiglu_alpha"));
    return experts;
  }

  const Config& config_;
  const Shape& shape_;
  const Routing& routing_;
  const PipelinePart& part_;
  const Pipeline& out_;
  Activation act_;
  const std::string prefix_;
};

} // namespace

void describe_ffn(const Config& config, const Shape& shape, const PipelinePart& part, const Pipeline& out) {
  const FfnWriter writer(config, shape, part, out);
  if (lists(shape.sparse_layers, part.layer)) return writer.sparse();
  if (!lists(shape.dense_layers, part.layer)) throw Error(PLIMSOLL_E_INTERNAL, "", "was asked for a layer that the model does not have");
  if (shape.names->dense_per_layer != 0) plimsoll::no_pipeline("/ffn_names", "for several FFNs in one layer");
  writer.ffn(part.in, shape.names->dense, "mlp", shape.dense_width, part.out, false);
}

void describe_draft_ffn(const Config& config, const Shape& shape, const PipelinePart& part, const Pipeline& out) {
  if (!shape.draft_modules.empty()) plimsoll::no_pipeline("/ffn_names", "for layers that draft without experts");
  FfnWriter(config, shape, part, out, "draft.").sparse();
}

} // namespace moe
