#include "storage/vendor_formats.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <numeric>
#include <utility>

#include "plimsoll/abi.h"
#include "storage/json_node.hpp"
#include "storage/named_storage.hpp"
#include "storage/stored_name.hpp"

namespace plimsoll {
namespace {

using Axis = Extent::Axis;

// What a type may be called in an engine profile or by a planner without being one.
constexpr std::array<std::string_view, 4> kWords{"auto", "model", "state", "int4"};

Result<void> check_name(const Node& node, std::string_view name, bool built_in) {
  if (name.empty() || name.size() > PLIMSOLL_MAX_NAME_BYTES ||
      name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_.-") != std::string_view::npos)
    return fail(ErrorCode::kBadConfig, fmt::format("a name of 1 to {} of a-z, 0-9, _ . and - was expected", PLIMSOLL_MAX_NAME_BYTES),
                node.pointer);
  if (built_in) return fail(ErrorCode::kBadConfig, fmt::format("'{}' is built in; choose another name", name), node.pointer);
  return {};
}

Result<std::int64_t> required(const Node& node, std::int64_t least, std::int64_t most) {
  if (!node.present()) return bad(node, fmt::format("an integer from {} to {}", least, most));
  return integer(node, least, least, most);
}

// How many elements along `axis` share a scale, or `all`: one scale then.
Result<Extent> scale_extent(const Node& node, Axis axis, bool all) {
  if (!node.present()) return all ? Extent{} : Extent{axis};
  if (node.json->is_string() && *node.json == "all") return Extent{};
  if (!node.json->is_number()) return bad(node, fmt::format("an integer from 1 to {}, or all", kMaxBlockExtent));
  PLIMSOLL_ASSIGN(const std::int64_t elements, integer(node, 1, 1, kMaxBlockExtent));
  return Extent{axis, 1, static_cast<std::uint32_t>(elements)};
}

// Whether the tensor "x.<name>" would be taken for something else than a scale of x.
bool means_another(const std::string& name) {
  if (name == "weight" || name == "bias") return true;
  const auto known = parse_stored_name("x." + name);
  return known && known->has_weight && (known->role == StoredRole::kWeight || known->role == StoredRole::kKvScale);
}
bool is_known_suffix(const std::string& name) {
  const std::string segment = "x." + name;
  const std::string end = "x_" + name;
  const auto plain = parse_stored_name(segment);
  const auto packed = parse_stored_name(end);
  return plain && packed && plain->stem == "x" && packed->stem == "x";
}

// Fills one VendorFormats; the first thing wrong ends it.
class Definitions {
public:
  explicit Definitions(VendorFormats& out) : out_(out) {}

  Result<void> read_types(const Node& types) { return each(types, kMaxVendorTypes, "types", &Definitions::read_type); }
  Result<void> read_formats(const Node& formats) { return each(formats, kMaxVendorFormats, "formats", &Definitions::read_format); }

private:
  using One = Result<void> (Definitions::*)(const Node&, const std::string&);

  Result<void> each(const Node& node, std::size_t most, std::string_view what, One read) {
    if (!node.present()) return {};
    if (!node.json->is_object()) return bad(node, "keys and values");
    if (node.json->size() > most)
      return fail(ErrorCode::kBadConfig, fmt::format("{} {}; at most {} are read", node.json->size(), what, most), node.pointer);
    for (const auto& [name, value] : node.json->get_ref<const Json::object_t&>())
      PLIMSOLL_TRY((this->*read)({&value, node.at(name)}, name));
    return {};
  }

  Result<void> read_type(const Node& node, const std::string& name) {
    const bool word = std::find(kWords.begin(), kWords.end(), name) != kWords.end();
    PLIMSOLL_TRY(check_name(node, name, word || find_dtype(name).has_value()));
    PLIMSOLL_TRY(only(node, {"block", "bytes"}));
    PLIMSOLL_ASSIGN(const std::int64_t block, integer(node["block"], 1, 1, kMaxBlockExtent));
    PLIMSOLL_ASSIGN(const std::int64_t bytes, required(node["bytes"], 1, kMaxTypeBlockBytes));
    out_.types.push_back({keep(name), {}, static_cast<std::uint32_t>(block), static_cast<std::uint32_t>(bytes)});
    return {};
  }

  Result<void> read_format(const Node& node, const std::string& name) {
    PLIMSOLL_TRY(check_name(node, name, find_storage(name).has_value()));
    PLIMSOLL_TRY(only(node, {"bits_per_element", "block", "along", "packed", "scales"}));
    PLIMSOLL_ASSIGN(const std::int64_t bits, required(node["bits_per_element"], 1, 64));
    PLIMSOLL_ASSIGN(const Dtype packed, packed_type(node["packed"]));
    const std::int64_t element_bits = std::int64_t{packed.block_bytes} * 8;
    const std::int64_t fewest = element_bits / std::gcd(bits, element_bits);
    PLIMSOLL_ASSIGN(const std::int64_t block, integer(node["block"], fewest, 1, kMaxBlockExtent));
    if (block % fewest != 0)
      return fail(ErrorCode::kBadConfig,
                  fmt::format("{} elements of {} bits make no whole {}; a multiple of {} was expected", block, bits, packed.name, fewest),
                  node.at("block"));
    PLIMSOLL_ASSIGN(const std::string along, text(node["along"], "input"));
    if (along != "input" && along != "output") return bad(node["along"], "input or output");
    const Axis axis = along == "input" ? Axis::kIn : Axis::kOut;
    const Extent blocks{axis, static_cast<std::uint32_t>(block * bits / element_bits), static_cast<std::uint32_t>(block), true};
    std::vector<StoragePart> parts;
    parts.push_back({"weight",
                     "",
                     packed,
                     true,
                     axis == Axis::kOut ? blocks : Extent{Axis::kOut},
                     axis == Axis::kIn ? blocks : Extent{Axis::kIn},
                     {},
                     0});
    PLIMSOLL_TRY(read_scales(node["scales"], parts));
    out_.formats.push_back(Storage::own(name, std::move(parts), static_cast<std::uint32_t>(bits)));
    return {};
  }

  static Result<Dtype> packed_type(const Node& node) {
    PLIMSOLL_ASSIGN(const std::string name, text(node, "uint8"));
    const auto type = find_dtype(name);
    if (!type || !(type->name.starts_with("int") || type->name.starts_with("uint")))
      return bad(node, "an integer type of the host, such as uint8 or int32");
    return *type;
  }

  Result<void> read_scales(const Node& scales, std::vector<StoragePart>& parts) {
    if (!scales.present()) return {};
    if (!scales.json->is_array()) return bad(scales, "a list");
    if (scales.json->size() > kMaxScales)
      return fail(ErrorCode::kBadConfig, fmt::format("{} scales; at most {} are read", scales.json->size(), kMaxScales), scales.pointer);
    for (std::size_t i = 0; i < scales.json->size(); ++i)
      PLIMSOLL_TRY(read_scale({&(*scales.json)[i], scales.at(std::to_string(i))}, parts));
    return {};
  }

  Result<void> read_scale(const Node& node, std::vector<StoragePart>& parts) {
    PLIMSOLL_TRY(only(node, {"type", "outputs", "inputs", "name"}));
    const Node type_node = node["type"];
    PLIMSOLL_ASSIGN(const std::string type_name, text(type_node, ""));
    const Dtype* own = out_.find_type(type_name);
    const auto type = own != nullptr ? std::optional<Dtype>(*own) : find_dtype(type_name);
    if (!type) return bad(type_node, "a type that the host or this manifest has");
    PLIMSOLL_ASSIGN(const Extent outputs, scale_extent(node["outputs"], Axis::kOut, false));
    PLIMSOLL_ASSIGN(const Extent inputs, scale_extent(node["inputs"], Axis::kIn, true));
    const Node name_node = node["name"];
    PLIMSOLL_ASSIGN(const std::string name, text(name_node, parts.size() == 1 ? "weight_scale" : ""));
    if (name.empty() && !name_node.present())
      return fail(ErrorCode::kBadConfig, "a name was expected: only the first scale has one of its own, weight_scale", name_node.pointer);
    PLIMSOLL_TRY(check_scale_name(name_node, name, parts));
    if (!is_known_suffix(name)) out_.scale_names.push_back(keep(name));
    parts.push_back({keep(name), keep("_" + name), type, true, outputs, inputs, {}, 0});
    return {};
  }

  static Result<void> check_scale_name(const Node& node, const std::string& name, const std::vector<StoragePart>& parts) {
    constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
    if (name.empty() || name.size() > PLIMSOLL_MAX_NAME_BYTES || name.find_first_not_of(kLetters) != std::string::npos)
      return fail(ErrorCode::kBadConfig, fmt::format("a name of 1 to {} letters, digits and _ was expected", PLIMSOLL_MAX_NAME_BYTES),
                  node.pointer);
    if (means_another(name))
      return fail(ErrorCode::kBadConfig, fmt::format("'{}' is what another tensor is called; choose another name", name), node.pointer);
    for (const StoragePart& part : parts)
      if (part.weight_suffix == name)
        return fail(ErrorCode::kBadConfig, fmt::format("two scales are called '{}'; name each", name), node.pointer);
    return {};
  }

  std::string_view keep(std::string name) { return out_.names.emplace_back(std::move(name)); }

  VendorFormats& out_;
};

} // namespace

const Dtype* VendorFormats::find_type(std::string_view name) const {
  const auto it = std::find_if(types.begin(), types.end(), [&](const Dtype& type) { return type.name == name; });
  return it == types.end() ? nullptr : &*it;
}

const Storage* VendorFormats::find_format(std::string_view name) const {
  const auto it = std::find_if(formats.begin(), formats.end(), [&](const Storage& format) { return format.name() == name; });
  return it == formats.end() ? nullptr : &*it;
}

const std::shared_ptr<const VendorFormats>& VendorFormats::none() {
  static const auto empty = std::make_shared<const VendorFormats>();
  return empty;
}

Result<std::shared_ptr<const VendorFormats>> read_vendor_formats(const Json* types, const Json* formats, const std::string& where) {
  const auto out = std::make_shared<VendorFormats>();
  Definitions definitions(*out);
  const auto of_plugin = [](Error error) { return Error{ErrorCode::kPluginFailed, std::move(error.message), std::move(error.where)}; };
  PLIMSOLL_TRY(definitions.read_types({types, where + ": /types"}).map_error(of_plugin));
  PLIMSOLL_TRY(definitions.read_formats({formats, where + ": /formats"}).map_error(of_plugin));
  return out;
}

} // namespace plimsoll
