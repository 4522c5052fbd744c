// plimsoll/plugin/declaring.hpp - what a planner declares (Weight, KvGroup), what it answers to (Request), where it goes (Sink),
// and planners that it asks for a part (Child). Never include it by itself: plimsoll/plugin.hpp is the include of plugins.
// Threads: a Sink and a Request live for the call; the rest are values, any thread.
#ifndef PLIMSOLL_PLUGIN_DECLARING_HPP
#define PLIMSOLL_PLUGIN_DECLARING_HPP

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "plimsoll/plugin/reading.hpp"

namespace plimsoll {

// ---- what a planner declares -------------------------------------------------------------------------------

struct Part {
  std::uint64_t extent;   // rows along the sharded dimension
  std::uint64_t units;    // indivisible units in them (heads); 0: any element
  bool replicate = false; // copy units where there are more ranks than units
};

// Weight tensors that are alike. Defaults: exists once, replicated, not quantised, loaded, on its layer's stage
// where it has layers and on the first stage where not.
class Weight {
public:
  Weight(std::uint32_t aspect, std::string label, std::string pattern, std::initializer_list<Bytes> dims)
      : label_(std::move(label)), pattern_(std::move(pattern)) {
    w_.aspect = aspect;
    w_.stage = PLIMSOLL_STAGE_FIRST;
    for (const Bytes dim : dims) {
      if (w_.n_dims == 4) throw Error(PLIMSOLL_E_INTERNAL, "", label_ + ": more than four dimensions");
      w_.dims[w_.n_dims++] = dim.value();
    }
    w_.in_dim = w_.n_dims == 0 ? 0 : w_.n_dims - 1;
  }

  // One tensor per listed layer. The list must outlive the emission.
  Weight& layers(const std::vector<std::uint32_t>& list) {
    layers_ = &list;
    w_.stage = PLIMSOLL_STAGE_OF_LAYER;
    return *this;
  }
  Weight& stage(std::uint32_t stage) {
    w_.stage = stage;
    return *this;
  }
  Weight& role(std::uint32_t role) {
    w_.role = role;
    return *this;
  }
  Weight& dtype(std::string dtype) {
    dtype_ = std::move(dtype);
    return *this;
  }
  Weight& format(std::string format) {
    format_ = std::move(format);
    return *this;
  }
  // A linear layer that quantization_config may store otherwise; in_dim is the input-feature dimension.
  Weight& linear(std::uint32_t in_dim = 1) {
    w_.quantizable = 1;
    w_.in_dim = in_dim;
    return *this;
  }
  // Split over the tensor-parallel group along `dim`, at any element.
  Weight& split(std::uint32_t dim) {
    w_.placement = PLIMSOLL_PLACE_TP;
    w_.shard_dim = dim;
    return *this;
  }
  // Split along `dim` in whole heads; key/value heads are copied where there are more ranks than heads.
  Weight& heads(std::uint32_t dim, std::uint64_t units, bool replicate = false) {
    return parts(dim, {Part{w_.dims[dim], units, replicate}});
  }
  // A fused tensor whose parts split by themselves; their extents add up to the dimension.
  Weight& parts(std::uint32_t dim, std::initializer_list<Part> parts) {
    split(dim);
    parts_.clear();
    for (const Part& part : parts) parts_.push_back({part.extent, part.units, part.replicate ? 1U : 0U});
    return *this;
  }
  // Rows of a vocabulary, padded as the engine does.
  Weight& vocab(std::uint32_t dim = 0) {
    w_.placement = PLIMSOLL_PLACE_VOCAB;
    w_.shard_dim = dim;
    return *this;
  }
  // `count` experts per layer, spread over the expert-parallel group; `dim` of one expert splits over what is
  // left of the tensor-parallel group.
  Weight& experts(std::uint64_t count, std::uint32_t dim, std::uint32_t storage = PLIMSOLL_EXPERTS_SEPARATE) {
    w_.placement = PLIMSOLL_PLACE_EXPERT;
    w_.shard_dim = dim;
    w_.experts = count;
    w_.expert_storage = storage;
    return *this;
  }
  // The bias of this linear layer: its output rows, sharded as they are; `suffix` replaces ".weight".
  Weight bias(std::string_view suffix = ".bias") const {
    Weight b = *this;
    const std::uint32_t out_dim = w_.in_dim == 0 && w_.n_dims > 1 ? 1 : 0; // a norm has one dimension
    b.w_.n_dims = 1;
    b.w_.dims[0] = w_.dims[out_dim];
    b.w_.dims[1] = 0;
    b.w_.in_dim = 0;
    b.w_.quantizable = 0;
    if (w_.shard_dim != out_dim && w_.placement == PLIMSOLL_PLACE_TP) b.w_.placement = PLIMSOLL_PLACE_REPLICATE;
    if (w_.shard_dim != out_dim) b.parts_.clear();
    if (w_.placement == PLIMSOLL_PLACE_EXPERT && w_.shard_dim != out_dim) b.w_.shard_dim = UINT32_MAX;
    else b.w_.shard_dim = 0;
    b.label_ += ".bias";
    const std::size_t at = b.pattern_.rfind(".weight");
    if (at != std::string::npos && at + 7 == b.pattern_.size()) b.pattern_.resize(at);
    b.pattern_ += suffix;
    b.format_.clear();
    return b;
  }

