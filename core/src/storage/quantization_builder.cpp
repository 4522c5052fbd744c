#include "storage/quantization_builder.hpp"

#include <string>
#include <utility>

namespace plimsoll {
namespace {

// "FP8", or {"num_bits": 8, "type": "float"}; empty where that is not understood.
std::string_view cache_type(const Node& node) {
  if (node.present() && node.json->is_string()) {
    const std::string& name = node.json->get_ref<const std::string&>();
    if (same_text(name, "fp8") || same_text(name, "fp8_e4m3") || same_text(name, "float8_e4m3fn")) return "float8_e4m3fn";
    if (same_text(name, "int8")) return "int8";
    if (same_text(name, "nvfp4")) return "nvfp4";
  } else if (node.present() && node.json->is_object()) {
    const Node type = node["type"];
    const Node width = node["num_bits"];
    const bool is_float = type.present() && type.json->is_string() && type.json->get_ref<const std::string&>() == "float";
    const std::int64_t bits = width.present() && width.json->is_number_integer() ? width.json->get<std::int64_t>() : 0;
    if (bits == 8) return is_float ? "float8_e4m3fn" : "int8";
    if (bits == 4 && is_float) return "nvfp4";
  }
  return {};
}

} // namespace

Result<std::uint16_t> QuantizationBuilder::intern(Storage storage, const Node& node) {
  for (std::size_t i = 0; i < out_.storages_.size(); ++i)
    if (out_.storages_[i].name() == storage.name() && out_.storages_[i].unpacking() == storage.unpacking())
      return static_cast<std::uint16_t>(i);
  if (out_.storages_.size() >= 256)
    return fail(ErrorCode::kBadConfig, "more than 255 different storage formats in one model", node.pointer);
  out_.storages_.push_back(std::move(storage));
  return static_cast<std::uint16_t>(out_.storages_.size() - 1);
}

Result<void> QuantizationBuilder::set_default(Storage storage, const Node& node) {
  PLIMSOLL_ASSIGN(out_.default_, intern(std::move(storage), node));
  return {};
}

Result<void> QuantizationBuilder::add_names(const Node& list, NameSet& set, std::uint16_t value) {
  if (!list.present()) return {};
  if (!list.json->is_array()) return bad(list, "an array of module names");
  for (std::size_t i = 0; i < list.json->size(); ++i) {
    const Node item{&(*list.json)[i], list.at(std::to_string(i))};
    if (!item.json->is_string()) return bad(item, "a module name");
    PLIMSOLL_TRY(set.add(item.json->get_ref<const std::string&>(), value, item.pointer));
  }
  return {};
}

Result<void> QuantizationBuilder::exclude_drafts(const Node& node) {
  for (const std::string& start : out_.draft_modules_) PLIMSOLL_TRY(exclude_one(start + "*", node));
  return {};
}

void QuantizationBuilder::add_cache_scales() {
  const std::size_t n = out_.storages_.size();
  for (const std::string_view suffix : {"k_scale", "v_scale"})
    for (std::size_t i = 0; i < n; ++i) out_.storages_.push_back(out_.storages_[i].with_scalar(suffix));
  out_.k_scaled_ = static_cast<std::uint16_t>(n);
  out_.v_scaled_ = static_cast<std::uint16_t>(2 * n);
}

void QuantizationBuilder::read_kv_cache(const Node& settings, const Node& hf) {
  for (const Node* from : {&settings, &hf})
    for (const std::string_view key : {"kv_cache_quant_algo", "kv_cache_scheme", "kv_cache_quant_method"})
      if (const std::string_view type = cache_type((*from)[key]); !type.empty() && !out_.kv_cache_dtype_)
        out_.kv_cache_dtype_ = std::string(type);
  if (mixed_ && out_.kv_cache_dtype_) add_cache_scales();
}

} // namespace plimsoll
