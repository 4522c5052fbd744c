#include "model/declare.hpp"

#include <algorithm>
#include <fmt/format.h>

#include "plugin/abi_text.hpp"
#include "plugin/declaration_gate.hpp"
#include "storage/named_storage.hpp"
#include "storage/vendor_formats.hpp"

namespace plimsoll {
namespace {

std::optional<CacheKind> cache_kind(std::uint32_t kind) {
  switch (kind) {
  case PLIMSOLL_KV_FULL: return CacheKind::kFull;
  case PLIMSOLL_KV_WINDOW: return CacheKind::kWindow;
  case PLIMSOLL_KV_CHUNK: return CacheKind::kChunk;
  case PLIMSOLL_KV_LATENT: return CacheKind::kLatent;
  case PLIMSOLL_KV_STATE: return CacheKind::kState;
  case PLIMSOLL_KV_CROSS: return CacheKind::kCross;
  default: return std::nullopt;
  }
}
std::optional<Modality> modality(std::uint32_t number) {
  switch (number) {
  case PLIMSOLL_MODALITY_IMAGE: return Modality::kImage;
  case PLIMSOLL_MODALITY_VIDEO: return Modality::kVideo;
  case PLIMSOLL_MODALITY_AUDIO: return Modality::kAudio;
  default: return std::nullopt;
  }
}

constexpr std::size_t kMaxNamedFormats = 256;

std::string text(plimsoll_str s) { return std::string(text_of(s)); }

tl::unexpected<Error> broken(const PlannerNode& node, const std::string& what, const std::string& message) {
  return broken_declaration(node, what, message);
}

// Layer lists must be ascending and free of doubles; the gate has bounded them.
Result<std::vector<std::uint32_t>> layer_list(const PlannerNode& node, const std::string& what, const std::uint32_t* layers,
                                              std::uint64_t n) {
  if (layers == nullptr) return std::vector<std::uint32_t>{};
  std::vector<std::uint32_t> list(layers, layers + n);
  for (std::size_t i = 0; i < list.size(); ++i)
    if (list[i] >= PLIMSOLL_MAX_LAYERS || (i > 0 && list[i] <= list[i - 1]))
      return broken(node, what, fmt::format("layer {} out of order", list[i]));
  return list;
}

// A type by name: the host's, or one of the planner's own manifest.
Result<Dtype> type_of(const PlannerNode& node, const std::string& what, std::string_view name) {
  if (const auto type = find_dtype(name)) return *type;
  if (const Dtype* own = node.family.plugin->manifest.formats->find_type(name)) return *own;
  return broken(node, what, fmt::format("unknown type '{}'; its manifest may define it under `types`", name));
}
Result<std::optional<Dtype>> type_if_named(const PlannerNode& node, const std::string& what, plimsoll_str name) {
  if (name.size == 0) return std::optional<Dtype>();
  PLIMSOLL_ASSIGN(const Dtype type, type_of(node, what, text_of(name)));
  return std::optional(type);
}

class Declarer : public Collector {
public:
  Declarer(Declared& out, const Quantization& quantization, const Dtype& dtype) : out_(out), quantization_(quantization), dtype_(dtype) {}

