// Ops of recurrent mixers. Worked example, a Mamba: a linear layer for x and one for the gate, a convolution, a linear layer for step, b
// and c, which are three ops of columns, a linear layer for the steps, a scan, a gate and a linear layer: 11 ops.
#include "pipeline.hpp"

namespace hybrid {
namespace {

using plimsoll::Activation;
using plimsoll::Pipeline;
using plimsoll::PipelinePart;
using plimsoll::Value;
namespace op = plimsoll::op;

constexpr double kLengthEpsilon = 1e-6; // of queries and keys of delta rules, in every implementation

} // namespace

// Where in_proj is fused the rows of one key head follow one another: its query, its key, the values and the gates that belong to it; of
// the other one what is written and what decays, where that is not split too. States: q, k and v before their convolution, then the
// recurrence.
void describe_delta_net(const DeltaNet& m, const std::string& label, const PipelinePart& part, const Pipeline& out) {
  const std::uint64_t shared = m.value_heads / m.key_heads, of_head = shared * m.value_elements;
  const std::uint64_t keys = m.key_heads * m.key_elements, values = m.value_heads * m.value_elements;
  const auto projected = [&](const char* name, std::uint64_t width, std::uint64_t units) {
    return out.make(width, units, op::Linear(part.in, label + name));
  };
  const auto columns = [&](Value of, std::uint64_t stride, std::uint64_t first, std::uint64_t n) {
    return out.make(m.key_heads * n, m.key_heads, op::Columns(of, m.key_heads, stride, first, n));
  };
  const auto gates = [&] { return projected("in_proj_ba", 2 * m.value_heads, m.key_heads); };
  Value q, k, v, gate, ba, decay, write;
  if (m.projections == DeltaProjections::kFused) {
    const std::uint64_t row = 2 * m.key_elements + 2 * of_head;
    const Value qkvz = projected("in_proj_qkvz", m.key_heads * row, m.key_heads);
    ba = gates();
    q = columns(qkvz, row, 0, m.key_elements);
    k = columns(qkvz, row, m.key_elements, m.key_elements);
    v = columns(qkvz, row, 2 * m.key_elements, of_head);
    gate = columns(qkvz, row, 2 * m.key_elements + of_head, of_head);
  } else {
    const auto part_of = [&](std::uint32_t of, std::uint64_t width, std::uint64_t units) {
      return out.make(width, units, op::Linear(part.in, label + "in_proj_qkv").part(of));
    };
    q = part_of(0, keys, m.key_heads);
    k = part_of(1, keys, m.key_heads);
    v = part_of(2, values, m.value_heads);
    gate = projected("in_proj_z", values, m.value_heads);
    if (m.projections == DeltaProjections::kGated) ba = gates();
  }
  if (m.projections == DeltaProjections::kSplit) {
    write = projected("in_proj_b", m.value_heads, m.value_heads);
    decay = projected("in_proj_a", m.value_heads, m.value_heads);
  } else {
    write = columns(ba, 2 * shared, 0, shared);
    decay = columns(ba, 2 * shared, shared, shared);
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
    return out.make(width, units, op::Linear(part.in, in_proj).part(of).bias(biased(m.proj_bias, in_proj)).scale(m.pass->scales[of]));
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
  const auto norm = [&] {
    op::Norm normed(y, label + "norm", m.pass->epsilon);
    if (m.pass->norm_groups > 1) normed.heads(m.pass->norm_groups, m.inner / m.pass->norm_groups);
    if (m.norm) out.set(y, normed);
  };
  if (m.pass->norm_first) norm();
  out.set(y, op::Gate(gate, y, Activation::kSilu));
  if (!m.pass->norm_first) norm();
  out.set(part.out, op::Linear(y, out_proj).bias(biased(m.proj_bias, out_proj)).scale(m.pass->out_scale).reduce());
}

// Parts of in_proj: x, gate. Of x_proj, whose sum all ranks need: the step in few columns, b, c. States: x, then the recurrence; every
// channel is a head of one element.
void describe_mamba1(const Mamba1& m, const std::string& label, const PipelinePart& part, const Pipeline& out) {
  const auto biased = [&](bool has, const char* of) { return has ? label + of + ".bias" : std::string(); };
  const auto projected = [&](std::uint32_t of) {
    return out.make(m.inner, m.inner, op::Linear(part.in, label + "in_proj").part(of).bias(biased(m.proj_bias, "in_proj")));
  };
  const Value x = projected(0), gate = projected(1);
  out.set(x, op::Conv(x, label + "conv1d", m.kernel, "state", 0).bias(biased(m.conv_bias, "conv1d")).act(Activation::kSilu));
  const std::uint64_t width = m.rank + 2 * m.state;
  const Value low = out.make(width, 0, op::Linear(x, label + "x_proj").reduce());
  const auto columns = [&](std::uint64_t first, std::uint64_t n, const char* norm) {
    const Value taken = out.make(n, 0, op::Columns(low, 1, width, first, n));
    if (m.pass->norms) out.set(taken, op::Norm(taken, m.inner_norms ? label + norm : std::string(), m.pass->epsilon));
    return taken;
  };
  const Value step = columns(0, m.rank, "dt_layernorm");
  const Value b = columns(m.rank, m.state, "b_layernorm"), c = columns(m.rank + m.state, m.state, "c_layernorm");
  const Value steps = out.make(m.inner, m.inner, op::Linear(step, label + "dt_proj").bias(biased(true, "dt_proj")));
  const op::ScanSizes sizes{m.inner, 1, m.state, 1};
  const Value y = out.make(m.inner, m.inner, op::SsmScan(x, b, c, steps, label + "A_log", "state", 1, sizes).skip(label + "D"));
  out.set(y, op::Gate(gate, y, Activation::kSilu));
  out.set(part.out, op::Linear(y, label + "out_proj").bias(biased(m.proj_bias, "out_proj")).reduce());
}

// Decay and gate come through matrices of low rank, the decay channel by channel. States: q, k and v before their convolutions, then the
// recurrence.
void describe_kimi_delta(const KimiDelta& m, const std::string& label, const PipelinePart& part, const Pipeline& out) {
  const std::uint64_t inner = (Bytes(m.heads) * m.head_elements).value();
  const auto projected = [&](Value x, const char* name) { return out.make(inner, m.heads, op::Linear(x, label + name)); };
  const auto convolved = [&](const char* projection, const char* conv, std::uint64_t region) {
    const Value x = projected(part.in, projection);
    out.set(x, op::Conv(x, label + conv, m.kernel, "state", region).act(Activation::kSilu));
    return x;
  };
  const auto low_rank = [&](const char* down, const char* up) {
    return projected(out.make(m.head_elements, 0, op::Linear(part.in, label + down)), up);
  };
  const Value q = convolved("q_proj", "q_conv1d", 0), k = convolved("k_proj", "k_conv1d", 1), v = convolved("v_proj", "v_conv1d", 2);
  const Value decay = low_rank("f_a_proj", "f_b_proj");
  const Value write = out.make(m.heads, m.heads, op::Linear(part.in, label + "b_proj"));
  const op::DeltaSizes sizes{m.heads, m.heads, m.head_elements, m.head_elements};
  const op::DeltaRule rule(q, k, v, decay, write, label + "A_log", "state", 3, sizes, kLengthEpsilon);
  const Value y = out.make(inner, m.heads, op::DeltaRule(rule).dt_bias(label + "dt_bias"));
  out.set(y, op::Norm(y, label + "o_norm", *m.epsilon).heads(m.heads, m.head_elements));
  out.set(y, op::Gate(low_rank("g_a_proj", "g_b_proj"), y, Activation::kSigmoid));
  out.set(part.out, op::Linear(y, label + "o_proj").reduce());
}

// Parts of in_proj: what lets in, what lets out, x. The state: what was let in.
void describe_short_conv(const ShortConv& m, const std::string& label, const PipelinePart& part, const Pipeline& out) {
  const auto biased = [&](const char* of) { return m.bias ? label + of + ".bias" : std::string(); };
  const auto projected = [&](std::uint32_t of) {
    return out.make(m.hidden, m.hidden, op::Linear(part.in, label + "in_proj").part(of).bias(biased("in_proj")));
  };
  const Value in = projected(0), let_out = projected(1), x = projected(2);
  out.set(x, op::Gate(in, x, Activation::kNone));
  out.set(x, op::Conv(x, label + "conv", m.kernel, "state", 0).bias(biased("conv")));
  out.set(x, op::Gate(let_out, x, Activation::kNone));
  out.set(part.out, op::Linear(x, label + "out_proj").bias(biased("out_proj")).reduce());
}

} // namespace hybrid
