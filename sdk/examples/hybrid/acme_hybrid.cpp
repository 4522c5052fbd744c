// Acme's hybrid: attention in every fourth layer, recurrent state in the others, sound beside text. The rest is a Llama's. It runs on
// texts: `describe` says how, op by op.
#include <plimsoll/plugin_util.hpp>
using namespace plimsoll;

class AcmeHybrid : public PipelinePlanner {
public:
  explicit AcmeHybrid(const Config& c)
      : PipelinePlanner(c), hidden_(c.positive("/hidden_size")), heads_(c.positive("/num_attention_heads")),
        state_(c.positive("/state_size")), frames_(c.positive("/audio_config/max_frames")), dense_(c, "", as("llama")),
        layers_(layers_from(0, layer_count(c))) {
    check_divides(heads_, hidden_, "/num_attention_heads");
    for (const std::uint32_t i : layers_) (i % 4 == 3 ? attention_ : recurrent_).push_back(i);
  }
  void weights(const Sink& out) const override {
    const Site attention{"model.layers.{layer}.self_attn.", "attention.", &attention_};
    const Site mixer{"model.layers.{layer}.mixer.", "mixer.", &recurrent_};
    const auto linear = [&](const Site& site, Aspect aspect, const std::string& name, Bytes rows) {
      return site.weight(aspect, name, name + ".weight", {rows, hidden_}).linear();
    };
    out.weight(Weight(Aspect::kAttention, "norm", "model.layers.{layer}.norm.weight", {hidden_}).layers(layers_));
    const Part part{hidden_, heads_}; // tensor parallelism cuts it in whole heads
    out.weight(linear(attention, Aspect::kAttention, "qkv_proj", Bytes(hidden_) * 3).parts(0, {part, part, part}));
    out.weight(linear(attention, Aspect::kAttention, "o_proj", hidden_).heads(1, heads_));
    out.weight(linear(mixer, Aspect::kState, "in_proj", Bytes(hidden_) * 2).parts(0, {part, part}));
    out.weight(linear(mixer, Aspect::kState, "out_proj", hidden_).heads(1, heads_));
    out.weight(mixer.weight(Aspect::kState, "decay", "decay.weight", {heads_}).heads(0, heads_));
    dense_.weights(out, Aspect::kEmbed | Aspect::kFfn | Aspect::kHead);
  }
  void kv(const Sink& out) const override {
    out.kv(KvGroup(KvKind::kFull, "attention", attention_).heads(heads_, heads_, hidden_ / heads_, hidden_ / heads_));
    out.kv(KvGroup(KvKind::kState, "mixer", recurrent_).state("ssm", Bytes(hidden_) * state_, heads_, "state"));
  }
  void entries(const Sink& out) const override { out.entry(Entry(Modality::kAudio, frames_ / 2, hidden_).encoder(frames_, hidden_)); }
  void activations(const Request& r, const Sink& out) const override { // a workspace of each request, however many there will be
    out.item(Item(Aspect::kState, "mixer.scan", r.compute_bytes(Bytes(hidden_) * state_), Basis::kExact).workspace().per_request());
  }
  plimsoll_facts facts() const override { return dense_.facts(); }

  // Attention or state beside the FFN, both of the same norm; embedding, FFN and head are a Llama's.
  void describe(const PipelinePart& part, const Pipeline& out) const override {
    if (!part.is_layer()) return dense_.describe(part, out);
    const Value residual = part.out, x = out.make(hidden_, 0, op::Norm(residual, "norm", config().find_f64("/rms_norm_eps").value_or(0)));
    if (part.layer % 4 == 3) attend(x, residual, out);
    else recur(x, residual, out);
    const Value y = out.value(hidden_);
    out.ffn(x, y);
    out.add(residual, op::Add(y));
  }

private:
  // Without rotary positions: the states of the layers before say where a token stands.
  void attend(Value x, Value residual, const Pipeline& out) const {
    const auto part = [&](std::uint32_t n) { return out.make(hidden_, heads_, op::Linear(x, "attention.qkv_proj").part(n)); };
    const Value q = part(0), k = part(1), v = part(2);
    const op::AttendSizes sizes{heads_, heads_, hidden_ / heads_, hidden_ / heads_};
    const Value context = out.make(hidden_, heads_, op::Attend(q, k, v, "attention", sizes));
    out.add(residual, op::Linear(context, "attention.o_proj").reduce());
  }
  // Of each head of u what is written is its own beginning, of each head of the gate the beginning reads and the last column is the step.
  void recur(Value x, Value residual, const Pipeline& out) const {
    const std::uint64_t head = hidden_ / heads_;
    if (state_ > head) no_pipeline("/state_size", "for a state wider than a head");
    const auto part = [&](std::uint32_t n) { return out.make(hidden_, heads_, op::Linear(x, "mixer.in_proj").part(n)); };
    const auto columns = [&](Value of, std::uint64_t first, std::uint64_t n) {
      return out.make(heads_ * n, heads_, op::Columns(of, heads_, head, first, n));
    };
    const Value u = part(0), gate = part(1);
    const Value write = columns(u, 0, state_), read = columns(gate, 0, state_), step = columns(gate, head - 1, 1);
    const op::SsmScan scan(u, write, read, step, "mixer.decay", "mixer", 0, {heads_, head, state_, heads_});
    const Value y = out.make(hidden_, heads_, scan);
    out.set(y, op::Gate(gate, y, Activation::kSilu));
    out.add(residual, op::Linear(y, "mixer.out_proj").reduce());
  }

  std::uint64_t hidden_, heads_, state_, frames_;
  Child dense_;
  std::vector<std::uint32_t> layers_, attention_, recurrent_;
};
PLIMSOLL_PLUGIN(AcmeHybrid)
