#include "storage/read_codebooks.hpp"

#include <cmath>
#include <cstdint>
#include <string>
#include <string_view>

#include "storage/storage_formats.hpp"

namespace plimsoll {
namespace {

Result<std::uint32_t> small(const Node& node, std::int64_t fallback, std::int64_t most) {
  PLIMSOLL_ASSIGN(const std::int64_t value, integer(node, fallback, 1, most));
  return static_cast<std::uint32_t>(value);
}

// Bits of a weight in hundredths: a whole number of them for each layer, and a mean for all.
Result<std::uint32_t> hundredths(const Node& node, double fallback) {
  const double value = node.present() && node.json->is_number() ? node.json->get<double>() : fallback;
  if ((node.present() && !node.json->is_number()) || !(value >= 1 && value <= 16)) return bad(node, "bits of a weight from 1 to 16");
  return static_cast<std::uint32_t>(std::ceil(value * 100 - 1e-9));
}

} // namespace

// A code of so many bits for each group of inputs and codebook, a scale for each row.
Result<void> read_aqlm(const Node& q, QuantizationBuilder& out) {
  PLIMSOLL_ASSIGN(const std::uint32_t in_group, small(q["in_group_size"], 8, 1024));
  PLIMSOLL_ASSIGN(const std::uint32_t out_group, small(q["out_group_size"], 1, 1024));
  PLIMSOLL_ASSIGN(const std::uint32_t books, small(q["num_codebooks"], 1, 64));
  PLIMSOLL_ASSIGN(const std::uint32_t width, small(q["nbits_per_codebook"], 16, 16));
  // Names of parameters, "lm_head.weight".
  if (const Node list = q["linear_weights_not_to_quantize"]; list.present()) {
    if (!list.json->is_array()) return bad(list, "an array of names");
    for (std::size_t i = 0; i < list.json->size(); ++i) {
      const Node item{&(*list.json)[i], list.at(std::to_string(i))};
      if (!item.json->is_string()) return bad(item, "the name of a weight");
      std::string_view name = item.json->get_ref<const std::string&>();
      if (name.ends_with(".weight")) name.remove_suffix(7);
      PLIMSOLL_TRY(out.exclude_one(name, item));
    }
  }
  return out.set_default(formats::aqlm(books, width, in_group, out_group), q);
}

// The head has bits of its own; some exports convert routed experts alone.
Result<void> read_exl3(const Node& q, QuantizationBuilder& out) {
  PLIMSOLL_ASSIGN(const std::uint32_t width, hundredths(q["bits"], 4));
  PLIMSOLL_ASSIGN(const std::string scope, text(q["scope"], ""));
  PLIMSOLL_ASSIGN(const std::uint16_t format, out.intern(formats::exl3(width), q));
  if (scope.find("routed_experts") != std::string::npos) return out.include("experts", format, q.pointer);
  out.set_default(format);
  if (!q["head_bits"].present()) return {};
  PLIMSOLL_ASSIGN(const std::uint32_t head, hundredths(q["head_bits"], 6));
  if (head >= 1600) return {};
  PLIMSOLL_ASSIGN(const std::uint16_t of_head, out.intern(formats::exl3(head), q));
  return out.include("lm_head", of_head, q["head_bits"].pointer);
}

} // namespace plimsoll
