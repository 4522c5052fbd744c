// plimsoll/plugin/declaring.hpp - what a planner declares (Weight, KvGroup, Entry) and prices (Item), what it answers to (Request),
// and where it goes (Sink). Never include it by itself: plimsoll/plugin.hpp is the include of plugins.
// Threads: a Sink and a Request live for the call; the rest are values, any thread.
#ifndef PLIMSOLL_PLUGIN_DECLARING_HPP
#define PLIMSOLL_PLUGIN_DECLARING_HPP

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "plimsoll/plugin/reading.hpp"

namespace plimsoll {

namespace detail {

// A copy of a struct that another side filled, with nothing where it has less than this header knows.
template <class Raw>
Raw copy_of(const Raw& raw) {
  Raw copy{};
  const std::uint32_t known = std::min(raw.struct_size, static_cast<std::uint32_t>(sizeof copy));
  std::memcpy(&copy, &raw, known);
  copy.struct_size = known;
  return copy;
}

// A size that follows from the configuration, or E_CONFIG: beyond 2^40 a host would take it for a planner's fault.
inline std::uint64_t possible(Bytes size, std::string_view label) {
  if (size.value() <= PLIMSOLL_MAX_EXTENT) return size.value();
  throw Error(PLIMSOLL_E_CONFIG, "",
              "the configuration gives '" + std::string(label) + "' a size of " + std::to_string(size.value()) +
                  "; at most 2^40 is possible, check the sizes in it");
}

} // namespace detail

struct Part {
  std::uint64_t extent;   // rows along the sharded dimension
  std::uint64_t units;    // indivisible units in them (heads); 0: any element
  bool replicate = false; // copy units where there are more ranks than units
};

// Weight tensors that are alike. Defaults: exists once, replicated, not quantised, loaded into device memory, on its layer's stage
// where it has layers and on the first stage where not.
class Weight {
public:
  Weight(Aspect aspect, std::string label, std::string pattern, std::initializer_list<Bytes> dims)
      : label_(std::move(label)), pattern_(std::move(pattern)) {
    w_.aspect = static_cast<std::uint32_t>(aspect);
    w_.stage = PLIMSOLL_STAGE_FIRST;
    if (dims.size() > PLIMSOLL_MAX_DIMS) throw Error(PLIMSOLL_E_INTERNAL, "", label_ + ": more than eight dimensions");
    for (const Bytes dim : dims) w_.dims[w_.n_dims++] = detail::possible(dim, label_);
    w_.in_dim = w_.n_dims == 0 ? 0 : w_.n_dims - 1;
  }

