#include "storage/read_gptq_awq.hpp"

#include <cstdint>
#include <string>
#include <string_view>

#include "storage/storage_formats.hpp"

namespace plimsoll {
namespace {

Result<Storage> gptq_format(const Node& q, std::uint32_t default_bits, std::uint32_t default_group) {
  PLIMSOLL_ASSIGN(const std::uint32_t width, bits(q["bits"], default_bits, {2, 3, 4, 8}));
  PLIMSOLL_ASSIGN(const std::uint32_t group, group_size(q["group_size"], default_group));
  return formats::gptq(width, group);
}

} // namespace

Result<void> read_gptq(const Node& q, QuantizationBuilder& out) {
  PLIMSOLL_ASSIGN(const std::uint32_t width, bits(q["bits"], 4, {2, 3, 4, 8}));
  PLIMSOLL_ASSIGN(const std::uint32_t group, group_size(q["group_size"], 128));
  PLIMSOLL_ASSIGN(const std::uint16_t format, out.intern(formats::gptq(width, group), q));
  PLIMSOLL_TRY(out.exclude(q["modules_to_not_convert"]));
  PLIMSOLL_ASSIGN(const bool head, boolean(q["lm_head"], false));
  if (head) PLIMSOLL_TRY(out.include("lm_head", format, q["lm_head"].pointer));

  // GPTQModel: {"-:regex": {}} leaves layers alone, {"+:regex": {"bits": 8}} changes their parameters.
  if (const Node dynamic = q["dynamic"]; dynamic.present() && !(dynamic.json->is_boolean() && !dynamic.json->get<bool>())) {
    if (!dynamic.json->is_object()) return bad(dynamic, "an object of patterns");
    for (const auto& [key, value] : dynamic.json->items()) {
      const Node entry{&value, dynamic.at(key)};
      const std::string_view pattern = key;
      if (pattern.starts_with("-:")) PLIMSOLL_TRY(out.exclude_one(std::string("re:").append(pattern.substr(2)), entry));
      else {
        PLIMSOLL_ASSIGN(Storage changed, gptq_format(entry, width, group));
        PLIMSOLL_ASSIGN(const std::uint16_t index, out.intern(std::move(changed), entry));
        PLIMSOLL_TRY(out.include(std::string("re:").append(pattern.substr(pattern.starts_with("+:") ? 2 : 0)), index, entry.pointer));
      }
    }
  }
  // A list of lists of the modules to convert in each block; all others stay.
  const Node only = q["modules_in_block_to_quantize"];
  if (!only.present()) {
    out.set_default(format);
    return {};
  }
  if (!only.json->is_array()) return bad(only, "an array of arrays of module names");
  for (std::size_t i = 0; i < only.json->size(); ++i) {
    const Node list{&(*only.json)[i], only.at(std::to_string(i))};
    if (list.json->is_string()) PLIMSOLL_TRY(out.include(list.json->get_ref<const std::string&>(), format, list.pointer));
    else PLIMSOLL_TRY(out.include_all(list, format));
  }
  return {};
}

Result<void> read_awq(const Node& q, QuantizationBuilder& out) {
  PLIMSOLL_TRY(out.exclude(q["modules_to_not_convert"]));
  PLIMSOLL_ASSIGN(const std::uint32_t width, bits(q.any({"bits", "w_bit"}), 4, {4, 8}));
  PLIMSOLL_ASSIGN(const std::uint32_t group, group_size(q.any({"group_size", "q_group_size"}), 128));
  return out.set_default(formats::awq(width, group), q);
}

// Intel's exporter writes GPTQ's or AWQ's layout and says which.
Result<void> read_auto_round(const Node& q, QuantizationBuilder& out) {
  PLIMSOLL_ASSIGN(const std::string packing, text(q["packing_format"], "auto_round:auto_gptq"));
  const bool as_awq = packing.find("awq") != std::string::npos;
  const auto format = [&](const Node& node, std::uint32_t width, std::uint32_t group) -> Result<Storage> {
    PLIMSOLL_ASSIGN(const std::uint32_t own_width, bits(node["bits"], width, {2, 3, 4, 8}));
    PLIMSOLL_ASSIGN(const std::uint32_t own_group, group_size(node["group_size"], group));
    return as_awq ? formats::awq(own_width, own_group) : formats::gptq(own_width, own_group);
  };
  PLIMSOLL_ASSIGN(const std::uint32_t width, bits(q["bits"], 4, {2, 3, 4, 8}));
  PLIMSOLL_ASSIGN(const std::uint32_t group, group_size(q["group_size"], 128));
  PLIMSOLL_TRY(out.set_default(as_awq ? formats::awq(width, group) : formats::gptq(width, group), q));
  const Node extra = q["extra_config"];
  if (!extra.present()) return {};
  if (!extra.json->is_object()) return bad(extra, "an object of modules");
  for (const auto& [key, value] : extra.json->items()) {
    const Node entry{&value, extra.at(key)};
    PLIMSOLL_ASSIGN(const std::int64_t own_bits, integer(entry["bits"], width, 1, 64));
    if (own_bits >= 16) {
      PLIMSOLL_TRY(out.exclude_one(key, entry));
      continue;
    }
    PLIMSOLL_ASSIGN(Storage own, format(entry, width, group));
    PLIMSOLL_ASSIGN(const std::uint16_t index, out.intern(std::move(own), entry));
    PLIMSOLL_TRY(out.include(key, index, entry.pointer));
  }
  return {};
}

} // namespace plimsoll
