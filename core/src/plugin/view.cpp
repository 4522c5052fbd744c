#include "plugin/view.hpp"

#include <array>

using plimsoll::Json;

// Written once for a model and meant for all of its parts: where a part is silent, the whole answers.
static bool inherited(std::string_view pointer) {
  constexpr std::array<std::string_view, 4> kKeys{"/torch_dtype", "/dtype", "/quantization_config", "/tie_word_embeddings"};
  for (const std::string_view key : kKeys)
    if (pointer.substr(0, key.size()) == key && (pointer.size() == key.size() || pointer[key.size()] == '/')) return true;
  return false;
}

// A list that the configuration states is whole: no default fills in what it lacks.
static bool inside_own_list(const Json& node, std::string_view wanted) {
  for (std::size_t at = wanted.find('/', 1); at != std::string_view::npos; at = wanted.find('/', at + 1)) {
    const Json* outer = plimsoll::find_pointer(node, wanted.substr(0, at));
    if (outer == nullptr || !outer->is_object()) return outer != nullptr;
  }
  return false;
}

const Json* plimsoll_view::find(std::string_view wanted) const {
  if (as && wanted == "/model_type") return &*as;
  if (as && (wanted == "/architectures" || wanted.starts_with("/architectures/"))) return nullptr;
  if (const Json* own = plimsoll::find_pointer(*node, wanted)) return own;
  if (inherited(wanted))
    for (const plimsoll_view* outer = parent; outer != nullptr; outer = outer->parent)
      if (const Json* value = plimsoll::find_pointer(*outer->node, wanted)) return value;
  if (inside_own_list(*node, wanted)) return nullptr;
  if (defaults != nullptr)
    if (const Json* value = plimsoll::find_pointer(*defaults, wanted)) return value;
  // What the class of an outer part fills in for this one: class_defaults {llava: {text_config: {hidden_size: 4096}}}.
  std::string path = pointer + std::string(wanted);
  for (const plimsoll_view* outer = parent; outer != nullptr; path.insert(0, outer->pointer), outer = outer->parent)
    if (outer->defaults != nullptr)
      if (const Json* value = plimsoll::find_pointer(*outer->defaults, path)) return value;
  return nullptr;
}

std::string plimsoll_view::rename(std::string_view tensor) const {
  std::string name(tensor);
  for (const auto& [from, to] : renames)
    if (name.starts_with(from)) {
      name.replace(0, from.size(), to);
      break;
    }
  return parent == nullptr ? name : parent->rename(name);
}