  Result<void> on_weight(const PlannerNode& node, const plimsoll_weight& raw) override {
    PLIMSOLL_TRY(gate_.check(node, raw));
    WeightClass c;
    c.label = text(raw.label);
    const std::string what = "weight class '" + c.label + "'";
    c.pattern = node.view->rename(text(raw.pattern));
    c.planner = node.id();
    c.aspect = raw.aspect;
    c.stage = raw.stage;
    c.placement = raw.placement;
    c.role = raw.role;
    c.shard_dim = raw.shard_dim;
    c.in_dim = raw.in_dim;
    c.expert_storage = raw.expert_storage;
    c.n_dims = raw.n_dims;
    c.quantizable = raw.quantizable != 0;
    c.experts = raw.experts;
    c.memory = raw.memory == PLIMSOLL_MEMORY_HOST ? MemoryKind::kHost : MemoryKind::kDevice;
    c.rank = raw.rank;
    std::copy_n(raw.dims, c.n_dims, c.dims.begin());
    for (std::uint32_t i = 0; i < c.n_dims; ++i)
      if (c.dims[i] == 0)
        return fail(ErrorCode::kBadConfig,
                    fmt::format("the configuration makes dimension {} of {} zero (planner '{}')", i, what, node.id()));
    PLIMSOLL_ASSIGN(const std::optional<Dtype> own, type_if_named(node, what, raw.dtype));
    c.own_dtype = own.has_value();
    c.dtype = own.value_or(dtype_);
    PLIMSOLL_ASSIGN(c.layers, layer_list(node, what, raw.layers, raw.n_layers));
    if (raw.layers != nullptr && c.layers.empty()) return {};
    PLIMSOLL_TRY(gate_.take_tensors(node, c.label, c.pattern, c.layers));
    PLIMSOLL_TRY(read_parts(node, what, raw, c));
    PLIMSOLL_TRY(choose_storage(node, what, raw, c));
    if (c.declared_bytes().overflowed() || c.parameters().overflowed())
      return fail(ErrorCode::kBadConfig,
                  fmt::format("the bytes of {} do not fit 64 bits; check the sizes in the configuration (planner '{}')", what, node.id()));
    out_.weights.push_back(std::move(c));
    return {};
  }

  Result<void> on_kv(const PlannerNode& node, const plimsoll_kv_group& raw) override {
    PLIMSOLL_TRY(gate_.check(node, raw));
    KvGroup g;
    g.label = text(raw.label);
    const std::string what = "KV group '" + g.label + "'";
    g.planner = node.id();
    const std::optional<CacheKind> kind = cache_kind(raw.kind);
    if (!kind) return broken(node, what, "a kind outside the contract");
    g.kind = *kind;
    g.role = raw.role;
    g.tokens_per_slot = std::max<std::uint32_t>(raw.tokens_per_slot, 1);
    g.kv_heads = raw.kv_heads;
    g.query_heads = raw.query_heads;
    g.k_elements = raw.k_elements;
    g.v_elements = raw.v_elements;
    g.scale_elements = raw.scale_elements;
    g.window_tokens = raw.window_tokens;
    g.fixed_tokens = raw.fixed_tokens;
    g.bound = raw.bound != 0;
    g.rope_elements = raw.rope_elements;
    g.expanded_k_elements = raw.expanded_k_elements;
    g.expanded_v_elements = raw.expanded_v_elements;
    if (g.rope_elements > g.k_elements) return broken(node, what, "a rotary part wider than the whole");
    PLIMSOLL_ASSIGN(g.layers, layer_list(node, what, raw.layers, raw.n_layers));
    if (g.layers.empty()) return {};
    PLIMSOLL_TRY(gate_.take_layers(node, g.label, g.layers));
    PLIMSOLL_TRY(read_types(node, what, raw, g));
    PLIMSOLL_TRY(read_regions(node, what, raw, g));
    if (g.kind == CacheKind::kState ? g.regions.empty() : (g.kv_heads == 0 || g.k_elements + g.v_elements == 0))
      return fail(ErrorCode::kBadConfig,
                  fmt::format("{} has no heads or no width; check the configuration (planner '{}')", what, node.id()));
    if (is_windowed(g.kind) && g.window_tokens == 0) return broken(node, what, "a window of no tokens");
    if (g.kind == CacheKind::kState && g.window_tokens != 0)
      for (const StateRegion& region : g.regions)
        if ((Checked(region.elements_per_draft_token) * g.window_tokens).saturated() != region.elements)
          return broken(node, what, fmt::format("a state '{}' that is not a row for each token of its window", region.label));
    g.kept_layers = std::make_shared<const std::vector<std::uint32_t>>(g.layers);
    out_.kv.push_back(std::move(g));
    return {};
  }

