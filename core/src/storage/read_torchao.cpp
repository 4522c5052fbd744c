#include "storage/read_torchao.hpp"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <string>
#include <string_view>

#include "storage/storage_formats.hpp"

namespace plimsoll {
namespace {

// "int4_weight_only" and "Int4WeightOnlyConfig" are the same.
std::string torchao_key(std::string_view name) {
  std::string out;
  for (const char c : name)
    if (c != '_') out += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (out.ends_with("config")) out.resize(out.size() - 6);
  return out;
}

Result<Storage> torchao_format(const std::string& name, const Node& named, const Node& arguments) {
  const std::string key = torchao_key(name);
  PLIMSOLL_ASSIGN(const std::uint32_t group, group_size(arguments["group_size"], 0));
  const auto has = [&](std::string_view part) { return key.find(part) != std::string::npos; };
  if (key == "int4weightonly" || has("activationint4weight") || key == "uint4weightonly")
    return *formats::grouped("torchao_int4", group == 0 ? 128 : group);
  if (has("float8")) return *formats::grouped("torchao_fp8", 0);
  // Fewer bits lie in a byte each; their scales are bounds.
  if (has("intx")) return *formats::grouped("torchao_intx", group == 0 ? 32 : group);
  if (key == "int8weightonly" || has("activationint8weight")) return *formats::grouped("torchao_int8", group);
  return bad(named, "int4_weight_only, int8_weight_only, int8_dynamic_activation_int8_weight, float8_weight_only, "
                    "float8_dynamic_activation_float8_weight or the class of one of these");
}

// {"_type": "Int8WeightOnlyConfig", "_version": 2, "_data": {"group_size": null}}; null leaves layers alone.
Result<Storage> torchao_object(const Node& object) {
  if (!object.present()) return Storage();
  if (!object.json->is_object()) return bad(object, "an object with _type and _data");
  PLIMSOLL_ASSIGN(const std::string type, text(object["_type"], ""));
  return torchao_format(type, object["_type"], object["_data"]);
}

// A format for each module that is named, and one for all others.
Result<void> read_by_name(const Node& modules, QuantizationBuilder& out) {
  if (!modules.json->is_object()) return bad(modules, "an object of modules");
  for (const auto& [name, value] : modules.json->items()) {
    const Node entry{&value, modules.at(name)};
    PLIMSOLL_ASSIGN(Storage own, torchao_object(entry));
    if (name == "_default") PLIMSOLL_TRY(out.set_default(std::move(own), entry));
    else if (own.is_plain()) PLIMSOLL_TRY(out.exclude_one(name, entry));
    else {
      PLIMSOLL_ASSIGN(const std::uint16_t index, out.intern(std::move(own), entry));
      PLIMSOLL_TRY(out.include(name, index, entry.pointer));
    }
  }
  return {};
}

} // namespace

Result<void> read_torchao(const Node& q, QuantizationBuilder& out) {
  PLIMSOLL_TRY(out.exclude(q["modules_to_not_convert"]));
  const Node type = q["quant_type"];
  if (!type.present()) return bad(type, "a word such as int4_weight_only, or an object {\"default\": {\"_type\": ...}}");
  if (type.json->is_string()) {
    PLIMSOLL_ASSIGN(Storage format, torchao_format(type.json->get<std::string>(), type, q["quant_type_kwargs"]));
    return out.set_default(std::move(format), type);
  }
  if (!type.json->is_object()) return bad(type, "a word or an object");
  const Node object = type["default"];
  if (!object.present()) return bad(object, "an object with _type and _data");
  for (const char* const key : {"module_fqn_to_config", "fqn_to_config"})
    if (const Node modules = object["_data"][key]; modules.present()) return read_by_name(modules, out);
  PLIMSOLL_ASSIGN(Storage format, torchao_object(object));
  return out.set_default(std::move(format), object);
}

} // namespace plimsoll
