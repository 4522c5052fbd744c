// Ops of hybrid models. Worked example, a layer of Granite-4-H with Mamba-2: norm; five linear layers (gate, x, b, c, steps), three
// convolutions, a scan, a gate, a norm and a linear layer; a sum; norm, the FFN (which the host asks for), its sum: 16 ops.
#include "pipeline.hpp"

#include <algorithm>

namespace hybrid {
namespace {

using plimsoll::Activation;
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

void describe_mixer(const Model& model, const PipelinePart& part, const Pipeline& out) {
  const auto own = std::find_if(model.mixers.begin(), model.mixers.end(), [&](const Mixer& m) { return holds(m.layers, part.layer); });
  if (own != model.mixers.end()) return own->describe(part, out);
  const Delegate* const attention = delegate_of(model, kAttention, part.layer);
  if (attention == nullptr) plimsoll::no_pipeline("", "for the mixer of layer " + std::to_string(part.layer));
  attention->child.describe({kAttention, part.layer, part.in, part.out}, out);
}

void describe_layer(const Model& model, const PipelinePart& part, const Pipeline& out) {
  const Frame& frame = *model.frame;
  const Config& config = model.config;
  const double epsilon = config.find_f64("/rms_norm_eps").value_or(0);
  const double by = frame.multiplier[0] == '\0' ? 1 : config.find_f64(frame.multiplier).value_or(1);
  const auto normed = [&](std::string_view label) {
    return out.make(model.hidden, 0, op::Norm(part.out, std::string(label), epsilon).plus_one(frame.plus_one));
  };
  const Value mixed = out.value(model.hidden);
  describe_mixer(model, {part.aspects, part.layer, normed(frame.mixer_norm), mixed}, out);
  out.add(part.out, op::Add(mixed, by));
  const Value y = out.value(model.hidden);
  out.ffn(normed(frame.ffn_norm), y);
  out.add(part.out, op::Add(y, by));
}

} // namespace

void describe(const Model& model, const PipelinePart& part, const Pipeline& out) {
  if (!model.frame) plimsoll::no_pipeline("/model_type", "for model_type " + std::string(model.config.model_type().substr(0, 60)));
  if (part.is_embedding() || part.is_head()) return model.delegates.front().child.describe(part, out);
  if (!part.is_ffn()) return describe_layer(model, part, out);
  const Delegate* const ffn = delegate_of(model, kFfn, part.layer);
  if (ffn == nullptr) plimsoll::no_pipeline("", "for the FFN of layer " + std::to_string(part.layer));
  ffn->child.describe(part, out);
}

// Where in_proj is fused the rows of one key head follow one another: its query, its key, the values and the gates that belong to it; of
// the other one what is written and what decays. States: q, k and v before their convolution, then the recurrence.
void describe_delta_net(const DeltaNet& m, const std::string& label, const PipelinePart& part, const Pipeline& out) {
  constexpr double kLengthEpsilon = 1e-6; // of queries and keys, in every implementation
  const std::uint64_t shared = m.value_heads / m.key_heads, of_head = shared * m.value_elements;
  const std::uint64_t keys = m.key_heads * m.key_elements, values = m.value_heads * m.value_elements;
  const auto projected = [&](const char* name, std::uint64_t width, std::uint64_t units) {
    return out.make(width, units, op::Linear(part.in, label + name));
  };
  Value q, k, v, gate, decay, write;
  if (m.projections == DeltaProjections::kFused) {
    const std::uint64_t row = 2 * m.key_elements + 2 * of_head;
    const Value qkvz = projected("in_proj_qkvz", m.key_heads * row, m.key_heads);
    const Value ba = projected("in_proj_ba", 2 * m.value_heads, m.key_heads);
    const auto columns = [&](Value of, std::uint64_t stride, std::uint64_t first, std::uint64_t n) {
      return out.make(m.key_heads * n, m.key_heads, op::Columns(of, m.key_heads, stride, first, n));
    };
    q = columns(qkvz, row, 0, m.key_elements);
    k = columns(qkvz, row, m.key_elements, m.key_elements);
    v = columns(qkvz, row, 2 * m.key_elements, of_head);
    gate = columns(qkvz, row, 2 * m.key_elements + of_head, of_head);
    write = columns(ba, 2 * shared, 0, shared);
    decay = columns(ba, 2 * shared, shared, shared);
  } else {
    const auto part_of = [&](std::uint32_t of, std::uint64_t width, std::uint64_t units) {
      return out.make(width, units, op::Linear(part.in, label + "in_proj_qkv").part(of));
    };
    q = part_of(0, keys, m.key_heads);
    k = part_of(1, keys, m.key_heads);
    v = part_of(2, values, m.value_heads);
    gate = projected("in_proj_z", values, m.value_heads);
    write = projected("in_proj_b", m.value_heads, m.value_heads);
    decay = projected("in_proj_a", m.value_heads, m.value_heads);
  }
  const auto convolved = [&](Value x, std::uint32_t of, std::uint64_t first_channel) {
    out.set(x, op::Conv(x, label + "conv1d", m.kernel, "state", 0).part(of, first_channel).act(Activation::kSilu));
  };
  convolved(q, 0, 0);
  convolved(k, 1, keys);
  convolved(v, 2, 2 * keys);
  const op::DeltaSizes sizes{m.value_heads, m.key_heads, m.key_elements, m.value_elements};
  const op::DeltaRule rule(q, k, v, decay, write, label + "A_log", "state", 1, sizes, kLengthEpsilon);
  const Value y = out.make(values, m.value_heads, op::DeltaRule(rule).dt_bias(label + "dt_bias"));
  out.set(y, op::Norm(y, label + "norm", *m.epsilon).heads(m.value_heads, m.value_elements));
  out.set(y, op::Gate(gate, y, Activation::kSilu));
  out.set(part.out, op::Linear(y, label + "out_proj").reduce());
}

// Parts of in_proj: gate, x, b, c, steps; of the convolution: x, b, c. States: x, then b and c, then the recurrence.
void describe_mamba2(const Mamba2& m, const std::string& label, const PipelinePart& part, const Pipeline& out) {
  constexpr std::uint32_t kGate = 0, kX = 1, kB = 2, kC = 3, kSteps = 4;
  const std::uint64_t group = (Bytes(m.groups) * m.state).value();
  const auto biased = [&](bool has, const std::string& of) { return has ? of + ".bias" : std::string(); };
  const std::string in_proj = label + "in_proj", conv1d = label + "conv1d", out_proj = label + "out_proj";
  const auto projected = [&](std::uint32_t of, std::uint64_t width, std::uint64_t units) {
    return out.make(width, units, op::Linear(part.in, in_proj).part(of).bias(biased(m.proj_bias, in_proj)));
  };
  const auto convolved = [&](Value x, std::uint32_t of, std::uint64_t region, std::uint64_t first_channel) {
    out.set(
        x, op::Conv(x, conv1d, m.kernel, "state", region).part(of, first_channel).bias(biased(m.conv_bias, conv1d)).act(Activation::kSilu));
  };
  const Value gate = projected(kGate, m.inner, m.heads), x = projected(kX, m.inner, m.heads);
  const Value b = projected(kB, group, m.groups), c = projected(kC, group, m.groups), steps = projected(kSteps, m.heads, m.heads);
  convolved(x, 0, 0, 0);
  convolved(b, 1, 1, 0);
  convolved(c, 2, 1, group);
  const op::ScanSizes sizes{m.heads, m.inner / m.heads, m.state, m.groups};
  const Value y = out.make(m.inner, m.heads,
                           op::SsmScan(x, b, c, steps, label + "A_log", "state", 2, sizes)
                               .skip(label + "D")
                               .dt_bias(label + "dt_bias")
                               .limits(m.pass->least, m.pass->most));
  out.set(y, op::Gate(gate, y, Activation::kSilu));
  out.set(y, op::Norm(y, label + "norm", m.pass->epsilon));
  out.set(part.out, op::Linear(y, out_proj).bias(biased(m.proj_bias, out_proj)).reduce());
}

} // namespace hybrid