  // One tensor per listed layer. The list must outlive the emission.
  Weight& layers(const std::vector<std::uint32_t>& list) {
    layers_ = &list;
    return stage(Stage::kOfLayer);
  }
  Weight& stage(Stage stage) {
    w_.stage = static_cast<std::uint32_t>(stage);
    return *this;
  }
  Weight& role(Role role) {
    w_.role = static_cast<std::uint32_t>(role);
    return *this;
  }
  Weight& dtype(std::string dtype) {
    dtype_ = std::move(dtype);
    return *this;
  }
  // A storage format, the host's own or one of the manifest's `formats`, whatever quantization_config says.
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
  Weight& split(std::uint32_t dim) { return place(Placement::kTp, dim); }
  // Split along `dim` in whole heads; key/value heads are copied where there are more ranks than heads.
  Weight& heads(std::uint32_t dim, std::uint64_t units, bool replicate = false) {
    return parts(dim, {Part{w_.dims[dim], units, replicate}});
  }
  // A fused tensor whose parts split by themselves; their extents add up to the dimension.
  Weight& parts(std::uint32_t dim, std::initializer_list<Part> parts) {
    if (parts.size() > PLIMSOLL_MAX_PARTS) throw Error(PLIMSOLL_E_INTERNAL, "", label_ + ": more than 64 parts");
    split(dim);
    parts_.clear();
    for (const Part& part : parts)
      parts_.push_back({PLIMSOLL_SIZE_THROUGH(plimsoll_part, units), part.replicate ? 1U : 0U, part.extent, part.units});
    return *this;
  }
  // Rows of a vocabulary, padded as the engine does.
  Weight& vocab(std::uint32_t dim = 0) { return place(Placement::kVocab, dim); }
  // `count` experts per layer, spread over the expert-parallel group; `dim` of one expert splits over what is
  // left of the tensor-parallel group (PLIMSOLL_WHOLE: nothing does).
  Weight& experts(std::uint64_t count, std::uint32_t dim, ExpertStorage storage = ExpertStorage::kSeparate) {
    w_.experts = count;
    w_.expert_storage = static_cast<std::uint32_t>(storage);
    return place(Placement::kExpert, dim);
  }
  // Whole, on one rank of each tensor-parallel group: this number modulo the group's size.
  Weight& on_rank(std::uint32_t rank) {
    w_.rank = rank;
    return place(Placement::kOne, 0);
  }
  // Kept in host memory, as the ranks that hold it there would hold it on their devices.
  Weight& on_host() {
    w_.memory = PLIMSOLL_MEMORY_HOST;
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
    b.w_.shard_dim = w_.placement == PLIMSOLL_PLACE_EXPERT && w_.shard_dim != out_dim ? PLIMSOLL_WHOLE : 0;
    b.label_ += ".bias";
    const std::size_t at = b.pattern_.rfind(".weight");
    if (at != std::string::npos && at + 7 == b.pattern_.size()) b.pattern_.resize(at);
    b.pattern_ += suffix;
    b.format_.clear();
    return b;
  }

  // Calls `emit` with the filled struct, valid for the call, and returns what it returns.
  template <class Emit>
  auto raw(Emit&& emit) const {
    plimsoll_weight w = w_;
    w.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_weight, rank);
    w.label = to_str(label_);
    w.pattern = to_str(pattern_);
    w.dtype = to_str(dtype_);
    w.format = to_str(format_);
    w.layers = layers_ == nullptr ? nullptr : layers_->data();
    w.n_layers = layers_ == nullptr ? 0 : layers_->size();
    std::array<const plimsoll_part*, PLIMSOLL_MAX_PARTS> parts;
    for (std::size_t i = 0; i < parts_.size(); ++i) parts[i] = &parts_[i];
    w.parts = parts_.empty() ? nullptr : parts.data();
    w.n_parts = parts_.size();
    return emit(w);
  }
  Aspect aspect() const { return static_cast<Aspect>(w_.aspect); }
  bool empty() const { return layers_ != nullptr && layers_->empty(); }

private:
  Weight& place(Placement placement, std::uint32_t dim) {
    w_.placement = static_cast<std::uint32_t>(placement);
    w_.shard_dim = dim;
    return *this;
  }
  plimsoll_weight w_{};
  std::string label_, pattern_, dtype_, format_;
  const std::vector<std::uint32_t>* layers_ = nullptr;
  std::vector<plimsoll_part> parts_;
};

