#include "kv/pricing.hpp"

#include <fmt/format.h>

#include "placement/weight_shard.hpp"

namespace plimsoll {
namespace {

// KV heads of one rank: whole ones, copied where there are more ranks than heads; a latent is copied everywhere.
Result<std::uint64_t> local_heads(const KvGroup& g, const RankLayout& layout) {
  if (g.query_heads != 0 && g.query_heads % layout.tp != 0)
    return fail(ErrorCode::kBadRequest,
                fmt::format("a tensor-parallel degree of {} does not divide the {} attention heads of '{}'; {} do", layout.tp,
                            g.query_heads, g.label, degrees_text(g.query_heads)),
                "--tp");
  if (g.kind == CacheKind::kLatent) return g.kv_heads;
  return local_extent({g.kv_heads, g.kv_heads, true}, 0, layout.tp, g.label);
}

// What the engine keeps it in, else what the checkpoint asks for, else the model's own type.
Dtype state_type(const StateRegion& region, const KvTypes& types) {
  return (region.recurrent ? types.state : types.conv).value_or(region.type.value_or(types.model));
}

Result<std::uint64_t> state_of_one_layer(const KvGroup& g, const RankLayout& layout, const KvTypes& types, std::uint32_t num_draft_tokens,
                                         std::vector<StatePart>& parts) {
  Checked sum = 0;
  for (const StateRegion& region : g.regions) {
    Checked elements = Checked(region.elements) + Checked(region.elements_per_draft_token) * num_draft_tokens;
    if (region.units != 0) {
      if (region.units % layout.tp != 0 && layout.tp % region.units != 0)
        return fail(ErrorCode::kBadRequest,
                    fmt::format("a tensor-parallel degree of {} does not divide the {} heads of state '{}'; {} do", layout.tp, region.units,
                                region.label, degrees_text(region.units)),
                    "--tp");
      elements = ceil_div(elements.saturated(), std::min<std::uint64_t>(region.units, layout.tp));
    }
    const Dtype type = state_type(region, types);
    sum += type.bytes(elements);
    parts.push_back({type.name, elements.saturated()});
  }
  return sum.get(fmt::format("the state of '{}'", g.label));
}

// A type for K or V. Four-bit floats always have scales in a cache; "_per_token_head" adds one float32 to a head.
std::optional<Dtype> cache_type(std::string_view text, std::uint64_t& head_bytes) {
  constexpr std::string_view kScaled = "_per_token_head";
  if (text.ends_with(kScaled)) {
    head_bytes = 4;
    text.remove_suffix(kScaled.size());
  }
  std::optional<Dtype> type = find_dtype(text == "int4" ? "float4_e2m1fn" : text);
  if (type && type->name == "float4_e2m1fn" && head_bytes == 0) type = find_dtype("nvfp4");
  return type;
}

// A scale for so many elements, of keys and of values.
Checked scale_bytes(const KvGroup& g, std::uint64_t heads) {
  if (g.scale_elements == 0 || !g.scale_type) return 0;
  return g.scale_type->bytes(Checked(heads) * (ceil_div(g.k_elements, g.scale_elements) + ceil_div(g.v_elements, g.scale_elements)));
}

// A mixed record: its fields as they are, whatever KV type was asked for, and its scales.
Checked record_bytes(const KvGroup& g, std::uint64_t heads, KvSlot& slot) {
  slot.kv_heads = heads;
  slot.k_elements = g.k_elements;
  slot.v_elements = g.v_elements;
  Checked one = 0;
  for (const KvField& field : g.record) one += field.type.bytes(field.elements);
  return one * heads + scale_bytes(g, heads);
}

// Bytes of one slot of one layer on one rank, and what they are.
Result<Checked> slot_bytes(const KvGroup& g, const RankLayout& layout, const KvTypes& types, KvSlot& slot) {
  PLIMSOLL_ASSIGN(const std::uint64_t heads, local_heads(g, layout));
  if (!g.record.empty()) return record_bytes(g, heads, slot);
  const bool window = is_windowed(g.kind);
  const Dtype k = g.k_type.value_or(window ? types.window.value_or(types.k) : types.k);
  const Dtype v = g.v_type.value_or(window ? types.window.value_or(types.v) : types.v);
  std::uint64_t k_elements = g.k_elements, v_elements = g.v_elements;
  Checked copies = heads;
  slot.k_dtype = k.name;
  slot.v_dtype = v.name;
  const std::uint64_t latent = g.k_elements - std::min(g.k_elements, g.rope_elements);
  if (g.kind == CacheKind::kLatent && !g.own_type() && g.rope_elements > 0) {
    if (types.latent == LatentCache::kHeads && g.expanded_k_elements > 0) {
      PLIMSOLL_ASSIGN(copies, local_extent({g.query_heads, g.query_heads, true}, 0, layout.tp, g.label));
      slot.kind = CacheKind::kFull;
      k_elements = g.expanded_k_elements;
      v_elements = g.expanded_v_elements;
    } else if (types.latent == LatentCache::kLatentAndValues) {
      v_elements = latent;
    } else if (types.packed_latent && k.block_bytes * 8 / k.block_elements == 8) {
      slot.kv_heads = heads;
      slot.k_elements = k_elements;
      return Checked(latent) + Checked(ceil_div(latent, 128)) * 4 + Checked(g.rope_elements) * 2;
    }
  }
  if (v_elements > 0 && (copies * v_elements).saturated() < types.value_row_elements)
    v_elements = ceil_div(types.value_row_elements, std::max<std::uint64_t>(1, copies.saturated()));
  slot.kv_heads = copies.saturated();
  slot.k_elements = k_elements;
  slot.v_elements = v_elements;
  Checked bytes = k.bytes(copies * k_elements) + v.bytes(copies * v_elements);
  if (!g.own_type() && g.kind != CacheKind::kLatent) bytes += copies * (types.k_head_bytes + types.v_head_bytes);
  return bytes + scale_bytes(g, heads);
}

} // namespace

Dtype cache_type_of(const Dtype& weights) {
  const bool floating = weights.block_elements == 1 && weights.block_bytes >= 2 && weights.name.find("float") != std::string_view::npos;
  return floating ? weights : *find_dtype("bfloat16");
}

Result<KvTypes> parse_kv_types(const std::string& text, const std::string& where) {
  const std::size_t slash = text.find('/');
  KvTypes types;
  const auto k = cache_type(std::string_view(text).substr(0, slash), types.k_head_bytes);
  const auto v = slash == std::string::npos ? k : cache_type(std::string_view(text).substr(slash + 1), types.v_head_bytes);
  if (slash == std::string::npos) types.v_head_bytes = types.k_head_bytes;
  if (!k || !v)
    return fail(ErrorCode::kBadRequest,
                fmt::format("'{}' is not a type; try bfloat16, float16, float32, float8_e4m3fn or q8_0, or a pair K/V", text.substr(0, 64)),
                where);
  types.k = *k;
  types.v = *v;
  types.model = *find_dtype("bfloat16");
  const auto name = [](const Dtype& type, std::uint64_t head_bytes) {
    return fmt::format("{}{}", type.name, head_bytes > 0 ? "_per_token_head" : "");
  };
  types.name = slash == std::string::npos ? name(*k, types.k_head_bytes)
                                          : fmt::format("{}/{}", name(*k, types.k_head_bytes), name(*v, types.v_head_bytes));
  return types;
}

Result<std::vector<KvGroupPrice>> price_kv(const Declared& declared, const RankLayout& layout, std::uint32_t stage, const KvTypes& types,
                                           std::uint64_t page_tokens, std::uint32_t num_draft_tokens, bool draft) {
  std::vector<KvGroupPrice> prices;
  for (const KvGroup& g : declared.kv) {
    if (g.role == PLIMSOLL_ROLE_DRAFT && !draft) continue;
    KvGroupPrice price;
    price.group = &g;
    price.slot.kind = g.kind;
    price.first_layer = stage == layout.host_stage() ? 0 : layout.layers_before_stage(g.layers, stage);
    price.layers = layout.layers_on_stage(g.layers, stage);
    if (g.kind == CacheKind::kState) {
      PLIMSOLL_ASSIGN(price.layer_state_bytes, state_of_one_layer(g, layout, types, num_draft_tokens, price.state_parts));
      PLIMSOLL_ASSIGN(price.state_bytes, (Checked(price.layer_state_bytes) * price.layers).get("the recurrent state"));
      if (g.window_tokens > 0)
        for (const StateRegion& region : g.regions)
          price.row_bytes.push_back(state_type(region, types).bytes(region.elements_per_draft_token).saturated());
    } else {
      PLIMSOLL_ASSIGN(const Checked slot, slot_bytes(g, layout, types, price.slot));
      PLIMSOLL_ASSIGN(price.layer_slot_bytes, slot.get("the KV cache of a token"));
      PLIMSOLL_ASSIGN(price.page_bytes, (slot * price.layers * ceil_div(page_tokens, g.tokens_per_slot)).get("a KV page"));
      PLIMSOLL_ASSIGN(price.token_bytes, (slot * price.layers).get("the KV cache of a token"));
      price.token_bytes /= g.tokens_per_slot;
    }
    prices.push_back(price);
  }
  return prices;
}

} // namespace plimsoll
