// Compressed sparse attention (DeepSeek-V4): what one token leaves behind, and where. Immutable, any thread.
//
// Every layer caches a window; layers with a ratio r also cache one row per r tokens, an indexer's key beside it where r = 4,
// and hold the tokens that wait for their row. Keys and values are one vector for all heads, the same on every rank.
// DeepSeek-V4-Flash, a row of 584 B: 21 layers x (584 + 132) / 4 + 20 layers x 584 / 128 = 3,850.25 B per token, 43 windows of
// 128 rows, and (8 x 2,048 + 8 x 512) x 4 B in 21 layers, 128 x 1,024 x 4 B in 20 for each sequence: 12,206,080 B.
#include "compressed_weights.hpp"
#include "model.hpp"

namespace mla {
namespace {

using plimsoll::Aspect;
using plimsoll::Config;
using plimsoll::KvGroup;
using plimsoll::KvKind;
using plimsoll::Request;
using plimsoll::Role;
using plimsoll::Sink;

constexpr std::uint64_t kIndexScaleElements = 128;

class Compressed : public Model {
public:
  explicit Compressed(const Config& config) : shape_(read_compressed_shape(config)) {}

  void weights(const Sink& out) const override { declare_compressed(shape_, out); }

  void kv(const Sink& out) const override {
    out.kv(rows(KvKind::kWindow, "window", shape_.layers).window(shape_.window));
    out.kv(rows(KvKind::kWindow, "draft.window", shape_.draft_layers).window(shape_.window).role(Role::kDraft));
    for (const RatioLayers& r : shape_.ratios) {
      if (r.ratio == 0) continue;
      pooled(r.ratio, "", r.layers, Role::kModel, out);
      pooled(r.ratio, "draft.", r.draft_layers, Role::kDraft, out);
    }
  }

  plimsoll_facts facts() const override { return facts_of(shape_); }

  void activations(const Request&, const Sink&) const override {} // nobody has published a formula

private:
  // The packed row has a type of its own, whatever the request's is: no engine stores another.
  KvGroup rows(KvKind kind, std::string label, const std::vector<std::uint32_t>& layers) const {
    KvGroup group(kind, std::move(label), layers);
    return group.heads(1, shape_.heads, shape_.row_bytes(), 0).dtype("uint8");
  }
  void pooled(std::uint64_t ratio, const std::string& label, const std::vector<std::uint32_t>& layers, Role role, const Sink& out) const {
    const std::string number = std::to_string(ratio);
    const auto per_slot = static_cast<std::uint32_t>(ratio);
    out.kv(rows(KvKind::kLatent, label + "compressed." + number, layers).compressed(per_slot).role(role));
    KvGroup waiting(KvKind::kState, label + "compressor." + number, layers);
    waiting.aspect(Aspect::kAttention).role(role);
    waiting.window(Compressor{ratio, shape_.head}.waiting_tokens()); // a row each: engines page them like a window
    add_waiting(waiting, "tokens", {ratio, shape_.head});
    if (CompressedShape::has_indexer(ratio)) {
      KvGroup keys(KvKind::kLatent, label + "indexer." + number, layers);
      out.kv(keys.heads(1, shape_.heads, shape_.index_head, 0)
                 .dtype("float8_e4m3fn")
                 .scales("float32", kIndexScaleElements)
                 .compressed(per_slot)
                 .role(role));
      add_waiting(waiting, "indexer", {ratio, shape_.index_head});
    }
    out.kv(waiting);
  }
  static void add_waiting(KvGroup& group, const char* label, const Compressor& c) {
    group.state(label, c.waiting_elements(), 0, "float32", c.waiting_elements_per_token().value());
  }

  CompressedShape shape_;
};

} // namespace

std::unique_ptr<Model> make_compressed(const Config& config) { return std::make_unique<Compressed>(config); }

} // namespace mla
