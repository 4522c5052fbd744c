#include "checkpoint/gguf_names.hpp"

#include <charconv>
#include <cstddef>
#include <system_error>

namespace plimsoll {
namespace {

constexpr std::string_view kLayerPrefix = "blk.";

// Takes the number at the start of `text`; empty where there is none.
std::string_view leading_number(std::string_view text) {
  std::size_t digits = 0;
  while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') ++digits;
  return text.substr(0, digits);
}

// "x.weight" into "x" and ".weight"; other names have no suffix.
std::string_view take_suffix(std::string_view& name) {
  for (const std::string_view suffix : {".weight", ".bias", ".scale"})
    if (name.size() > suffix.size() && name.ends_with(suffix)) {
      name.remove_suffix(suffix.size());
      return suffix;
    }
  return {};
}

// Does `name` fit `pattern`? `number` is what stands for its `{}`.
bool fits(std::string_view pattern, std::string_view name, std::string_view& number) {
  const std::size_t hole = pattern.find("{}");
  if (!name.starts_with(pattern.substr(0, hole))) return false;
  number = leading_number(name.substr(hole));
  return !number.empty() && name.substr(hole + number.size()) == pattern.substr(hole + 2);
}

// "blk.3.x" into "x"; false where the name is of no layer.
bool without_layer(std::string_view& stored) {
  if (!stored.starts_with(kLayerPrefix)) return false;
  std::string_view rest = stored.substr(kLayerPrefix.size());
  rest.remove_prefix(leading_number(rest).size());
  if (!rest.starts_with('.')) return false;
  stored = rest.substr(1);
  return true;
}

void append_name(std::string_view to, std::string_view number, std::string_view suffix, std::string& out) {
  const bool bare = to.ends_with('$');
  if (bare) to.remove_suffix(1);
  const std::size_t hole = number.empty() ? std::string_view::npos : to.find("{}");
  out += to.substr(0, hole);
  if (hole != std::string_view::npos) {
    out += number;
    out += to.substr(hole + 2);
  }
  if (!bare) out += suffix;
}

} // namespace

GgufNames::GgufNames(const std::vector<GgufNameSet>& sets) {
  for (const GgufNameSet& set : sets)
    for (const auto& [stored, name] : set) names_.insert_or_assign(stored, name);
  if (const auto layer = names_.find("blk"); layer != names_.end()) {
    const std::size_t hole = layer->second.find("{}");
    layer_start_ = layer->second.substr(0, hole);
    if (hole != std::string::npos) layer_end_ = layer->second.substr(hole + 2);
    names_.erase(layer);
  }
  for (const auto& [stored, name] : names_)
    if (stored.find("{}") != std::string::npos) numbered_.emplace_back(stored, name);
}

bool GgufNames::append(std::string_view name, std::string_view layer_mark, std::string& out) const {
  std::string key(layer_mark);
  key += name;
  if (const auto whole = names_.find(key); whole != names_.end()) {
    append_name(whole->second, {}, {}, out);
    return true;
  }
  const std::string_view suffix = take_suffix(name);
  key.resize(key.size() - suffix.size());
  if (const auto found = names_.find(key); found != names_.end()) {
    append_name(found->second, {}, suffix, out);
    return true;
  }
  for (const auto& [stored, to] : numbered_) {
    std::string_view number;
    if (!fits(stored, key, number)) continue;
    append_name(to, number, suffix, out);
    return true;
  }
  return false;
}

void GgufNames::translate(std::string_view stored, std::string& out) const {
  out.clear();
  if (!stored.starts_with(kLayerPrefix)) {
    if (!append(stored, {}, out)) out = stored;
    return;
  }
  const std::string_view layer = leading_number(stored.substr(kLayerPrefix.size()));
  const std::string_view rest = stored.substr(kLayerPrefix.size() + layer.size());
  out += layer_start_;
  out += layer;
  out += layer_end_;
  out += '.';
  if (layer.empty() || !rest.starts_with('.') || !append(rest.substr(1), kLayerPrefix, out)) out = stored;
}

StoredKey stored_key(std::string_view stored) {
  const std::string_view layer = stored.starts_with(kLayerPrefix) ? leading_number(stored.substr(kLayerPrefix.size())) : std::string_view();
  StoredKey out;
  if (!layer.empty() && without_layer(stored)) {
    out.key = kLayerPrefix;
    std::uint32_t number = 0;
    if (std::from_chars(layer.data(), layer.data() + layer.size(), number).ec == std::errc()) out.layer = number;
  }
  out.key += stored;
  return out;
}

StoredOrder stored_order(const std::vector<StoredOrderSet>& sets, std::string_view stored) {
  const std::string_view suffix = take_suffix(stored);
  std::string key;
  if (without_layer(stored)) key = kLayerPrefix;
  key += stored;
  for (auto set = sets.rbegin(); set != sets.rend(); ++set)
    if (const auto found = set->find(key); found != set->end()) {
      StoredOrder order = found->second;
      order.one_added = order.one_added && suffix != ".bias";
      return order;
    }
  return {};
}

bool is_gguf_table(std::string_view stored) {
  without_layer(stored);
  return stored == "rope_freqs.weight" || stored == "rope_factors_long.weight" || stored == "rope_factors_short.weight" ||
         stored == "attn_rot_embd.weight";
}

} // namespace plimsoll
