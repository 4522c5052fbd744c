#include "storage/read_modelopt.hpp"

#include <array>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <string>
#include <string_view>
#include <vector>

#include "storage/read_compressed_tensors.hpp"
#include "storage/storage_formats.hpp"

namespace plimsoll {
namespace {

struct ModeloptAlgorithm {
  std::string_view name;
  std::uint32_t default_group;
  Storage (*make)(std::uint32_t group);
};
constexpr std::array kModeloptAlgorithms{
    ModeloptAlgorithm{"fp8", 0, [](std::uint32_t) { return formats::fp8_tensor(true); }},
    ModeloptAlgorithm{"fp8_per_channel_per_token", 0, [](std::uint32_t) { return formats::fp8_row(); }},
    ModeloptAlgorithm{"fp8_pb_wo", 0, [](std::uint32_t) { return formats::fp8_modelopt_block(); }},
    ModeloptAlgorithm{"nvfp4", 16, [](std::uint32_t group) { return formats::nvfp4(group, true, false); }},
    ModeloptAlgorithm{"nvfp4_awq", 16, [](std::uint32_t group) { return formats::nvfp4(group, true, true); }},
    ModeloptAlgorithm{"w4a16_nvfp4", 16, [](std::uint32_t group) { return formats::nvfp4(group, false, false); }},
    ModeloptAlgorithm{"nvfp4_w4a16", 16, [](std::uint32_t group) { return formats::nvfp4(group, false, false); }},
    ModeloptAlgorithm{"w4a8_nvfp4_fp8", 16, [](std::uint32_t group) { return formats::nvfp4(group, true, false); }},
    ModeloptAlgorithm{"w4a16_awq", 128, [](std::uint32_t group) { return formats::int4_modelopt(group, false); }},
    ModeloptAlgorithm{"w4a8_awq", 128, [](std::uint32_t group) { return formats::int4_modelopt(group, true); }},
    ModeloptAlgorithm{"mxfp8", 32, [](std::uint32_t) { return formats::mxfp8(); }},
    ModeloptAlgorithm{"mxfp4", 32, [](std::uint32_t) { return formats::mxfp4(); }},
    ModeloptAlgorithm{"w4a16_mxfp4", 32, [](std::uint32_t) { return formats::mxfp4(); }},
    ModeloptAlgorithm{"w4a8_mxfp4_fp8", 32, [](std::uint32_t) { return formats::mxfp4(); }},
};

Result<std::uint16_t> modelopt_format(const Node& algorithm, const Node& group, std::uint32_t fallback_group, QuantizationBuilder& out) {
  PLIMSOLL_ASSIGN(const std::string name, text(algorithm, ""));
  for (const ModeloptAlgorithm& known : kModeloptAlgorithms) {
    if (!same_text(name, known.name)) continue;
    PLIMSOLL_ASSIGN(const std::uint32_t size, group_size(group, fallback_group != 0 ? fallback_group : known.default_group));
    return out.intern(known.make(size), algorithm);
  }
  std::vector<std::string_view> names;
  for (const ModeloptAlgorithm& known : kModeloptAlgorithms) names.push_back(known.name);
  return bad(algorithm, fmt::format("MIXED_PRECISION or (in any case) one of {}", fmt::join(names, ", ")));
}

} // namespace

Result<void> read_quantized_layers(const Node& layers, std::uint32_t group, QuantizationBuilder& out) {
  if (!layers.present()) return {};
  if (!layers.json->is_object()) return bad(layers, "an object of modules");
  // Tens of thousands of entries share a handful of settings.
  std::string last_algorithm;
  std::int64_t last_group = -2;
  std::uint16_t last_index = 0;
  for (const auto& [key, value] : layers.json->items()) {
    const Node entry{&value, ""};
    const auto algorithm = value.is_object() ? value.find("quant_algo") : value.end();
    if (!value.is_object() || algorithm == value.end() || !algorithm->is_string()) {
      const Node named{&value, layers.at(key)};
      return bad(value.is_object() ? named["quant_algo"] : named, "a module's quant_algo");
    }
    const auto own_group = value.find("group_size");
    const std::int64_t number = own_group != value.end() && own_group->is_number_integer() ? own_group->get<std::int64_t>() : -2;
    const std::string& name = algorithm->get_ref<const std::string&>();
    if (name != last_algorithm || number != last_group || last_index == 0) {
      const Node named{&value, layers.at(key)};
      PLIMSOLL_ASSIGN(last_index, modelopt_format(named["quant_algo"], named["group_size"], group, out));
      last_algorithm = name;
      last_group = number;
    }
    PLIMSOLL_TRY(out.include(key, last_index, layers.pointer));
  }
  return {};
}

Result<void> read_modelopt(const Node& q, QuantizationBuilder& out) {
  PLIMSOLL_TRY(out.exclude(q["exclude_modules"]));
  PLIMSOLL_TRY(out.exclude(q["ignore"]));
  PLIMSOLL_TRY(out.exclude(q["modules_to_not_convert"]));
  const Node algorithm = q["quant_algo"];
  PLIMSOLL_ASSIGN(const std::string name, text(algorithm, ""));
  PLIMSOLL_ASSIGN(const std::uint32_t group, group_size(q["group_size"], 0));
  if (name.empty() || same_text(name, "mixed_precision")) {
    if (!name.empty()) out.mix();
    if (const Node layers = q["quantized_layers"]; layers.present()) return read_quantized_layers(layers, group, out);
    if (q["config_groups"].present()) return read_config_groups(q, false, out);
    if (name.empty()) return {}; // only the KV cache is quantised
    return bad(q["quantized_layers"], "an object that names the quantised modules");
  }
  PLIMSOLL_ASSIGN(const std::uint16_t format, modelopt_format(algorithm, q["group_size"], 0, out));
  out.set_default(format);
  // Its 4-bit exports leave multi-token prediction alone, also where a list of exceptions is missing; 8 bits convert it.
  if (out.storage(format).weight_bits() == 4) PLIMSOLL_TRY(out.exclude_drafts(algorithm));
  else out.convert_joins();
  return read_quantized_layers(q["quantized_layers"], group, out);
}

} // namespace plimsoll