  plimsoll_weight raw() const {
    plimsoll_weight w = w_;
    w.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_weight, n_parts);
    w.label = to_str(label_);
    w.pattern = to_str(pattern_);
    w.dtype = to_str(dtype_);
    w.format = to_str(format_);
    w.layers = layers_ == nullptr ? nullptr : layers_->data();
    w.n_layers = layers_ == nullptr ? 0 : layers_->size();
    w.parts = parts_.empty() ? nullptr : parts_.data();
    w.n_parts = parts_.size();
    return w;
  }
  std::uint32_t aspect() const { return w_.aspect; }
  bool empty() const { return layers_ != nullptr && layers_->empty(); }

private:
  plimsoll_weight w_{};
  std::string label_, pattern_, dtype_, format_;
  const std::vector<std::uint32_t>* layers_ = nullptr;
  std::vector<plimsoll_part> parts_;
};

// Layers that cache alike.
class KvGroup {
public:
  KvGroup(std::uint32_t kind, std::string label, const std::vector<std::uint32_t>& layers) : label_(std::move(label)), layers_(&layers) {
    g_.kind = kind;
  }
  KvGroup& heads(std::uint64_t kv_heads, std::uint64_t query_heads, std::uint64_t k_elements, std::uint64_t v_elements) {
    g_.kv_heads = kv_heads;
    g_.query_heads = query_heads;
    g_.k_elements = k_elements;
    g_.v_elements = v_elements;
    return *this;
  }
  KvGroup& window(std::uint64_t tokens) {
    g_.window_tokens = tokens;
    return *this;
  }
  KvGroup& fixed(std::uint64_t tokens) {
    g_.fixed_tokens = tokens;
    return *this;
  }
  KvGroup& compressed(std::uint32_t tokens_per_slot) {
    g_.tokens_per_slot = tokens_per_slot;
    return *this;
  }
  KvGroup& role(std::uint32_t role) {
    g_.role = role;
    return *this;
  }
  KvGroup& dtype(std::string dtype) {
    dtype_ = std::move(dtype);
    return *this;
  }
  KvGroup& scales(std::string dtype, std::uint64_t elements) {
    scale_dtype_ = std::move(dtype);
    g_.scale_elements = elements;
    return *this;
  }
  KvGroup& bound() {
    g_.bound = 1;
    return *this;
  }
  // LATENT: the rotary part of k_elements, and the widths of a head's keys and values once expanded.
  KvGroup& latent(std::uint64_t rope_elements, std::uint64_t expanded_k_elements, std::uint64_t expanded_v_elements) {
    g_.rope_elements = rope_elements;
    g_.expanded_k_elements = expanded_k_elements;
    g_.expanded_v_elements = expanded_v_elements;
    return *this;
  }
  KvGroup& state(std::string label, Bytes elements, std::uint64_t units, std::string dtype = "", std::uint64_t per_draft_token = 0) {
    regions_.push_back({std::move(label), std::move(dtype), elements.value(), units, per_draft_token});
    return *this;
  }

  // Calls `emit` with the filled struct, valid for the call.
  template <class Emit>
  void raw(Emit&& emit) const {
    plimsoll_kv_group g = g_;
    g.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_kv_group, expanded_v_elements);
    g.label = to_str(label_);
    g.dtype = to_str(dtype_);
    g.scale_dtype = to_str(scale_dtype_);
    g.layers = layers_->data();
    g.n_layers = layers_->size();
    std::vector<plimsoll_state_region> regions;
    for (const Region& r : regions_) {
      plimsoll_state_region raw{};
      raw.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_state_region, elements_per_draft_token);
      raw.label = to_str(r.label);
      raw.dtype = to_str(r.dtype);
      raw.elements = r.elements;
      raw.units = r.units;
      raw.elements_per_draft_token = r.per_draft_token;
      regions.push_back(raw);
    }
    std::vector<const plimsoll_state_region*> pointers;
    for (const plimsoll_state_region& r : regions) pointers.push_back(&r);
    g.regions = pointers.empty() ? nullptr : pointers.data();
    g.n_regions = pointers.size();
    emit(&g);
  }
  bool empty() const { return layers_->empty(); }

