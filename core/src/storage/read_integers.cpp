#include "storage/read_integers.hpp"

#include <cstdint>
#include <string>
#include <string_view>

#include "storage/read_gptq_awq.hpp"
#include "storage/storage_formats.hpp"

namespace plimsoll {
namespace {

// {"nbits": 4, "group_size": 64}, at any of the depths at which writers put it.
Result<Storage> hqq_format(const Node& q) {
  const Node inner = q["weight_quant_params"];
  const Node& from = inner.present() ? inner : q;
  PLIMSOLL_ASSIGN(const std::uint32_t width, bits(from.any({"nbits", "bits"}), 4, {1, 2, 3, 4, 8}));
  PLIMSOLL_ASSIGN(const std::uint32_t group, group_size(from["group_size"], 64));
  return *formats::grouped("hqq_int" + std::to_string(width == 3 ? 4 : width), group); // ten of three bits fill an int32, a bound: four
}

} // namespace

Result<void> read_hqq(const Node& q, QuantizationBuilder& out) {
  PLIMSOLL_TRY(out.exclude(q.any({"skip_modules", "modules_to_not_convert"})));
  const Node config = q["quant_config"];
  const Node& from = config.present() ? config : q;
  if (!from.json->is_object()) return bad(from, "an object with nbits and group_size");
  // Either one setting for all or one for each kind of layer, by the end of its name.
  const bool for_all = from["weight_quant_params"].present() || from.any({"nbits", "bits"}).present();
  if (for_all || from.json->empty()) {
    PLIMSOLL_ASSIGN(Storage format, hqq_format(from));
    return out.set_default(std::move(format), from);
  }
  for (const auto& [name, value] : from.json->items()) {
    const Node entry{&value, from.at(name)};
    if (!value.is_object()) continue;
    PLIMSOLL_ASSIGN(Storage own, hqq_format(entry));
    PLIMSOLL_ASSIGN(const std::uint16_t index, out.intern(std::move(own), entry));
    PLIMSOLL_TRY(out.include(name, index, entry.pointer));
  }
  return {};
}

Result<void> read_quanto(const Node& q, QuantizationBuilder& out) {
  PLIMSOLL_TRY(out.exclude(q["modules_to_not_convert"]));
  PLIMSOLL_ASSIGN(const std::string type, text(q["weights"], "int8"));
  if (type == "int8" || type == "qint8") return out.set_default(*formats::grouped("quanto_int8", 0), q);
  if (type == "float8" || type == "qfloat8") return out.set_default(*formats::grouped("quanto_fp8", 0), q);
  if (type == "int4" || type == "qint4") return out.set_default(*formats::grouped("quanto_int4", 128), q);
  if (type == "int2" || type == "qint2") return out.set_default(*formats::grouped("quanto_int2", 128), q);
  return bad(q["weights"], "float8, int8, int4 or int2");
}

Result<void> read_eetq(const Node& q, QuantizationBuilder& out) {
  PLIMSOLL_TRY(out.exclude(q["modules_to_not_convert"]));
  return out.set_default(*formats::grouped("eetq_int8", 0), q);
}

// Offline: four weights a byte, one scale a layer. Online: the weights are stored as they are, and quantised where they are used.
Result<void> read_bitnet(const Node& q, QuantizationBuilder& out) {
  PLIMSOLL_TRY(out.exclude(q["modules_to_not_convert"]));
  PLIMSOLL_ASSIGN(const std::string mode, text(q["quantization_mode"], "offline"));
  if (mode == "online") return {};
  if (mode != "offline") return bad(q["quantization_mode"], "offline or online");
  return out.set_default(formats::bitnet(), q);
}

// The file has plain weights; the engine keeps a byte of each expert's, which is what counts where it runs.
Result<void> read_experts_int8(const Node& q, QuantizationBuilder& out) {
  PLIMSOLL_ASSIGN(const std::uint16_t format, out.intern(*formats::grouped("experts_int8", 0), q));
  return out.include("experts", format, q.pointer);
}

Result<void> read_moe_wna16(const Node& q, QuantizationBuilder& out) {
  PLIMSOLL_ASSIGN(const std::string method, text(q.any({"linear_quant_method", "original_quant_method"}), "gptq"));
  if (method != "gptq" && method != "awq") return bad(q["linear_quant_method"], "gptq or awq");
  return method == "awq" ? read_awq(q, out) : read_gptq(q, out);
}

} // namespace plimsoll
