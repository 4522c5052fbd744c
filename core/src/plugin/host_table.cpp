#include "plugin/host_table.hpp"

#include <array>
#include <cmath>
#include <cstring>

#include "plugin/planner_tree.hpp"

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

namespace plimsoll {
namespace {

constexpr std::uint64_t kMaxPointerBytes = 4096;

const Json* lookup(const plimsoll_view* view, plimsoll_str pointer) {
  if (pointer.size > kMaxPointerBytes) return nullptr;
  const Json* value = view->find(std::string_view(pointer.data, pointer.size));
  return value == nullptr || value->is_null() ? nullptr : value;
}

plimsoll_status get_u64(const plimsoll_view* view, plimsoll_str pointer, std::uint64_t* out) noexcept {
  const Json* value = lookup(view, pointer);
  if (value == nullptr) return PLIMSOLL_E_NOT_FOUND;
  const auto number = as_u64(*value);
  if (!number) return PLIMSOLL_E_TYPE;
  *out = *number;
  return PLIMSOLL_OK;
}
plimsoll_status get_f64(const plimsoll_view* view, plimsoll_str pointer, double* out) noexcept {
  const Json* value = lookup(view, pointer);
  if (value == nullptr) return PLIMSOLL_E_NOT_FOUND;
  if (!value->is_number() || !std::isfinite(value->get<double>())) return PLIMSOLL_E_TYPE;
  *out = value->get<double>();
  return PLIMSOLL_OK;
}
plimsoll_status get_bool(const plimsoll_view* view, plimsoll_str pointer, std::uint32_t* out) noexcept {
  const Json* value = lookup(view, pointer);
  if (value == nullptr) return PLIMSOLL_E_NOT_FOUND;
  if (!value->is_boolean()) return PLIMSOLL_E_TYPE;
  *out = value->get<bool>() ? 1 : 0;
  return PLIMSOLL_OK;
}
plimsoll_status get_str(const plimsoll_view* view, plimsoll_str pointer, plimsoll_str* out) noexcept {
  const Json* value = lookup(view, pointer);
  if (value == nullptr) return PLIMSOLL_E_NOT_FOUND;
  if (!value->is_string()) return PLIMSOLL_E_TYPE;
  const std::string& text = value->get_ref<const std::string&>();
  *out = {text.data(), text.size()};
  return PLIMSOLL_OK;
}
plimsoll_status get_len(const plimsoll_view* view, plimsoll_str pointer, std::uint64_t* out) noexcept {
  const Json* value = lookup(view, pointer);
  if (value == nullptr) return PLIMSOLL_E_NOT_FOUND;
  if (!value->is_array() && !value->is_object()) return PLIMSOLL_E_TYPE;
  *out = value->size();
  return PLIMSOLL_OK;
}
plimsoll_status subview(const plimsoll_view* view, plimsoll_str pointer, const plimsoll_rename* renames, std::uint64_t n,
                        const plimsoll_view** out) noexcept {
  if (view->tree == nullptr) return PLIMSOLL_E_ABI;
  try {
    return view->tree->make_subview(view, std::string_view(pointer.data, pointer.size), renames, n, out);
  } catch (const std::exception&) {
    return PLIMSOLL_E_MEMORY;
  }
}
plimsoll_status planner_for(const plimsoll_view* view, const char* family, const plimsoll_planner_api** api, const plimsoll_planner** child,
                            plimsoll_error* err) noexcept {
  if (view->tree == nullptr) return PLIMSOLL_E_ABI;
  try {
    return view->tree->make_child(view, family, api, child, err);
  } catch (const std::exception&) {
    return PLIMSOLL_E_MEMORY;
  }
}
void log(const plimsoll_host*, std::uint32_t, plimsoll_str) noexcept;
const void* query(const plimsoll_host*, const char*) noexcept { return nullptr; }

void log(const plimsoll_host* host, std::uint32_t level, plimsoll_str message) noexcept {
  try {
    Registry::log_from_plugin(host, level, std::string_view(message.data, message.size));
  } catch (const std::exception&) { // a log line is not worth a plan
    return;
  }
}

} // namespace

plimsoll_host make_host_table() {
  return {PLIMSOLL_SIZE_THROUGH(plimsoll_host, planner_for),
          PLIMSOLL_ABI_MINOR,
          log,
          query,
          get_u64,
          get_f64,
          get_bool,
          get_str,
          get_len,
          subview,
          planner_for};
}

} // namespace plimsoll