// Layers that cache alike: attention of every kind, or recurrent state.
class KvGroup {
public:
  KvGroup(KvKind kind, std::string label, const std::vector<std::uint32_t>& layers) : label_(std::move(label)), layers_(&layers) {
    g_.kind = static_cast<std::uint32_t>(kind);
    g_.aspect = kind == KvKind::kState ? PLIMSOLL_ASPECT_STATE : PLIMSOLL_ASPECT_ATTENTION;
  }
  KvGroup& heads(std::uint64_t kv_heads, std::uint64_t query_heads, std::uint64_t k_elements, std::uint64_t v_elements) {
    detail::possible((Bytes(k_elements) + v_elements) * kv_heads, label_);
    g_.kv_heads = kv_heads;
    g_.query_heads = query_heads;
    g_.k_elements = k_elements;
    g_.v_elements = v_elements;
    return *this;
  }
  // Where it is not what the kind says: state for STATE, attention for the others.
  KvGroup& aspect(Aspect aspect) {
    g_.aspect = static_cast<std::uint32_t>(aspect);
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
  KvGroup& role(Role role) {
    g_.role = static_cast<std::uint32_t>(role);
    return *this;
  }
  // Of keys and values, whatever the request's KV type is; values as the keys where they are not named.
  KvGroup& dtype(std::string k, std::string v = "") {
    k_dtype_ = std::move(k);
    v_dtype_ = std::move(v);
    return *this;
  }
  KvGroup& scales(std::string dtype, std::uint64_t elements) {
    scale_dtype_ = std::move(dtype);
    g_.scale_elements = elements;
    return *this;
  }
  // A mixed record: fields of one head and token, one after another. Says the width too.
  KvGroup& record(std::initializer_list<std::pair<std::string_view, std::uint64_t>> fields) {
    Bytes elements;
    fields_.clear();
    for (const auto& [dtype, n] : fields) {
      fields_.push_back({std::string(dtype), n});
      elements = elements + n;
    }
    g_.k_elements = elements.value();
    g_.v_elements = 0;
    if (g_.kv_heads == 0) g_.kv_heads = 1;
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
    const std::uint64_t size = detail::possible(elements, label);
    regions_.push_back({std::move(label), std::move(dtype), size, units, per_draft_token});
    return *this;
  }

  // Calls `emit` with the filled struct, valid for the call, and returns what it returns.
  template <class Emit>
  auto raw(Emit&& emit) const {
    plimsoll_kv_group g = g_;
    g.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_kv_group, expanded_v_elements);
    g.label = to_str(label_);
    g.k_dtype = to_str(k_dtype_);
    g.v_dtype = to_str(v_dtype_);
    g.scale_dtype = to_str(scale_dtype_);
    g.layers = layers_->data();
    g.n_layers = layers_->size();
    std::vector<plimsoll_state_region> regions;
    for (const Region& r : regions_)
      regions.push_back({PLIMSOLL_SIZE_THROUGH(plimsoll_state_region, elements_per_draft_token), 0, to_str(r.label), to_str(r.dtype),
                         r.elements, r.units, r.per_draft_token});
    std::vector<plimsoll_kv_field> fields;
    for (const Field& f : fields_) fields.push_back({PLIMSOLL_SIZE_THROUGH(plimsoll_kv_field, elements), 0, to_str(f.dtype), f.elements});
    const auto region_pointers = pointers_to(regions);
    const auto field_pointers = pointers_to(fields);
    g.regions = regions.empty() ? nullptr : region_pointers.data();
    g.n_regions = regions.size();
    g.record = fields.empty() ? nullptr : field_pointers.data();
    g.n_fields = fields.size();
    return emit(g);
  }
  Aspect aspect() const { return static_cast<Aspect>(g_.aspect); }
  bool empty() const { return layers_->empty(); }

private:
  struct Region {
    std::string label, dtype;
    std::uint64_t elements, units, per_draft_token;
  };
  struct Field {
    std::string dtype;
    std::uint64_t elements;
  };
  template <class Raw>
  static std::vector<const Raw*> pointers_to(const std::vector<Raw>& raws) {
    std::vector<const Raw*> out;
    for (const Raw& raw : raws) out.push_back(&raw);
    return out;
  }
  plimsoll_kv_group g_{};
  std::string label_, k_dtype_, v_dtype_, scale_dtype_;
  const std::vector<std::uint32_t>* layers_;
  std::vector<Region> regions_;
  std::vector<Field> fields_;
};

