#include "storage/read_gptq_awq.hpp"

#include <cstdint>
#include <string>
#include <string_view>

#include "storage/storage_formats.hpp"

namespace plimsoll {
namespace {

using formats::GptqZeros;

// What a checkpoint says of all its layers, and single ones may say otherwise.
struct Gptq {
  std::uint32_t bits = 4, group = 128;
  GptqZeros zeros = GptqZeros::kLess;
  bool reordered = false;

  Result<Gptq> changed_by(const Node& q) const {
    Gptq out = *this;
    PLIMSOLL_ASSIGN(out.bits, plimsoll::bits(q["bits"], bits, {2, 3, 4, 8}));
    PLIMSOLL_ASSIGN(out.group, group_size(q["group_size"], group));
    PLIMSOLL_ASSIGN(out.reordered, boolean(q["desc_act"], reordered));
    return out;
  }
  Storage storage() const { return formats::gptq(bits, group, zeros, reordered); }
};

// "gptq_marlin", "awq_marlin": settings that are named by a kernel.
Result<bool> is_repacked(const Node& q) {
  PLIMSOLL_ASSIGN(const std::string method, text(q["quant_method"], ""));
  return method.ends_with("_marlin");
}

// Both formats lay all else out alike; what was repacked for a kernel does not.
Result<GptqZeros> gptq_zeros(const Node& q) {
  PLIMSOLL_ASSIGN(const std::string format, text(q["checkpoint_format"], "gptq"));
  PLIMSOLL_ASSIGN(const bool marlin, boolean(q["is_marlin_format"], false));
  PLIMSOLL_ASSIGN(const bool repacked, is_repacked(q));
  if (marlin || repacked) return GptqZeros::kUnknown;
  return format == "gptq" ? GptqZeros::kLess : format == "gptq_v2" ? GptqZeros::kAsTheyAre : GptqZeros::kUnknown;
}

} // namespace

Result<void> read_gptq(const Node& q, QuantizationBuilder& out) {
  PLIMSOLL_ASSIGN(Gptq all, Gptq().changed_by(q));
  PLIMSOLL_ASSIGN(all.zeros, gptq_zeros(q));
  PLIMSOLL_ASSIGN(const std::uint16_t format, out.intern(all.storage(), q));
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
        PLIMSOLL_ASSIGN(const Gptq changed, all.changed_by(entry));
        PLIMSOLL_ASSIGN(const std::uint16_t index, out.intern(changed.storage(), entry));
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
  PLIMSOLL_ASSIGN(const std::string version, text(q["version"], "gemm"));
  PLIMSOLL_ASSIGN(const bool zeros, boolean(q["zero_point"], true));
  PLIMSOLL_ASSIGN(const bool repacked, is_repacked(q));
  return out.set_default(formats::awq(width, group, zeros && !repacked && same_text(version, "gemm")), q);
}

// Intel's exporter writes GPTQ's or AWQ's layout and says which.
Result<void> read_auto_round(const Node& q, QuantizationBuilder& out) {
  PLIMSOLL_ASSIGN(const std::string packing, text(q["packing_format"], "auto_round:auto_gptq"));
  const bool as_awq = packing.find("awq") != std::string::npos;
  // "auto_round:auto_gptq" is GPTQ's first format; its own and GPTQModel's take nothing off zero points.
  const GptqZeros zeros = packing.ends_with(":auto_gptq")                              ? GptqZeros::kLess
                          : packing == "auto_round" || packing.ends_with(":gptqmodel") ? GptqZeros::kAsTheyAre
                                                                                       : GptqZeros::kUnknown;
  const auto format = [&](const Node& node, std::uint32_t width, std::uint32_t group) -> Result<Storage> {
    PLIMSOLL_ASSIGN(const std::uint32_t own_width, bits(node["bits"], width, {2, 3, 4, 8}));
    PLIMSOLL_ASSIGN(const std::uint32_t own_group, group_size(node["group_size"], group));
    return as_awq ? formats::awq(own_width, own_group) : formats::gptq(own_width, own_group, zeros);
  };
  PLIMSOLL_ASSIGN(const std::uint32_t width, bits(q["bits"], 4, {2, 3, 4, 8}));
  PLIMSOLL_ASSIGN(const std::uint32_t group, group_size(q["group_size"], 128));
  PLIMSOLL_TRY(out.set_default(as_awq ? formats::awq(width, group) : formats::gptq(width, group, zeros), q));
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
