// See device_file.hpp.
#include "device/device_file.hpp"

#include <charconv>
#include <fmt/format.h>
#include <fstream>
#include <system_error>

#include "device/device_items.hpp"
#include "device/nodes.hpp"
#include "device/yaml_fields.hpp"

namespace plimsoll {
namespace {

constexpr std::uintmax_t kMaxFileBytes = 1U << 20;

Result<std::string> read_text(const std::filesystem::path& file) {
  const std::string where = file.string();
  std::error_code problem;
  if (!std::filesystem::is_regular_file(file, problem))
    return fail(ErrorCode::kBadRequest, "no such file; --devices takes a YAML file, or a list such as 8xH200 or, for two nodes, 2x8xH200",
                where);
  const std::uintmax_t size = std::filesystem::file_size(file, problem);
  if (problem || size > kMaxFileBytes)
    return fail(ErrorCode::kBadRequest, fmt::format("a device file has at most {} bytes", kMaxFileBytes), where);
  std::string text(static_cast<std::size_t>(size), '\0');
  std::ifstream in(file, std::ios::binary);
  in.read(text.data(), static_cast<std::streamsize>(size));
  if (!in || in.gcount() != static_cast<std::streamsize>(size)) return fail(ErrorCode::kBadRequest, "the file cannot be read", where);
  return text;
}

// "90" and "9.0" are the same capability.
Result<std::uint32_t> read_capability(const std::string& text, const std::string& where) {
  const std::size_t point = text.find('.');
  std::string digits = text;
  if (point != std::string::npos) digits.erase(point, 1);
  std::uint32_t value = 0;
  const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  const bool shaped = point == std::string::npos ? digits.size() >= 2 : point + 2 == text.size();
  if (problem != std::errc() || end != digits.data() + digits.size() || !shaped || value > 9999)
    return fail(ErrorCode::kBadRequest, fmt::format("'{}' is no compute capability; write 9.0 or 90", text.substr(0, 64)), where);
  return value;
}

// Empty where the key is absent. 1.10 and 1.1 would be one number, so fractions have to be texts.
Result<std::string> read_node(const YamlFields& fields) {
  PLIMSOLL_ASSIGN(const std::optional<std::string> name, fields.text("node"));
  if (!name) return std::string();
  const Json& value = *fields.node("node");
  if (!value.is_string() && !value.is_number_integer())
    return fail(ErrorCode::kBadRequest, fmt::format("'{}' is neither a text nor a whole number; quote it", name->substr(0, 64)),
                fields.at("node"));
  PLIMSOLL_TRY(check_node_name(*name, fields.at("node")));
  return *name;
}

Result<void> append_mapping(const Json& entry, const std::string& where, const DeviceCatalogue& catalogue, std::vector<Device>& out) {
  PLIMSOLL_ASSIGN(const YamlFields fields, YamlFields::open(entry, where,
                                                            {"name", "count", "total_bytes", "free_bytes", "kind", "wired_limit_bytes",
                                                             "max_allocation_bytes", "compute_capability", "vendor", "arch", "node"}));
  PLIMSOLL_ASSIGN(const std::optional<std::string> name, fields.text("name"));
  PLIMSOLL_ASSIGN(const std::optional<std::uint64_t> total_bytes, fields.bytes("total_bytes"));
  PLIMSOLL_ASSIGN(const std::optional<std::uint64_t> free_bytes, fields.bytes("free_bytes"));
  PLIMSOLL_ASSIGN(const std::optional<std::uint64_t> wired_limit_bytes, fields.bytes("wired_limit_bytes"));
  PLIMSOLL_ASSIGN(const std::optional<std::uint64_t> max_allocation_bytes, fields.bytes("max_allocation_bytes"));
  PLIMSOLL_ASSIGN(const std::optional<std::uint64_t> count, fields.count("count"));
  PLIMSOLL_ASSIGN(const std::optional<std::string> kind, fields.text("kind"));
  PLIMSOLL_ASSIGN(const std::optional<std::string> capability, fields.text("compute_capability"));
  PLIMSOLL_ASSIGN(const std::optional<std::string> vendor, fields.text("vendor"));
  PLIMSOLL_ASSIGN(const std::optional<std::string> arch, fields.text("arch"));
  PLIMSOLL_ASSIGN(const std::string node, read_node(fields));

  Device device;
  if (name) {
    PLIMSOLL_ASSIGN(const std::optional<Card> card, catalogue.find(*name));
    if (card) device = card->device;
    if (!card && !total_bytes) return unknown_card(*name, catalogue, fields.at("name"));
    if (!card) device.name = *name;
  } else if (!total_bytes) {
    return fail(ErrorCode::kBadRequest, "a device needs the name of a card, or total_bytes", where);
  } else {
    device.name = fmt::format("device {}", out.size());
  }
  if (kind && *kind != "gpu" && *kind != "unified")
    return fail(ErrorCode::kBadRequest,
                fmt::format("kind '{}' is neither gpu nor unified{}", kind->substr(0, 64),
                            *kind == "host" ? "; the host is no rank, give its memory as --host SIZE" : ""),
                fields.at("kind"));
  if (kind) device.kind = *kind == "unified" ? DeviceKind::kUnified : DeviceKind::kGpu;
  if (total_bytes) {
    device.total_bytes = device.free_bytes = *total_bytes;
    device.wired_limit_bytes.reset();
  }
  if (wired_limit_bytes) {
    if (device.kind != DeviceKind::kUnified)
      return fail(ErrorCode::kBadRequest, "only unified memory has a wired limit; add kind: unified", fields.at("wired_limit_bytes"));
    if (*wired_limit_bytes > device.total_bytes)
      return fail(ErrorCode::kBadRequest, "the wired limit exceeds total_bytes", fields.at("wired_limit_bytes"));
    device.wired_limit_bytes = wired_limit_bytes;
    device.free_bytes = *wired_limit_bytes;
  }
  if (free_bytes) device.free_bytes = *free_bytes;
  if (max_allocation_bytes) device.max_allocation_bytes = max_allocation_bytes;
  if (capability) {
    PLIMSOLL_ASSIGN(device.compute_capability, read_capability(*capability, fields.at("compute_capability")));
  }
  if (vendor) device.vendor = *vendor;
  if (arch) device.arch = *arch;
  device.node = node;
  return append_copies(std::move(device), count.value_or(1), where, out);
}

} // namespace

Result<std::vector<Device>> read_device_file(const std::filesystem::path& file, const DeviceCatalogue& catalogue) {
  PLIMSOLL_ASSIGN(const std::string text, read_text(file));
  return read_device_text(text, file.string(), catalogue);
}

Result<std::vector<Device>> read_device_text(const std::string& text, const std::string& origin, const DeviceCatalogue& catalogue) {
  PLIMSOLL_ASSIGN(const Json root, read_yaml(text, origin));
  std::string where = origin + "#";
  const Json* list = &root;
  if (root.is_object()) {
    PLIMSOLL_ASSIGN(const YamlFields fields, YamlFields::open(root, where, {"schema", "devices"}));
    where = fields.at("devices");
    list = fields.node("devices");
    if (list == nullptr) return fail(ErrorCode::kBadRequest, "'devices' is missing; it holds the list of devices", origin + "#");
  }
  if (!list->is_array() || list->empty()) return fail(ErrorCode::kBadRequest, "expected a list with at least one device", where);
  std::vector<Device> out;
  NodeList nodes;
  std::size_t index = 0;
  for (const Json& entry : *list) {
    const std::string here = fmt::format("{}/{}", where, index++);
    const std::size_t first = out.size();
    const auto item = single_value(entry);
    if (item) PLIMSOLL_TRY(append_item(*item, catalogue, here, out));
    else PLIMSOLL_TRY(append_mapping(entry, here, catalogue, out));
    const NodesBy by = out[first].node.empty() ? NodesBy::kNothing : item ? NodesBy::kCount : NodesBy::kKey;
    PLIMSOLL_TRY(nodes.take(std::span(out).subspan(first), by, here));
  }
  PLIMSOLL_TRY(nodes.close(where));
  return out;
}

} // namespace plimsoll
