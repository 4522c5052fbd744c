// Which reader a quant_method has, where settings may lie, and what they mean for one layer. Every number is range-checked before it
// becomes a divisor.
#include "storage/quantization.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <utility>

#include "storage/json_node.hpp"
#include "storage/quantization_builder.hpp"
#include "storage/read_bitsandbytes.hpp"
#include "storage/read_codebooks.hpp"
#include "storage/read_compressed_tensors.hpp"
#include "storage/read_fp8.hpp"
#include "storage/read_gptq_awq.hpp"
#include "storage/read_integers.hpp"
#include "storage/read_mlx.hpp"
#include "storage/read_modelopt.hpp"
#include "storage/read_quark.hpp"
#include "storage/read_torchao.hpp"

namespace plimsoll {
namespace {

struct Method {
  std::string_view name;
  Result<void> (*read)(const Node& settings, QuantizationBuilder& out);
};
constexpr std::array kMethods{
    Method{"fp8", read_fp8},
    Method{"fbgemm_fp8", read_fbgemm_fp8},
    Method{"compressed-tensors", read_compressed_tensors},
    Method{"compressed_tensors", read_compressed_tensors},
    Method{"modelopt", read_modelopt},
    Method{"modelopt_fp4", read_modelopt},
    Method{"modelopt_mixed", read_modelopt},
    Method{"mxfp4", read_mxfp4},
    Method{"mxfp8", read_mxfp8},
    Method{"gptq", read_gptq},
    Method{"gptq_marlin", read_gptq},
    Method{"awq", read_awq},
    Method{"awq_marlin", read_awq},
    Method{"auto-round", read_auto_round},
    Method{"intel/auto-round", read_auto_round},
    Method{"inc", read_auto_round},
    Method{"bitsandbytes", read_bitsandbytes},
    Method{"mlx", read_mlx},
    Method{"quark", read_quark},
    Method{"torchao", read_torchao},
    Method{"hqq", read_hqq},
    Method{"quanto", read_quanto},
    Method{"eetq", read_eetq},
    Method{"aqlm", read_aqlm},
    Method{"exl3", read_exl3},
    Method{"bitnet", read_bitnet},
    Method{"experts_int8", read_experts_int8},
    Method{"moe_wna16", read_moe_wna16},
};

std::string known_methods() {
  std::vector<std::string_view> names;
  for (const Method& method : kMethods) names.push_back(method.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

// The quant_method, or what older exports that leave it out are known by.
Result<std::string> method_of(const Node& settings) {
  const Node method = settings["quant_method"];
  if (method.present()) return text(method, "");
  if (settings["quant_algo"].present()) return std::string("modelopt");
  if (settings["config_groups"].present()) return std::string("compressed-tensors");
  if (settings["load_in_4bit"].present() || settings["load_in_8bit"].present()) return std::string("bitsandbytes");
  if (settings["in_group_size"].present()) return std::string("aqlm");
  if (is_mlx(settings)) return std::string("mlx");
  return bad(method, "one of " + known_methods());
}

// A method that is a plugin's own format: all linear layers have it but those that the settings except.
Result<void> read_vendors(const Storage& format, const Node& settings, QuantizationBuilder& out) {
  PLIMSOLL_TRY(out.exclude(settings.any({"ignore", "exclude_modules", "modules_to_not_convert"})));
  return out.set_default(format, settings);
}

// Reads `settings`; `hf` is hf_quant_config's inner object or not present. The name of the method is the answer.
Result<std::string> read_settings(const Node& settings, const Node& hf, const std::vector<const VendorFormats*>& vendors,
                                  QuantizationBuilder& out) {
  PLIMSOLL_ASSIGN(const std::string name, method_of(settings));
  if (same_text(name, "gguf")) return std::string("gguf"); // every tensor of a GGUF file names its own type; there is no rule to read
  for (const Method& known : kMethods) {
    if (!same_text(name, known.name)) continue;
    PLIMSOLL_TRY(known.read(settings, out));
    if (known.read == read_modelopt && settings.pointer != hf.pointer &&
        !settings.any({"ignore", "exclude_modules", "modules_to_not_convert"}).present())
      PLIMSOLL_TRY(out.exclude(hf.any({"exclude_modules", "ignore"})));
    out.read_kv_cache(settings, hf);
    return std::string(known.name);
  }
  for (const VendorFormats* vendor : vendors)
    if (const Storage* format = vendor->find_format(name)) {
      PLIMSOLL_TRY(read_vendors(*format, settings, out));
      out.read_kv_cache(settings, hf);
      return name;
    }
  out.set_unknown(bad(settings["quant_method"], "one of " + known_methods()).value());
  return name;
}

// Norms and biases are no linear layers, whoever wrote them; all other names that exporters leave alone are the families'.
bool never_quantized(std::string_view module_name, const NameEnds& names) {
  return module_name.ends_with("norm") || module_name.ends_with("bias") || names.match(module_name);
}

} // namespace

Quantization::Quantization() { storages_.emplace_back(); }

Result<Quantization> Quantization::parse(const Json& config, const Json* hf_quant_config, const std::string& where,
                                         const QuantizationHints& hints) {
  Quantization result;
  result.never_quantized_ = NameEnds(hints.names.never_quantized);
  result.draft_joins_ = NameEnds(hints.names.draft_joins);
  result.draft_modules_ = hints.names.draft_modules;
  QuantizationBuilder builder(config, result);

  // hf_quant_config.json keeps its settings one level down.
  Node hf;
  if (hf_quant_config && !hf_quant_config->is_null()) {
    const std::size_t slash = where.rfind('/');
    const Node file{hf_quant_config, (slash == std::string::npos ? "" : where.substr(0, slash + 1)) + "hf_quant_config.json#"};
    if (!hf_quant_config->is_object()) return bad(file, "a JSON object");
    hf = file["quantization"].present() ? file["quantization"] : file;
    if (!hf.json->is_object()) return bad(hf, "an object");
  }

  const Node whole{&config, where + "#"};
  std::vector<Node> levels{whole};
  for (const std::string& pointer : hints.text_parts)
    if (const Json* inner = find_pointer(config, pointer)) levels.push_back({inner, whole.pointer + pointer});
  for (const Node& level : levels) {
    for (const std::string_view key : {"quantization_config", "compression_config", "quantization", "aqlm"}) {
      Node settings = level[key];
      if (!settings.present() || (key == "quantization" && !is_mlx(settings))) continue;
      if (!settings.json->is_object()) return bad(settings, "an object");
      // As hf_quant_config.json has them, one level down.
      if (const Node inner = settings["quantization"]; inner.present() && inner.json->is_object()) settings = inner;
      if (settings.json->empty()) continue;
      PLIMSOLL_ASSIGN(result.method_, read_settings(settings, hf, hints.formats, builder));
      return result;
    }
  }
  if (hf.present() && !hf.json->empty()) {
    PLIMSOLL_ASSIGN(result.method_, read_settings(hf, hf, hints.formats, builder));
  }
  return result;
}

const Storage& Quantization::storage_for(std::string_view module_name, bool stays) const {
  if (!quantized()) return storages_.front();
  if (excluded_.find(module_name)) return with_cache_scale(0, module_name);
  const auto hit = included_.find(module_name);
  if (hit && hit->whole) return with_cache_scale(hit->value, module_name);
  if (stays ? !ends_too_ : never_quantized(module_name, never_quantized_)) return storages_.front();
  if (!joins_too_ && draft_joins_.match(module_name)) return storages_.front();
  return with_cache_scale(hit ? hit->value : default_, module_name);
}

const Storage& Quantization::with_cache_scale(std::uint16_t index, std::string_view module_name) const {
  std::size_t shift = 0;
  if (module_name.ends_with(".k_proj")) shift = k_scaled_;
  else if (module_name.ends_with(".v_proj")) shift = v_scaled_;
  if (shift != 0 && starts_with_one_of(module_name, draft_modules_)) shift = 0; // drafts are left alone
  return storages_[index + shift];
}

const Storage& Quantization::main_storage() const {
  const Storage* main = &storages_.front();
  for (const Storage& storage : storages_)
    if (storage.weight_bits() != 0 && (main->is_plain() || storage.weight_bits() < main->weight_bits())) main = &storage;
  return *main;
}

bool Quantization::is_fp4() const {
  return std::any_of(storages_.begin(), storages_.end(), [](const Storage& storage) { return storage.is_fp4(); });
}

} // namespace plimsoll
