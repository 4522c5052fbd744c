#include "plugin/host_table.hpp"

#include <cmath>
#include <cstring>

#include "plugin/abi_text.hpp"
#include "plugin/interface_id.hpp"
#include "plugin/planner_tree.hpp"
#include "plugin/stored_tensors.hpp"

namespace plimsoll {
namespace {

constexpr std::uint64_t kMaxPointerBytes = 4096;

const Json* lookup(const plimsoll_view* view, plimsoll_str pointer) {
  if (pointer.size > kMaxPointerBytes) return nullptr;
  const Json* value = view->find(view_of(pointer));
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
plimsoll_status get_i64(const plimsoll_view* view, plimsoll_str pointer, std::int64_t* out) noexcept {
  const Json* value = lookup(view, pointer);
  if (value == nullptr) return PLIMSOLL_E_NOT_FOUND;
  if (const auto number = as_u64(*value)) {
    *out = static_cast<std::int64_t>(*number);
    return PLIMSOLL_OK;
  }
  if (value->is_number_integer() && !value->is_number_unsigned()) {
    *out = value->get<std::int64_t>();
    return PLIMSOLL_OK;
  }
  const double number = value->is_number_float() ? value->get<double>() : 0;
  if (!(number < 0 && number >= -0x1p63 && std::trunc(number) == number)) return PLIMSOLL_E_TYPE;
  *out = static_cast<std::int64_t>(number);
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
plimsoll_status get_key(const plimsoll_view* view, plimsoll_str pointer, std::uint64_t index, plimsoll_str* out) noexcept {
  const Json* value = lookup(view, pointer);
  if (value == nullptr) return PLIMSOLL_E_NOT_FOUND;
  if (!value->is_object()) return PLIMSOLL_E_TYPE;
  if (index >= value->size()) return PLIMSOLL_E_NOT_FOUND;
  const auto& members = value->get_ref<const Json::object_t&>();
  const std::string& key = (members.begin() + static_cast<std::ptrdiff_t>(index))->first;
  *out = {key.data(), key.size()};
  return PLIMSOLL_OK;
}
plimsoll_status get_json(const plimsoll_view* view, plimsoll_str pointer, char* buffer, std::uint64_t capacity,
                         std::uint64_t* size) noexcept {
  const Json* value = lookup(view, pointer);
  if (value == nullptr) return PLIMSOLL_E_NOT_FOUND;
  try {
    const std::string text = value->dump();
    if (capacity > 0) std::memcpy(buffer, text.data(), std::min<std::size_t>(text.size(), capacity));
    *size = text.size();
  } catch (const std::exception&) {
    return PLIMSOLL_E_MEMORY;
  }
  return PLIMSOLL_OK;
}
plimsoll_status subview(const plimsoll_view* view, plimsoll_str pointer, const plimsoll_rename* const* renames, std::uint64_t n,
                        const plimsoll_view** out) noexcept {
  if (view->tree == nullptr) return PLIMSOLL_E_ABI;
  if (pointer.size > kMaxPointerBytes) return PLIMSOLL_E_NOT_FOUND;
  try {
    return view->tree->make_subview(view, view_of(pointer), renames, n, out);
  } catch (const std::exception&) {
    return PLIMSOLL_E_MEMORY;
  }
}
plimsoll_status planner_for(const plimsoll_view* view, plimsoll_str family, plimsoll_str as, const plimsoll_planner_api** api,
                            const plimsoll_planner** child, plimsoll_error* err) noexcept {
  if (view->tree == nullptr) return PLIMSOLL_E_ABI;
  try {
    return view->tree->make_child(view, family, as, api, child, err);
  } catch (const std::exception&) {
    return PLIMSOLL_E_MEMORY;
  }
}

void log(const plimsoll_host* host, std::uint32_t level, plimsoll_str message) noexcept {
  try {
    Registry::log_from_plugin(host, level, view_of(message));
  } catch (const std::exception&) { // a log line is not worth a plan
    return;
  }
}
const void* query(const plimsoll_host*, plimsoll_str id) noexcept {
  if (!is_interface_id(id)) return nullptr;
  return view_of(id) == PLIMSOLL_TENSORS_ID ? &tensors_table() : nullptr;
}

} // namespace

plimsoll_host make_host_table() {
  return {PLIMSOLL_SIZE_THROUGH(plimsoll_host, planner_for),
          PLIMSOLL_ABI_MINOR,
          log,
          query,
          get_u64,
          get_i64,
          get_f64,
          get_bool,
          get_str,
          get_len,
          get_key,
          get_json,
          subview,
          planner_for};
}

} // namespace plimsoll
