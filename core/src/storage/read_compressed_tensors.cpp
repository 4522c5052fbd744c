#include "storage/read_compressed_tensors.hpp"

#include <cstdint>
#include <fmt/format.h>
#include <string>

#include "storage/storage_formats.hpp"

namespace plimsoll {
namespace {

// One entry of compressed-tensors' config_groups.
Result<Storage> config_group(const Node& group, const std::string& outer_format, bool wide_shapes) {
  using formats::Strategy;
  const Node weights = group["weights"];
  if (!weights.present()) return Storage();
  if (!weights.json->is_object()) return bad(weights, "an object with num_bits and type");
  PLIMSOLL_ASSIGN(const std::string type, text(weights["type"], "int"));
  if (type != "int" && type != "float") return bad(weights["type"], "int or float");
  PLIMSOLL_ASSIGN(const std::uint32_t width, bits(weights["num_bits"], 8, {2, 4, 8}));

  formats::Scheme scheme;
  scheme.bits = width;
  scheme.wide_shape = wide_shapes;
  PLIMSOLL_ASSIGN(scheme.symmetric, boolean(weights["symmetric"], true));
  PLIMSOLL_ASSIGN(scheme.group, group_size(weights["group_size"], 0));
  PLIMSOLL_ASSIGN(const std::string strategy, text(weights["strategy"], weights["group_size"].present()        ? "group"
                                                                        : weights["block_structure"].present() ? "block"
                                                                                                               : "tensor"));
  if (strategy == "tensor") scheme.strategy = Strategy::kTensor;
  else if (strategy == "channel") scheme.strategy = Strategy::kChannel;
  else if (strategy == "group" || strategy == "tensor_group") scheme.strategy = Strategy::kGroup;
  else if (strategy == "block") {
    scheme.strategy = Strategy::kBlock;
    PLIMSOLL_ASSIGN(const Block block, block_size(weights["block_structure"]));
    scheme.block_out = block.out;
    scheme.block_in = block.in;
  } else return bad(weights["strategy"], "tensor, channel, group, tensor_group or block");
  // "weight" and "static" sort before packing and store nothing; "group" (and true) store each input's group.
  if (const Node order = weights["actorder"]; order.present()) {
    if (order.json->is_boolean()) scheme.group_index = order.json->get<bool>();
    else {
      PLIMSOLL_ASSIGN(const std::string name, text(order, ""));
      scheme.group_index = name == "group" || name == "GROUP";
    }
  }
  const Node input = group["input_activations"];
  if (input.present()) {
    if (!input.json->is_object()) return bad(input, "an object or null");
    const Node dynamic = input["dynamic"];
    scheme.static_input = !dynamic.present() || (dynamic.json->is_boolean() && !dynamic.json->get<bool>());
  }

  PLIMSOLL_ASSIGN(std::string format, text(group["format"], outer_format));
  if (format.empty() || format == "mixed-precision" || format == "naive-quantized") {
    if (type == "float") format = width == 8 ? "float-quantized" : scheme.group == 32 ? "mxfp4-pack-quantized" : "nvfp4-pack-quantized";
    else format = width == 8 && (input.present() || format == "naive-quantized") ? "int-quantized" : "pack-quantized";
  }
  const bool float4 = type == "float" && width == 4;
  if (format == "dense") return Storage();
  if (format == "pack-quantized" && type == "int") return formats::ct_packed_int(scheme);
  if (format == "int-quantized" && type == "int" && width == 8) return formats::ct_int(scheme);
  if (format == "float-quantized" && type == "float" && width == 8) return formats::ct_float(scheme);
  if (format == "nvfp4-pack-quantized" && float4) return formats::ct_nvfp4(scheme.group == 0 ? 16 : scheme.group, input.present());
  if (format == "mxfp4-pack-quantized" && float4) return formats::ct_mxfp4();
  if (format == "mxfp8-quantized" && type == "float" && width == 8) return formats::mxfp8();
  return fail(
      ErrorCode::kBadConfig,
      fmt::format("format \"{}\" with {}-bit {} weights; known are dense, pack-quantized (int), int-quantized (int8), float-quantized "
                  "(float8), nvfp4-pack-quantized and mxfp4-pack-quantized (float4), mxfp8-quantized (float8)",
                  format.substr(0, 40), width, type),
      weights.pointer);
}

} // namespace

Result<void> read_compressed_tensors(const Node& q, QuantizationBuilder& out) {
  if (const Node sparse = q["sparsity_config"]["format"]; sparse.present()) {
    PLIMSOLL_ASSIGN(const std::string format, text(sparse, ""));
    if (format != "dense") return bad(sparse, "dense; compressed sparse weights cannot be planned from the configuration");
  }
  PLIMSOLL_TRY(out.exclude(q["ignore"]));
  return read_config_groups(q, q["version"].present(), out);
}

Result<void> read_config_groups(const Node& q, bool wide_shapes, QuantizationBuilder& out) {
  PLIMSOLL_ASSIGN(const std::string outer_format, text(q["format"], ""));
  const Node groups = q["config_groups"];
  if (!groups.present() || !groups.json->is_object()) return bad(groups, "an object of groups");
  bool have_default = false;
  for (const auto& [key, value] : groups.json->items()) {
    const Node group{&value, groups.at(key)};
    if (!value.is_object()) return bad(group, "an object with weights and targets");
    PLIMSOLL_ASSIGN(Storage storage, config_group(group, outer_format, wide_shapes));
    PLIMSOLL_ASSIGN(const std::uint16_t index, out.intern(std::move(storage), group));
    const Node targets = group["targets"];
    if (targets.present() && !targets.json->is_array()) return bad(targets, "an array of module names or classes");
    const std::size_t count = targets.present() ? targets.json->size() : 0;
    for (std::size_t i = 0; i < count; ++i) {
      const Node target{&(*targets.json)[i], targets.at(std::to_string(i))};
      if (!target.json->is_string()) return bad(target, "a module name or class");
      const std::string& name = target.json->get_ref<const std::string&>();
      // A class name: these are the ones that hold linear layers. Embedding and attention classes hold none.
      if (name.find('.') == std::string::npos && !name.empty() && name[0] >= 'A' && name[0] <= 'Z') {
        if (name.find("Linear") == std::string::npos && name.find("MoE") == std::string::npos) continue;
        if (!have_default) out.set_default(index);
        have_default = true;
      } else PLIMSOLL_TRY(out.include(name, index, target.pointer));
    }
    if (count == 0 && !have_default) {
      out.set_default(index);
      have_default = true;
    }
  }
  return {};
}

} // namespace plimsoll
