#include "storage/read_mlx.hpp"

#include <cstdint>
#include <string>

#include "storage/storage_formats.hpp"

namespace plimsoll {
namespace {

Result<Storage> mlx_format(const Node& q, std::uint32_t width, std::uint32_t group, const std::string& outer_mode) {
  PLIMSOLL_ASSIGN(const std::string mode, text(q["mode"], outer_mode));
  PLIMSOLL_ASSIGN(const std::uint32_t own_width, bits(q["bits"], width, {2, 3, 4, 5, 6, 8}));
  PLIMSOLL_ASSIGN(const std::uint32_t own_group, group_size(q["group_size"], group));
  if (mode != "affine" && mode != "mxfp4" && mode != "nvfp4" && mode != "mxfp8") return bad(q["mode"], "affine, mxfp4, mxfp8 or nvfp4");
  return formats::mlx(mode, own_width, own_group);
}

} // namespace

bool is_mlx(const Node& q) { return q["bits"].present() && q["group_size"].present() && !q["quant_method"].present(); }

Result<void> read_mlx(const Node& q, QuantizationBuilder& out) {
  PLIMSOLL_ASSIGN(const std::string mode, text(q["mode"], "affine"));
  PLIMSOLL_ASSIGN(const std::uint32_t width, bits(q["bits"], 4, {2, 3, 4, 5, 6, 8}));
  PLIMSOLL_ASSIGN(const std::uint32_t group, group_size(q["group_size"], 64));
  PLIMSOLL_ASSIGN(Storage format, mlx_format(q, width, group, mode));
  PLIMSOLL_TRY(out.set_default(std::move(format), q));
  out.convert_ends();
  for (const auto& [key, value] : q.json->items()) {
    const Node entry{&value, q.at(key)};
    if (value.is_boolean() && key.find('.') != std::string::npos && !value.get<bool>()) PLIMSOLL_TRY(out.exclude_one(key, entry));
    if (!value.is_object()) continue;
    PLIMSOLL_ASSIGN(Storage own, mlx_format(entry, width, group, mode));
    PLIMSOLL_ASSIGN(const std::uint16_t index, out.intern(std::move(own), entry));
    PLIMSOLL_TRY(out.include(key, index, entry.pointer));
  }
  return {};
}

} // namespace plimsoll