private:
  struct Region {
    std::string label, dtype;
    std::uint64_t elements, units, per_draft_token;
  };
  plimsoll_kv_group g_{};
  std::string label_, dtype_, scale_dtype_;
  const std::vector<std::uint32_t>* layers_;
  std::vector<Region> regions_;
};

// What the planner answers to; valid during the call.
class Request {
public:
  Request(const plimsoll_host* host, const plimsoll_request* raw) : host_(host), raw_(*raw) {}
  const plimsoll_request* operator->() const { return &raw_; }
  const plimsoll_request& raw() const { return raw_; }
  bool asks(std::uint32_t aspect) const { return (raw_.aspects & aspect) != 0; }
  Bytes compute_bytes(Bytes elements) const { return elements * Bytes(raw_.compute_bits) / Bytes(8); }
  Bytes kv_bytes(Bytes elements) const { return elements * Bytes(raw_.kv_bits) / Bytes(8); }
  Bytes weight_bytes(Bytes elements) const { return elements * Bytes(raw_.weight_bits) / Bytes(8); }
  // A value of the engine profile's `planner` section; nothing where the engine has no such rule.
  std::optional<std::uint64_t> engine(std::string_view pointer) const {
    return raw_.engine == nullptr ? std::nullopt : Config(host_, raw_.engine).find_u64(pointer);
  }
  std::optional<bool> engine_bool(std::string_view pointer) const {
    return raw_.engine == nullptr ? std::nullopt : Config(host_, raw_.engine).find_bool(pointer);
  }
  // The same request for other aspects.
  Request with_aspects(std::uint32_t aspects) const {
    Request copy = *this;
    copy.raw_.aspects = aspects;
    return copy;
  }
  // A formula with its values, put together only where somebody will read it: formula(8192, " tokens x ", 7168).
  template <class... Pieces>
  std::string formula(const Pieces&... pieces) const {
    std::string out;
    if (raw_.explain != 0) (append(out, pieces), ...);
    return out;
  }

private:
  static void append(std::string& out, std::string_view text) { out += text; }
  static void append(std::string& out, std::uint64_t number) { out += std::to_string(number); }
  static void append(std::string& out, Bytes number) { out += std::to_string(number.value()); }
  const plimsoll_host* host_;
  plimsoll_request raw_;
};

// Where results go. Drops what belongs to no asked aspect; throws where the host refuses.
class Sink {
public:
  Sink(const plimsoll_sink* raw, std::uint32_t aspects) : raw_(raw), aspects_(aspects) {}
  std::uint32_t aspects() const { return aspects_; }
  bool asks(std::uint32_t aspect) const { return (aspects_ & aspect) != 0; }

  void weight(const Weight& weight) const {
    if (!asks(weight.aspect()) || weight.empty()) return;
    const plimsoll_weight raw = weight.raw();
    check(raw_->weight(raw_->ctx, &raw));
  }
  // A linear layer and, where it has one, its bias.
  void weight(const Weight& linear, bool with_bias) const {
    weight(linear);
    if (with_bias) weight(linear.bias());
  }
  void kv(const KvGroup& group) const {
    if (!group.empty()) group.raw([&](const plimsoll_kv_group* raw) { check(raw_->kv(raw_->ctx, raw)); });
  }
  // Bytes that live as long as the server does.
  void resident(std::string_view label, Bytes bytes, Basis basis, std::string_view formula = {},
                std::uint32_t rank = PLIMSOLL_ALL_RANKS) const {
    item(PLIMSOLL_BYTES_ACTIVATION, PLIMSOLL_RESIDENT, label, bytes, basis, formula, {}, rank);
  }
  // Bytes that live in one phase of a forward pass; of all phases the largest counts.
  void transient(std::string_view label, Bytes bytes, Basis basis, std::string_view formula = {}, std::string_view phase = {},
                 std::uint32_t rank = PLIMSOLL_ALL_RANKS) const {
    item(PLIMSOLL_BYTES_ACTIVATION, PLIMSOLL_TRANSIENT, label, bytes, basis, formula, phase, rank);
  }
  void signal(std::string_view label, Bytes bytes, Basis basis, std::string_view formula = {},
              std::uint32_t rank = PLIMSOLL_ALL_RANKS) const {
    item(PLIMSOLL_BYTES_SIGNAL, PLIMSOLL_RESIDENT, label, bytes, basis, formula, {}, rank);
  }
  const plimsoll_sink* raw() const { return raw_; }

private:
  void item(std::uint32_t category, std::uint32_t lifetime, std::string_view label, Bytes bytes, Basis basis, std::string_view formula,
            std::string_view phase, std::uint32_t rank) const {
    plimsoll_item raw{};
    raw.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_item, phase);
    raw.rank = rank;
    raw.category = category;
    raw.basis = static_cast<std::uint32_t>(basis);
    raw.lifetime = lifetime;
    raw.bytes = bytes.value();
    raw.label = to_str(label);
    raw.formula = to_str(formula);
    raw.phase = to_str(phase);
    check(raw_->item(raw_->ctx, &raw));
  }
  static void check(plimsoll_status status) {
    if (status != PLIMSOLL_OK) throw Error(status, "", "the host refused an item");
  }
  const plimsoll_sink* raw_;
  std::uint32_t aspects_;
};