// The largest image, clip or sound that a request may bring, as the cache of encoded media keeps it.
class Entry {
public:
  // `rows` rows of the language model's width.
  Entry(Modality modality, Bytes rows, Bytes row_elements) {
    e_.modality = static_cast<std::uint32_t>(modality);
    e_.aspect = PLIMSOLL_ASPECT_VISION;
    label_ = modality == Modality::kAudio ? "audio" : modality == Modality::kVideo ? "video" : "image";
    detail::possible(rows * row_elements, label_);
    e_.rows = rows.value();
    e_.row_elements = row_elements.value();
  }
  Entry& label(std::string label) {
    label_ = std::move(label);
    return *this;
  }
  Entry& dtype(std::string dtype) {
    dtype_ = std::move(dtype);
    return *this;
  }
  // Positions inside the encoder, before merging, and its width.
  Entry& encoder(Bytes tokens, Bytes elements) {
    e_.encoder_tokens = detail::possible(tokens, label_);
    e_.encoder_elements = detail::possible(elements, label_);
    return *this;
  }
  Entry& most_per_request(std::uint32_t count) {
    e_.most_per_request = count;
    return *this;
  }

  // The filled struct; valid as long as this object is.
  plimsoll_entry raw() const {
    plimsoll_entry e = e_;
    e.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_entry, encoder_elements);
    e.label = to_str(label_);
    e.dtype = to_str(dtype_);
    return e;
  }
  bool empty() const { return e_.rows == 0; }

private:
  plimsoll_entry e_{};
  std::string label_, dtype_;
};

// Bytes of one cause on every rank, or on one. Defaults: activations in device memory that live as long as the server does.
class Item {
public:
  Item(Aspect aspect, std::string label, Bytes bytes, Basis basis) : label_(std::move(label)) {
    i_.aspect = static_cast<std::uint32_t>(aspect);
    i_.rank = PLIMSOLL_ALL_RANKS;
    i_.category = PLIMSOLL_BYTES_ACTIVATION;
    i_.basis = static_cast<std::uint32_t>(basis);
    i_.bytes = bytes.value();
  }
  // Lives in one phase of a forward pass; of all phases the largest counts. Without a name: a phase of its own.
  Item& transient(std::string phase = {}) {
    i_.lifetime = PLIMSOLL_TRANSIENT;
    phase_ = std::move(phase);
    return *this;
  }
  // For every request of the batch that the host decides.
  Item& per_request() {
    i_.lifetime = PLIMSOLL_PER_REQUEST;
    return *this;
  }
  Item& signal() {
    i_.category = PLIMSOLL_BYTES_SIGNAL;
    return *this;
  }
  Item& workspace() {
    i_.category = PLIMSOLL_BYTES_WORKSPACE;
    return *this;
  }
  Item& on_rank(std::uint32_t rank) {
    i_.rank = rank;
    return *this;
  }
  Item& on_host() {
    i_.memory = PLIMSOLL_MEMORY_HOST;
    return *this;
  }
  // Request::formula makes one only where somebody will read it.
  Item& formula(std::string formula) {
    formula_ = std::move(formula);
    return *this;
  }

  // The filled struct; valid as long as this object is.
  plimsoll_item raw() const {
    plimsoll_item i = i_;
    i.struct_size = PLIMSOLL_SIZE_THROUGH(plimsoll_item, phase);
    i.label = to_str(label_);
    i.formula = to_str(formula_);
    i.phase = to_str(phase_);
    return i;
  }

private:
  plimsoll_item i_{};
  std::string label_, formula_, phase_;
};