  Result<void> on_entry(const PlannerNode& node, const plimsoll_entry& raw) override {
    PLIMSOLL_TRY(gate_.check(node, raw));
    MediaEntry e;
    e.label = text(raw.label);
    const std::string what = "entry '" + e.label + "'";
    const std::optional<Modality> kind = modality(raw.modality);
    if (!kind) return broken(node, what, "a modality outside the contract");
    if (out_.entry_of(*kind) != nullptr) return broken(node, what, fmt::format("a second entry of the modality {}", modality_name(*kind)));
    e.modality = *kind;
    e.planner = node.id();
    e.rows = raw.rows;
    e.row_elements = raw.row_elements;
    e.encoder_tokens = raw.encoder_tokens;
    e.encoder_elements = raw.encoder_elements;
    e.most_per_request = raw.most_per_request;
    PLIMSOLL_ASSIGN(e.type, type_if_named(node, what, raw.dtype));
    if (e.rows != 0 && e.row_elements != 0) out_.entries.push_back(std::move(e));
    return {};
  }

private:
  static Result<void> read_parts(const PlannerNode& node, const std::string& what, const plimsoll_weight& raw, WeightClass& c) {
    if (c.placement == PLIMSOLL_PLACE_REPLICATE || c.placement == PLIMSOLL_PLACE_ONE) return {};
    if (c.placement == PLIMSOLL_PLACE_EXPERT && c.shard_dim == PLIMSOLL_WHOLE) return {};
    if (c.shard_dim >= c.n_dims) return broken(node, what, "it splits along a dimension that it does not have");
    if (raw.parts == nullptr) {
      c.parts.push_back({c.dims[c.shard_dim], 0, false});
      return {};
    }
    Checked sum = 0;
    for (std::uint64_t i = 0; i < raw.n_parts; ++i) {
      const plimsoll_part& part = *raw.parts[i];
      if (part.units != 0 && part.extent % part.units != 0) return broken(node, what, "a part whose extent is no multiple of its units");
      c.parts.push_back({part.extent, part.units, part.replicate != 0});
      sum += part.extent;
    }
    if (sum.overflowed() || sum.value() != c.dims[c.shard_dim])
      return fail(ErrorCode::kBadConfig,
                  fmt::format("the parts of {} add up to {}, its dimension is {}; the configuration contradicts itself (planner '{}')",
                              what, sum.saturated(), c.dims[c.shard_dim], node.id()));
    return {};
  }

  static Result<void> read_types(const PlannerNode& node, const std::string& what, const plimsoll_kv_group& raw, KvGroup& g) {
    PLIMSOLL_ASSIGN(g.k_type, type_if_named(node, what, raw.k_dtype));
    PLIMSOLL_ASSIGN(g.v_type, type_if_named(node, what, raw.v_dtype));
    PLIMSOLL_ASSIGN(g.scale_type, type_if_named(node, what, raw.scale_dtype));
    if (g.v_type && !g.k_type) return broken(node, what, "a type for its values and none for its keys");
    if (g.k_type && !g.v_type) g.v_type = g.k_type;
    if (raw.n_fields != 0 && g.k_type) return broken(node, what, "types beside those of its record");
    Checked elements = 0;
    for (std::uint64_t i = 0; i < raw.n_fields; ++i) {
      PLIMSOLL_ASSIGN(const Dtype type, type_of(node, what, text_of(raw.record[i]->dtype)));
      g.record.push_back({type, raw.record[i]->elements});
      elements += raw.record[i]->elements;
    }
    if (raw.n_fields != 0 && elements.saturated() != g.k_elements + g.v_elements)
      return broken(node, what,
                    fmt::format("a record of {} elements; its keys and values have {}", elements.saturated(), g.k_elements + g.v_elements));
    return {};
  }

  static Result<void> read_regions(const PlannerNode& node, const std::string& what, const plimsoll_kv_group& raw, KvGroup& g) {
    for (std::uint64_t i = 0; i < raw.n_regions; ++i) {
      const plimsoll_state_region& region = *raw.regions[i];
      StateRegion out;
      out.label = text(region.label);
      out.recurrent = region.dtype.size != 0;
      if (out.recurrent && text_of(region.dtype) != "state") {
        PLIMSOLL_ASSIGN(const Dtype type, type_of(node, fmt::format("{}, state '{}'", what, out.label), text_of(region.dtype)));
        out.type = type;
      }
      out.elements = region.elements;
      out.units = region.units;
      out.elements_per_draft_token = region.elements_per_draft_token;
      g.regions.push_back(std::move(out));
    }
    return {};
  }

