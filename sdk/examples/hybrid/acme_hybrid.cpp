// Acme's hybrid: attention in every fourth layer, recurrent state in the others, sound beside text. The rest is a dense decoder's.
#include <plimsoll/plugin_util.hpp>
using namespace plimsoll;

class AcmeHybrid : public MemoryPlanner {
public:
  explicit AcmeHybrid(const Config& c)
      : MemoryPlanner(c), hidden_(c.positive("/hidden_size")), heads_(c.positive("/num_attention_heads")),
        state_(c.positive("/state_size")), frames_(c.positive("/audio_config/max_frames")), dense_(c, "", of_family("dense")),
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
  std::uint64_t hidden_, heads_, state_, frames_;
  Child dense_;
  std::vector<std::uint32_t> layers_, attention_, recurrent_;
};
PLIMSOLL_PLUGIN(AcmeHybrid)
