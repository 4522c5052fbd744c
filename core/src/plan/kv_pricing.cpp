#include "plan/kv_pricing.hpp"

#include <fmt/format.h>

#include "plan/placement.hpp"

namespace plimsoll {
namespace {

// KV heads of one rank: whole ones, copied where there are more ranks than heads; a latent is copied everywhere.
Result<std::uint64_t> local_heads(const KvGroup& g, const Layout& layout) {
  if (g.query_heads != 0 && g.query_heads % layout.tp != 0)
    return fail(
        ErrorCode::kBadRequest,
        fmt::format("a tensor-parallel degree of {} does not divide the {} attention heads of '{}'", layout.tp, g.query_heads, g.label),
        "--tp");
  if (g.kind == PLIMSOLL_KV_LATENT) return g.kv_heads;
  return local_extent({g.kv_heads, g.kv_heads, true}, 0, layout.tp, g.label);
}

Result<std::uint64_t> state_of_one_layer(const KvGroup& g, const Layout& layout, const KvTypes& types, std::uint32_t num_draft_tokens) {
  Checked sum = 0;
  for (const StateRegion& region : g.regions) {
    Checked elements = Checked(region.elements) + Checked(region.elements_per_draft_token) * num_draft_tokens;
    if (region.units != 0) {
      if (region.units % layout.tp != 0 && layout.tp % region.units != 0)
        return fail(
            ErrorCode::kBadRequest,
            fmt::format("a tensor-parallel degree of {} does not divide the {} heads of state '{}'", layout.tp, region.units, region.label),
            "--tp");
      elements = ceil_div(elements.saturated(), std::min<std::uint64_t>(region.units, layout.tp));
    }
    const Dtype type = region.dtype.empty()      ? types.model
                       : region.dtype == "state" ? types.state
                                                 : find_dtype(region.dtype).value_or(types.state);
    sum += type.bytes(elements);
  }
  return sum.get(fmt::format("the state of '{}'", g.label));
}

} // namespace

Result<KvTypes> parse_kv_types(const std::string& text, const std::string& where) {
  const std::size_t slash = text.find('/');
  const auto k = find_dtype(text.substr(0, slash));
  const auto v = slash == std::string::npos ? k : find_dtype(text.substr(slash + 1));
  if (!k || !v)
    return fail(ErrorCode::kBadRequest,
                fmt::format("'{}' is not a type; try bfloat16, float16, float32, float8_e4m3fn or q8_0, or a pair K/V", text.substr(0, 64)),
                where);
  KvTypes types;
  types.k = *k, types.v = *v;
  types.state = types.model = *find_dtype("bfloat16");
  types.name = slash == std::string::npos ? std::string(k->name) : fmt::format("{}/{}", k->name, v->name);
  return types;
}

Result<std::vector<KvGroupPrice>> price_kv(const Declared& declared, const Layout& layout, std::uint32_t stage, const KvTypes& types,
                                           std::uint64_t page_tokens, std::uint32_t num_draft_tokens, bool draft) {
  std::vector<KvGroupPrice> prices;
  for (const KvGroup& g : declared.kv) {
    if (g.role == PLIMSOLL_ROLE_DRAFT && !draft) continue;
    KvGroupPrice price;
    price.group = &g;
    price.layers = layout.layers_on_stage(g.layers, stage);
    if (g.kind == PLIMSOLL_KV_STATE) {
      PLIMSOLL_ASSIGN(const std::uint64_t one, state_of_one_layer(g, layout, types, num_draft_tokens));
      PLIMSOLL_ASSIGN(price.state_bytes, (Checked(one) * price.layers).get("the recurrent state"));
    } else {
      PLIMSOLL_ASSIGN(const std::uint64_t heads, local_heads(g, layout));
      const Dtype k = g.dtype.empty() ? types.k : *find_dtype(g.dtype), v = g.dtype.empty() ? types.v : *find_dtype(g.dtype);
      Checked token = k.bytes(Checked(heads) * g.k_elements) + v.bytes(Checked(heads) * g.v_elements);
      if (g.scale_elements != 0 && !g.scale_dtype.empty())
        token += find_dtype(g.scale_dtype)
                     ->bytes(Checked(heads) * (ceil_div(g.k_elements, g.scale_elements) + ceil_div(g.v_elements, g.scale_elements)));
      const std::uint64_t slots = ceil_div(page_tokens, g.tokens_per_slot);
      PLIMSOLL_ASSIGN(price.page_bytes, (token * price.layers * slots).get("a KV page"));
      PLIMSOLL_ASSIGN(price.token_bytes, (token * price.layers).get("the KV cache of a token"));
      price.token_bytes /= g.tokens_per_slot;
    }
    prices.push_back(price);
  }
  return prices;
}

} // namespace plimsoll
