#include "model/declared.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <span>

#include "model/declaration_gate.hpp"
#include "storage/named_storage.hpp"

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

constexpr std::size_t kMaxNamedFormats = 256;

std::string text(plimsoll_str s) {
  return s.data == nullptr ? std::string() : std::string(s.data, static_cast<std::size_t>(std::min<std::uint64_t>(s.size, 512)));
}

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

class Declarer : public Collector {
public:
  Declarer(Declared& out, const Quantization& quantization, const Dtype& dtype) : out_(out), quantization_(quantization), dtype_(dtype) {}

  Result<void> on_weight(const PlannerNode& node, const plimsoll_weight& raw) override {
    if (!PLIMSOLL_HAS(&raw, plimsoll_weight, n_parts)) return broken(node, "a weight class", "its struct is smaller than version 1.0");
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
    if (c.n_dims > 4 || c.stage > PLIMSOLL_STAGE_EVERY || c.placement > PLIMSOLL_PLACE_EXPERT || c.role > PLIMSOLL_ROLE_TIED ||
        c.expert_storage > PLIMSOLL_EXPERTS_CONCATENATED || c.experts > PLIMSOLL_MAX_EXPERTS)
      return broken(node, what, "a value outside the contract");
    if ((raw.aspect & node.family.family->aspects) != raw.aspect || raw.aspect == 0)
      return broken(node, what, "an aspect that its family does not count");
    std::copy_n(raw.dims, c.n_dims, c.dims.begin());
    for (std::uint32_t i = 0; i < c.n_dims; ++i)
      if (c.dims[i] == 0)
        return fail(ErrorCode::kBadConfig,
                    fmt::format("the configuration makes dimension {} of {} zero (planner '{}')", i, what, node.id()));
    c.dtype = dtype_;
    if (raw.dtype.size != 0) {
      const auto type = find_dtype(text(raw.dtype));
      if (!type) return broken(node, what, fmt::format("unknown type '{}'", text(raw.dtype)));
      c.own_dtype = true;
      c.dtype = *type;
    }
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
    if (!PLIMSOLL_HAS(&raw, plimsoll_kv_group, bound)) return broken(node, "a KV group", "its struct is smaller than version 1.0");
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
    g.dtype = text(raw.dtype);
    g.scale_dtype = text(raw.scale_dtype);
    g.kv_heads = raw.kv_heads;
    g.query_heads = raw.query_heads;
    g.k_elements = raw.k_elements;
    g.v_elements = raw.v_elements;
    g.scale_elements = raw.scale_elements;
    g.window_tokens = raw.window_tokens;
    g.fixed_tokens = raw.fixed_tokens;
    g.bound = raw.bound != 0;
    if (PLIMSOLL_HAS(&raw, plimsoll_kv_group, expanded_v_elements)) {
      g.rope_elements = raw.rope_elements;
      g.expanded_k_elements = raw.expanded_k_elements;
      g.expanded_v_elements = raw.expanded_v_elements;
    }
    if (g.rope_elements > g.k_elements) return broken(node, what, "a rotary part wider than the whole");
    PLIMSOLL_ASSIGN(g.layers, layer_list(node, what, raw.layers, raw.n_layers));
    if (g.layers.empty()) return {};
    PLIMSOLL_TRY(gate_.take_layers(node, g.label, g.layers));
    for (std::uint64_t i = 0; i < raw.n_regions; ++i) {
      if (raw.regions == nullptr || raw.regions[i] == nullptr) return broken(node, what, "a state region that is not there");
      if (!PLIMSOLL_HAS(raw.regions[i], plimsoll_state_region, elements_per_draft_token))
        return broken(node, what, "a state region smaller than version 1.0");
      const plimsoll_state_region& region = *raw.regions[i];
      g.regions.push_back({text(region.label), text(region.dtype), region.elements, region.units, region.elements_per_draft_token});
    }
    if (g.kind == CacheKind::kState ? g.regions.empty() : (g.kv_heads == 0 || g.k_elements + g.v_elements == 0))
      return fail(ErrorCode::kBadConfig,
                  fmt::format("{} has no heads or no width; check the configuration (planner '{}')", what, node.id()));
    if (is_windowed(g.kind) && g.window_tokens == 0) return broken(node, what, "a window of no tokens");
    if (g.kind == CacheKind::kState && g.window_tokens != 0)
      for (const StateRegion& region : g.regions)
        if ((Checked(region.elements_per_draft_token) * g.window_tokens).saturated() != region.elements)
          return broken(node, what, fmt::format("a state '{}' that is not a row for each token of its window", region.label));
    for (const StateRegion& region : g.regions)
      if (!region.dtype.empty() && region.dtype != "state" && !find_dtype(region.dtype))
        return broken(node, what, fmt::format("unknown type '{}' of state '{}'", region.dtype, region.label));
    for (const std::string& type : {g.dtype, g.scale_dtype})
      if (!type.empty() && !find_dtype(type)) return broken(node, what, fmt::format("unknown type '{}'", type));
    g.kept_layers = std::make_shared<const std::vector<std::uint32_t>>(g.layers);
    out_.kv.push_back(std::move(g));
    return {};
  }

private:
  static Result<void> read_parts(const PlannerNode& node, const std::string& what, const plimsoll_weight& raw, WeightClass& c) {
    if (c.placement == PLIMSOLL_PLACE_REPLICATE) return {};
    if (c.placement == PLIMSOLL_PLACE_EXPERT && c.shard_dim == UINT32_MAX) return {};
    if (c.shard_dim >= c.n_dims) return broken(node, what, "it splits along a dimension that it does not have");
    if (raw.parts == nullptr) {
      c.parts.push_back({c.dims[c.shard_dim], 0, false});
      return {};
    }
    Checked sum = 0;
    for (std::uint64_t i = 0; i < raw.n_parts; ++i) {
      const plimsoll_part& part = raw.parts[i];
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

  Result<void> choose_storage(const PlannerNode& node, const std::string& what, const plimsoll_weight& raw, WeightClass& c) {
    static const Storage kPlain;
    if ((c.quantizable || raw.format.size != 0) && c.n_dims >= 2 && c.in_dim >= c.n_dims)
      return broken(node, what, "its input features run along a dimension that it does not have");
    if (raw.format.size != 0) {
      const Storage* named = named_format(text(raw.format));
      if (named == nullptr)
        return broken(node, what, fmt::format("unknown storage format '{}'; formats are {}", text(raw.format), storage_name_patterns()));
      c.variants.push_back({named, c.layers});
      return {};
    }
    if (!c.quantizable || !quantization_.quantized() || c.n_dims < 2) {
      c.variants.push_back({&kPlain, c.layers});
      return {};
    }
    const bool stays = c.aspect == PLIMSOLL_ASPECT_EMBED || c.aspect == PLIMSOLL_ASPECT_HEAD;
    const auto storage_of = [&](std::uint64_t layer) {
      std::string module = tensor_name(c.pattern, layer, 0);
      if (module.ends_with(".weight")) module.resize(module.size() - 7);
      return &quantization_.storage_for(module, stays);
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

  const Storage* named_format(std::string_view name) {
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

std::string tensor_name(std::string_view pattern, std::uint64_t layer, std::uint64_t expert) {
  std::string name(pattern);
  for (const auto& [mark, number] : {std::pair<std::string_view, std::uint64_t>{"{layer}", layer}, {"{expert}", expert}})
    if (const std::size_t at = name.find(mark); at != std::string::npos) name.replace(at, mark.size(), std::to_string(number));
  return name;
}

Checked WeightClass::elements_of_one() const {
  Checked product = 1;
  for (std::uint32_t i = 0; i < n_dims; ++i) product *= dims[i];
  return product;
}

Checked WeightClass::bytes_of_one(const Storage& storage, const std::array<std::uint64_t, 4>& local, const Dtype& base) const {
  if (storage.is_plain()) {
    Checked product = 1;
    for (std::uint32_t i = 0; i < n_dims; ++i) product *= local[i];
    return base.bytes(product);
  }
  LinearShape shape = LinearShape::of(std::span(local.data(), n_dims), base);
  shape.in_dim = static_cast<std::uint8_t>(in_dim);
  shape.out_dim = static_cast<std::uint8_t>(in_dim + 1 == n_dims ? n_dims - 2 : n_dims - 1);
  Checked sum = storage.bytes(shape);
  // Exporters that convert linear layers take stacked experts apart: each half of a fused tensor has scalars of its own.
  if (expert_storage != PLIMSOLL_EXPERTS_SEPARATE && parts.size() > 1) sum += storage.scalar_bytes(base) * (parts.size() - 1);
  return sum;
}

Checked WeightClass::parameters() const {
  if (role == PLIMSOLL_ROLE_TIED || n_dims == 0) return 0;
  return elements_of_one() * count();
}

Checked WeightClass::declared_bytes() const {
  if (role == PLIMSOLL_ROLE_TIED) return 0;
  Checked sum = 0;
  for (const WeightVariant& v : variants)
    sum += bytes_of_one(*v.storage, dims, dtype) * (v.layers.empty() ? 1 : v.layers.size()) * (experts == 0 ? 1 : experts);
  return sum;
}

Result<Declared> declare(const PlannerTree& tree, const Quantization& quantization, const Dtype& dtype) {
  Declared out;
  Declarer declarer(out, quantization, dtype);
  PLIMSOLL_TRY(tree.weights(declarer));
  PLIMSOLL_TRY(tree.kv(declarer));
  PLIMSOLL_ASSIGN(out.facts, tree.facts());
  PLIMSOLL_TRY(check_facts(tree.root(), out.facts));
  PLIMSOLL_ASSIGN(const plimsoll_vision_entry vision, tree.vision_entry());
  PLIMSOLL_TRY(check_vision(tree.root(), vision));
  out.vision = {vision.rows, vision.row_elements, vision.tower_tokens, vision.tower_elements, text(vision.dtype)};
  return out;
}

} // namespace plimsoll
