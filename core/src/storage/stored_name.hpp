// From a stored tensor's name back to the class tensor it belongs to: strips what quantisation formats append.
// Meant for every tensor of a checkpoint (92,000 in DeepSeek-V3), so it only looks at the name's end.
// Knows no shapes and no configuration. Threads: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace plimsoll {

// What a stored tensor holds for its class.
enum class StoredRole : std::uint8_t {
  kWeight,    // the packed values themselves: qweight, weight_packed, _blocks
  kScale,     // weight scales of blocks
  kSecond,    // of these scales one scale: of the whole weight
  kZeroPoint, // qzeros, weight_zero_point
  kGroupIndex,
  kShape,       // weight_shape: the unpacked dims
  kInputScale,  // of the layer's activations
  kInputFactor, // that inputs are multiplied by
  kKvScale,     // k_scale, v_scale: of the KV cache
  kState        // bitsandbytes' tables and JSON
};

struct StoredName {
  std::string_view stem;   // the name without the suffix
  bool has_weight = false; // the class's name is stem + ".weight"; false for packed classes: the stem alone
  StoredRole role = StoredRole::kWeight;

  std::string class_name() const { return std::string(stem).append(has_weight ? ".weight" : ""); }
};

// Empty for names without such a suffix ("x.weight", "x.bias", "A_log"): these are class names already. `name` must
// outlive the result. "m.experts.up_proj_blocks" gives stem "m.experts.up_proj"; "m.q_proj.qweight" stem "m.q_proj" and .weight.
// `scales`: what plugins call scales of their own formats (VendorFormats::scale_names), which then mean the same as "weight_scale".
std::optional<StoredName> parse_stored_name(std::string_view name, std::span<const std::string_view> scales = {});

} // namespace plimsoll
