#include "storage/read_quark.hpp"

#include <cstdint>
#include <string>
#include <string_view>

#include "storage/storage_formats.hpp"

namespace plimsoll {
namespace {

// {"dtype": "fp8_e4m3", "qscheme": "per_tensor", ...}; of a list of stages the last one is what is stored.
Node stored_stage(const Node& weight) {
  if (!weight.present() || !weight.json->is_array() || weight.json->empty()) return weight;
  const std::size_t last = weight.json->size() - 1;
  return {&(*weight.json)[last], weight.at(std::to_string(last))};
}

// Inputs are scaled by a number in the file unless they are measured while it runs.
Result<bool> stores_input_scale(const Node& inputs) {
  if (!inputs.present() || !inputs.json->is_object()) return false;
  PLIMSOLL_ASSIGN(const bool dynamic, boolean(inputs["is_dynamic"], false));
  return !dynamic;
}

Result<Storage> quark_format(const Node& config) {
  const Node weight = stored_stage(config["weight"]);
  if (!weight.present()) return Storage(); // only inputs or the cache
  if (!weight.json->is_object()) return bad(weight, "an object with dtype and qscheme");
  PLIMSOLL_ASSIGN(const std::string type, text(weight["dtype"], ""));
  PLIMSOLL_ASSIGN(const std::string scheme, text(weight["qscheme"], "per_tensor"));
  PLIMSOLL_ASSIGN(const std::uint32_t group, group_size(weight["group_size"], scheme == "per_group" ? 128 : 0));
  PLIMSOLL_ASSIGN(const bool input_scale, stores_input_scale(config["input_tensors"]));
  const bool by_tensor = scheme == "per_tensor";
  if (!by_tensor && scheme != "per_channel" && scheme != "per_group") return bad(weight["qscheme"], "per_tensor, per_channel or per_group");
  if (type == "fp4" && scheme == "per_group") return formats::mxfp4();
  if (type == "fp8_e4m3" || type == "fp8_e5m2" || type == "fp8") {
    if (by_tensor) return formats::fp8_tensor(input_scale);
    return scheme == "per_channel" ? formats::fp8_row() : *formats::grouped("quark_fp8", group);
  }
  const auto integers = [&](std::uint32_t width) { return *formats::grouped("quark_int" + std::to_string(width), by_tensor ? 0 : group); };
  if (type == "int8" || type == "uint8") return integers(8);
  if (type == "int4" || type == "uint4") return integers(4);
  if (type == "int2") return integers(2);
  if (type == "fp6_e3m2" || type == "fp6_e2m3") return *formats::grouped("quark_fp6", group);
  return bad(weight["dtype"], "fp8_e4m3, fp8_e5m2, fp6_e3m2, fp6_e2m3, fp4, int8, uint8, int4, uint4 or int2");
}

} // namespace

Result<void> read_quark(const Node& q, QuantizationBuilder& out) {
  PLIMSOLL_TRY(out.exclude(q["exclude"]));
  const Node global = q["global_quant_config"];
  if (!global.present() || !global.json->is_object()) return bad(global, "an object with weight and input_tensors");
  PLIMSOLL_ASSIGN(Storage format, quark_format(global));
  PLIMSOLL_TRY(out.set_default(std::move(format), global));
  for (const char* const key : {"layer_quant_config", "layer_type_quant_config"}) {
    const Node layers = q[key];
    if (!layers.present()) continue;
    if (!layers.json->is_object()) return bad(layers, "an object of patterns");
    if (std::string_view(key) == "layer_type_quant_config") continue; // by class; those that hold linear layers have the global one
    for (const auto& [pattern, value] : layers.json->items()) {
      const Node entry{&value, layers.at(pattern)};
      if (!value.is_object()) return bad(entry, "an object with weight and input_tensors");
      PLIMSOLL_ASSIGN(Storage own, quark_format(entry));
      PLIMSOLL_ASSIGN(const std::uint16_t index, out.intern(std::move(own), entry));
      PLIMSOLL_TRY(out.include(pattern, index, entry.pointer));
    }
  }
  return {};
}

} // namespace plimsoll