  Result<void> choose_storage(const PlannerNode& node, const std::string& what, const plimsoll_weight& raw, WeightClass& c) {
    static const Storage kPlain;
    if ((c.quantizable || raw.format.size != 0) && c.n_dims >= 2 && c.in_dim >= c.n_dims)
      return broken(node, what, "its input features run along a dimension that it does not have");
    if (raw.format.size != 0) {
      const Storage* named = named_format(node, text_of(raw.format));
      if (named == nullptr)
        return broken(node, what,
                      fmt::format("unknown storage format '{}'; its manifest may define it under `formats`, others are {}",
                                  text_of(raw.format), storage_name_patterns()));
      if (c.n_dims < 2 && !named->is_plain()) return broken(node, what, "a storage format of linear layers, but fewer than two dimensions");
      c.variants.push_back({named, c.layers});
      return {};
    }
    const bool ends = c.aspect == PLIMSOLL_ASPECT_EMBED || c.aspect == PLIMSOLL_ASPECT_HEAD;
    const bool table = ends && quantization_.ends_too() && c.placement == PLIMSOLL_PLACE_VOCAB && c.n_dims == 2;
    if (table) c.in_dim = 1;
    if ((!c.quantizable && !table) || !quantization_.quantized() || c.n_dims < 2) {
      c.variants.push_back({&kPlain, c.layers});
      return {};
    }
    if (quantization_.layers_alone() && (c.aspect == PLIMSOLL_ASPECT_VISION || c.role == PLIMSOLL_ROLE_DRAFT)) {
      c.variants.push_back({&kPlain, c.layers});
      return {};
    }
    const auto storage_of = [&](std::uint64_t layer) {
      std::string module = tensor_name(c.pattern, layer, 0);
      if (module.ends_with(".weight")) module.resize(module.size() - 7);
      return &quantization_.storage_for(module, ends);
    };
    if (c.layers.empty()) {
      c.variants.push_back({storage_of(0), {}});
      return {};
    }
    for (const std::uint32_t layer : c.layers) {
      const Storage* storage = storage_of(layer);
      auto it = std::find_if(c.variants.begin(), c.variants.end(), [&](const WeightVariant& v) { return v.storage == storage; });
      if (it == c.variants.end()) it = c.variants.insert(c.variants.end(), {storage, {}});
      it->layers.push_back(layer);
    }
    return {};
  }

  const Storage* named_format(const PlannerNode& node, std::string_view name) {
    if (const Storage* own = node.family.plugin->manifest.formats->find_format(name)) return own;
    for (const auto& known : out_.named_formats)
      if (known->name() == name) return known.get();
    auto found = out_.named_formats.size() < kMaxNamedFormats ? find_storage(name) : std::nullopt;
    if (!found) return nullptr;
    return out_.named_formats.emplace_back(std::make_shared<const Storage>(std::move(*found))).get();
  }

  DeclarationGate gate_;
  Declared& out_;
  const Quantization& quantization_;
  Dtype dtype_;
};

} // namespace

Result<Declared> declare(const Planners& planners, const Quantization& quantization, const Dtype& dtype) {
  Declared out;
  for (const VendorFormats* formats : planners.vendor_formats())
    out.scale_names.insert(out.scale_names.end(), formats->scale_names.begin(), formats->scale_names.end());
  Declarer declarer(out, quantization, dtype);
  PLIMSOLL_TRY(planners.weights(declarer));
  PLIMSOLL_TRY(planners.kv(declarer));
  PLIMSOLL_ASSIGN(out.facts, planners.facts());
  PLIMSOLL_TRY(check_facts(planners.root(), out.facts));
  PLIMSOLL_TRY(planners.entries(declarer));
  return out;
}

} // namespace plimsoll
