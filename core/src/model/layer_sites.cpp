#include "model/layer_sites.hpp"

#include <algorithm>
#include <charconv>

#include "model/name_keys.hpp"

namespace plimsoll {
namespace {

// The number that `text` begins with, where a dot or nothing follows.
bool read_layer(std::string_view text, std::uint32_t& layer) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), layer);
  return error == std::errc() && (end == text.data() + text.size() || *end == '.');
}

std::string_view prefix_of(const WeightClass& c) {
  const std::string_view pattern = without_wrappers(c.pattern);
  const std::size_t at = pattern.find("{layer}");
  return at == std::string_view::npos || c.layers.empty() ? std::string_view() : pattern.substr(0, at);
}

} // namespace

bool LayerSites::Site::matches(std::string_view name, std::uint32_t& layer) const {
  return name.starts_with(prefix) && read_layer(name.substr(prefix.size()), layer);
}

LayerSites::LayerSites(const Declared& declared) : n_layers_(declared.facts.n_layers) {
  for (const WeightClass& c : declared.weights) {
    const std::string_view prefix = prefix_of(c);
    if (prefix.empty()) continue;
    auto it = std::find_if(sites_.begin(), sites_.end(), [&](const Site& site) { return site.prefix == prefix; });
    if (it == sites_.end()) it = sites_.insert(sites_.end(), Site{std::string(prefix)});
    it->staged = it->staged || (c.stage == PLIMSOLL_STAGE_OF_LAYER && c.aspect != PLIMSOLL_ASPECT_VISION);
  }
}

LayerPlace LayerSites::at(std::size_t site, std::uint32_t layer) const {
  return {static_cast<std::int32_t>(site), layer, sites_[site].staged && layer < n_layers_};
}

LayerPlace LayerSites::place_of(const TensorEntry& entry) const {
  std::uint32_t layer = 0;
  const std::string_view name = without_wrappers(entry.name);
  for (std::size_t i = 0; i < sites_.size(); ++i)
    if (sites_[i].matches(name, layer)) return at(i, layer);
  if (entry.stored_name.starts_with("blk.") && read_layer(entry.stored_name.substr(4), layer))
    for (std::size_t i = 0; i < sites_.size(); ++i)
      if (sites_[i].staged) return at(i, layer);
  return {};
}

std::int32_t LayerSites::site_of(const WeightClass& c) const {
  const std::string_view prefix = prefix_of(c);
  if (prefix.empty()) return LayerPlace::kNoSite;
  const auto it = std::find_if(sites_.begin(), sites_.end(), [&](const Site& site) { return site.prefix == prefix; });
  return it == sites_.end() ? LayerPlace::kNoSite : static_cast<std::int32_t>(it - sites_.begin());
}

} // namespace plimsoll