// What the planner answers to; valid during the call.
class Request {
public:
  Request(const plimsoll_host* host, const plimsoll_request* raw) : host_(host), raw_(raw) {
    if (!PLIMSOLL_HAS(raw, plimsoll_request, engine)) complete(*raw);
  }
  const plimsoll_request* operator->() const { return &raw(); }
  const plimsoll_request& raw() const { return own_ ? *own_ : *raw_; }
  Aspects aspects() const { return Aspects(raw().aspects); }
  bool asks(Aspects some) const { return aspects().has(some); }
  Bytes compute_bytes(Bytes elements) const { return elements * Bytes(raw().compute_bits) / Bytes(8); }
  Bytes kv_bytes(Bytes elements) const { return elements * Bytes(raw().kv_bits) / Bytes(8); }
  Bytes weight_bytes(Bytes elements) const { return elements * Bytes(raw().weight_bits) / Bytes(8); }
  // The pipeline stage of a decoder layer; layers beyond the model's belong to the last stage.
  std::uint32_t stage_of_layer(std::uint64_t layer) const {
    const plimsoll_request& r = raw();
    return layer < r.n_layers && r.stage_of_layer != nullptr ? r.stage_of_layer[layer] : r.pp - 1;
  }
  // A value of the engine profile's `planner` section; nothing where the engine has no such rule.
  std::optional<std::uint64_t> engine(std::string_view pointer) const {
    return raw().engine == nullptr ? std::nullopt : Config(host_, raw().engine).find_u64(pointer);
  }
  std::optional<bool> engine_bool(std::string_view pointer) const {
    return raw().engine == nullptr ? std::nullopt : Config(host_, raw().engine).find_bool(pointer);
  }
  // The same request for those of its aspects.
  Request only(Aspects some) const {
    Request copy = *this;
    copy.own_ = detail::copy_of(raw());
    copy.own_->aspects &= some.bits();
    return copy;
  }
  // A formula with its values, put together only where somebody will read it: formula(8192, " tokens x ", 7168).
  template <class... Pieces>
  std::string formula(const Pieces&... pieces) const {
    std::string out;
    if (raw().explain != 0) (append(out, pieces), ...);
    return out;
  }

private:
  // What an older host leaves out reads as nothing. Out of the way of the calls that need it not.
  [[gnu::noinline]] void complete(const plimsoll_request& shorter) { own_ = detail::copy_of(shorter); }
  static void append(std::string& out, std::string_view text) { out += text; }
  static void append(std::string& out, std::uint64_t number) { out += std::to_string(number); }
  static void append(std::string& out, Bytes number) { out += std::to_string(number.value()); }
  const plimsoll_host* host_;
  const plimsoll_request* raw_;         // the host's: not copied where it is whole
  std::optional<plimsoll_request> own_; // in its place
};

// Where results go. Drops what belongs to no asked aspect; throws where the host refuses.
class Sink {
public:
  Sink(const plimsoll_sink* raw, Aspects aspects) : raw_(raw), aspects_(aspects) {}
  Aspects aspects() const { return aspects_; }
  bool asks(Aspects some) const { return aspects_.has(some); }

  void weight(const Weight& weight) const {
    if (asks(weight.aspect()) && !weight.empty())
      check(weight.raw([&](const plimsoll_weight& raw) { return raw_->weight(raw_->ctx, &raw); }));
  }
  // A linear layer and, where it has one, its bias.
  void weight(const Weight& linear, bool with_bias) const {
    weight(linear);
    if (with_bias) weight(linear.bias());
  }
  void kv(const KvGroup& group) const {
    if (asks(group.aspect()) && !group.empty()) check(group.raw([&](const plimsoll_kv_group& raw) { return raw_->kv(raw_->ctx, &raw); }));
  }
  void entry(const Entry& entry) const {
    const plimsoll_entry raw = entry.raw();
    if (!entry.empty() && asks(Aspects(raw.aspect))) check(raw_->entry(raw_->ctx, &raw));
  }
  void item(const Item& item) const {
    const plimsoll_item raw = item.raw();
    if (asks(Aspects(raw.aspect))) check(raw_->item(raw_->ctx, &raw));
  }
  const plimsoll_sink* raw() const { return raw_; }

private:
  static void check(plimsoll_status status) {
    if (status != PLIMSOLL_OK) throw Error(status, "", "the host refused what was declared");
  }
  const plimsoll_sink* raw_;
  Aspects aspects_;
};

} // namespace plimsoll

#endif