// A planner of another family, found by the host. Lives as long as its parent.
class Child {
public:
  Child() = default;
  // The planner of the config below `pointer`; `family` NULL: whoever plans its architecture.
  Child(const Config& config, std::string_view pointer, std::initializer_list<std::pair<std::string_view, std::string_view>> renames = {},
        const char* family = nullptr)
      : host_(config.host()) {
    std::vector<plimsoll_rename> raw;
    for (const auto& [from, to] : renames) raw.push_back({to_str(from), to_str(to)});
    const plimsoll_view* view = config.view();
    if (!pointer.empty() || !raw.empty()) {
      const plimsoll_status status = host_->subview(config.view(), to_str(pointer), raw.data(), raw.size(), &view);
      if (status != PLIMSOLL_OK)
        throw Error(PLIMSOLL_E_CONFIG, std::string(pointer), "an object with the part's configuration was expected");
    }
    plimsoll_error err = blank();
    const plimsoll_status status = host_->planner_for(view, family, &api_, &child_, &err);
    if (status != PLIMSOLL_OK) throw Error(status, err.where, err.message);
  }
  explicit operator bool() const { return child_ != nullptr; }

  void weights(const Sink& out, std::uint32_t aspects = PLIMSOLL_ASPECT_ALL) const {
    if ((out.aspects() & aspects) == 0) return;
    plimsoll_error err = blank();
    check(api_->weights(child_, out.aspects() & aspects, out.raw(), &err), err);
  }
  void kv(const Sink& out, std::uint32_t aspects = PLIMSOLL_ASPECT_ALL) const {
    if ((out.aspects() & aspects) == 0) return;
    plimsoll_error err = blank();
    check(api_->kv(child_, out.aspects() & aspects, out.raw(), &err), err);
  }
  void activations(const Request& request, const Sink& out, std::uint32_t aspects = PLIMSOLL_ASPECT_ALL) const {
    const Request asked = request.with_aspects(request->aspects & aspects);
    if (asked->aspects == 0) return;
    plimsoll_error err = blank();
    check(api_->activations(child_, &asked.raw(), out.raw(), &err), err);
  }
  plimsoll_facts facts() const {
    plimsoll_facts out{};
    out.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_facts, draft_layers);
    plimsoll_error err = blank();
    check(api_->facts(child_, &out, &err), err);
    return out;
  }
  plimsoll_vision_entry vision_entry() const {
    plimsoll_vision_entry out{};
    out.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_vision_entry, tower_elements);
    plimsoll_error err = blank();
    check(api_->vision_entry(child_, &out, &err), err);
    return out;
  }
  std::uint64_t max_batch(const Request& request) const {
    std::uint64_t out = 0;
    plimsoll_error err = blank();
    check(api_->max_batch(child_, &request.raw(), &out, &err), err);
    return out;
  }

private:
  static plimsoll_error blank() {
    plimsoll_error err{};
    err.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_error, message);
    return err;
  }
  static void check(plimsoll_status status, const plimsoll_error& err) {
    if (status != PLIMSOLL_OK) throw Error(status, err.where, err.message);
  }
  const plimsoll_host* host_ = nullptr;
  const plimsoll_planner_api* api_ = nullptr;
  const plimsoll_planner* child_ = nullptr;
};

} // namespace plimsoll

#endif
