#include "plugin/planners.hpp"

#include <algorithm>

namespace plimsoll {

const Json* Planners::defaults_of(const plimsoll_view& view, const Plugin& plugin) {
  if (view.as) return Registry::class_defaults(plugin, view.as->get_ref<const std::string&>());
  const Json& node = *view.node;
  if (!node.is_object()) return nullptr;
  if (const auto type = node.find("model_type"); type != node.end() && type->is_string())
    if (const Json* defaults = Registry::class_defaults(plugin, type->get_ref<const std::string&>())) return defaults;
  if (const auto list = node.find("architectures"); list != node.end() && list->is_array() && !list->empty() && list->front().is_string())
    return Registry::class_defaults(plugin, list->front().get_ref<const std::string&>());
  return nullptr;
}

std::vector<const FamilyManifest*> Planners::families() const {
  std::vector<const FamilyManifest*> out;
  for (auto it = nodes_.rbegin(); it != nodes_.rend(); ++it)
    if (std::find(out.begin(), out.end(), (*it)->family.family) == out.end()) out.push_back((*it)->family.family);
  return out;
}

std::vector<const VendorFormats*> Planners::vendor_formats() const {
  std::vector<const VendorFormats*> out;
  for (const auto& node : nodes_)
    for (const Plugin* plugin : {static_cast<const Plugin*>(node->family.plugin), node->family.aliased_by})
      if (plugin != nullptr && std::find(out.begin(), out.end(), plugin->manifest.formats.get()) == out.end())
        out.push_back(plugin->manifest.formats.get());
  return out;
}

std::vector<std::string> Planners::delegated_parts() const {
  std::vector<std::string> out;
  for (auto it = nodes_.rbegin(); it != nodes_.rend(); ++it) {
    const std::string pointer = (*it)->view->full_pointer();
    for (std::size_t slash = pointer.find('/', 1); !pointer.empty(); slash = pointer.find('/', slash + 1)) {
      std::string part = pointer.substr(0, slash);
      if (std::find(out.begin(), out.end(), part) == out.end()) out.push_back(std::move(part));
      if (slash == std::string::npos) break;
    }
  }
  return out;
}

} // namespace plimsoll
