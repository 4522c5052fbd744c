// See device.hpp and device_items.hpp: the grammar of `--devices`.
#include "device/device.hpp"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>

#include "base/digit.hpp"
#include "base/human.hpp"
#include "base/nearest.hpp"
#include "device/device_file.hpp"
#include "device/device_items.hpp"
#include "device/nodes.hpp"
#include "device/query.hpp"
#include "plimsoll/limits.hpp"

namespace plimsoll {
namespace {

constexpr std::size_t kMaxSpecBytes = 1U << 20;
constexpr std::size_t kMaxNameBytes = 128;
// 128 TiB: kMaxRanks of them still add up within 63 bits.
constexpr std::uint64_t kMaxDeviceBytes = 1ULL << 47;
const std::string kOption = "--devices";
constexpr const char* kThisMachine = "this machine"; // the node of real devices

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool all_digits(std::string_view text) { return !text.empty() && std::all_of(text.begin(), text.end(), is_digit); }

// Cuts an x, a * or a multiplication sign off the front of `text`, where one is there.
bool take_times(std::string_view& text) {
  for (const std::string_view sign : {"x", "X", "*", "\u00d7"})
    if (text.starts_with(sign)) {
      text = trim(text.substr(sign.size()));
      return true;
    }
  return false;
}

Result<std::uint64_t> read_count(std::string_view digits, std::string_view item, const std::string& where) {
  std::uint64_t count = 0;
  const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), count);
  if (problem != std::errc() || count == 0 || count > kMaxRanks)
    return fail(ErrorCode::kBadRequest, fmt::format("the count in '{}' must lie between 1 and {}", item.substr(0, 64), kMaxRanks), where);
  return count;
}

// Cuts `COUNTx` off the front of `item`, where it is there.
Result<std::optional<std::uint64_t>> take_count(std::string_view& item, const std::string& where) {
  std::size_t digits = 0;
  while (digits < item.size() && is_digit(item[digits])) ++digits;
  std::string_view rest = trim(item.substr(digits));
  if (digits == 0 || !take_times(rest)) return std::nullopt;
  PLIMSOLL_ASSIGN(const std::uint64_t count, read_count(item.substr(0, digits), item, where));
  item = rest;
  return count;
}

// Cuts `xCOUNT` off the end of a card's name or a size, as H100x8; what is itself a card's name ("RTX4090") stays.
Result<std::optional<std::uint64_t>> take_count_behind(std::string_view& item, const DeviceCatalogue& catalogue, const std::string& where) {
  std::size_t end = item.size();
  while (end > 0 && is_digit(item[end - 1])) --end;
  const std::string_view digits = item.substr(end);
  std::string_view head = trim(item.substr(0, end));
  const char sign = head.empty() ? ' ' : head.back();
  if (digits.empty() || head.size() < 2 || (sign != 'x' && sign != 'X' && sign != '*')) return std::nullopt;
  head = trim(head.substr(0, head.size() - 1));
  PLIMSOLL_ASSIGN(const std::optional<Card> whole, catalogue.find(item));
  if (whole || head.find('=') != std::string_view::npos) return std::nullopt;
  PLIMSOLL_ASSIGN(const std::optional<Card> card, catalogue.find(head));
  if (!card && !parse_bytes(head, where)) return std::nullopt;
  PLIMSOLL_ASSIGN(const std::uint64_t count, read_count(digits, item, where));
  item = head;
  return count;
}

// `TOTAL[:FREE]`
Result<void> read_sizes(std::string_view text, const std::string& where, Device& device) {
  const std::size_t colon = text.find(':');
  PLIMSOLL_ASSIGN(device.total_bytes, parse_bytes(trim(text.substr(0, colon)), where));
  device.free_bytes = std::min(device.total_bytes, device.wired_limit_bytes.value_or(device.total_bytes));
  if (colon != std::string_view::npos) {
    PLIMSOLL_ASSIGN(device.free_bytes, parse_bytes(trim(text.substr(colon + 1)), where));
  }
  return {};
}

} // namespace

std::string_view device_kind_name(DeviceKind kind) noexcept { return kind == DeviceKind::kUnified ? "unified" : "gpu"; }

tl::unexpected<Error> unknown_card(std::string_view name, const DeviceCatalogue& catalogue, const std::string& where) {
  const auto near = catalogue.nearest(name);
  if (!near) return tl::unexpected(near.error());
  const auto instances = catalogue.instances();
  if (!instances) return tl::unexpected(instances.error());
  std::vector<std::string_view> names;
  for (const Instance& instance : *instances) names.emplace_back(instance.name);
  const std::vector<std::string> machines = nearest(name, names, 2);
  if (!machines.empty() && name.find_first_of("._") != std::string_view::npos) // as machines are called, and cards are not
    return fail(ErrorCode::kBadRequest,
                fmt::format("'{}' is no card and no machine of the catalogue; did you mean {}? `plimsoll devices` lists all",
                            name.substr(0, 64), either(machines)),
                where);
  return fail(
      ErrorCode::kBadRequest,
      fmt::format("'{}' is no card of the catalogue; the nearest are {}. `plimsoll devices` lists all, {}=80GiB declares one of your own",
                  name.substr(0, 64), fmt::join(*near, ", "), name.substr(0, 64)),
      where);
}

Result<void> append_copies(Device device, std::uint64_t count, const std::string& where, std::vector<Device>& out) {
  if (device.name.size() > kMaxNameBytes)
    return fail(ErrorCode::kBadRequest, fmt::format("a device name has at most {} characters", kMaxNameBytes), where);
  if (std::any_of(device.name.begin(), device.name.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }))
    return fail(ErrorCode::kBadRequest, "a device name must not hold control characters", where);
  if (device.total_bytes == 0)
    return fail(ErrorCode::kBadRequest, fmt::format("device '{}' has no memory; give its size", device.name), where);
  if (device.free_bytes > device.total_bytes)
    return fail(ErrorCode::kBadRequest,
                fmt::format("device '{}' cannot have {} bytes free of {}", device.name, device.free_bytes, device.total_bytes), where);
  if (count == 0 || count > kMaxRanks || out.size() + count > kMaxRanks)
    return fail(ErrorCode::kBadRequest, fmt::format("a list holds between 1 and {} devices", kMaxRanks), where);
  if (device.total_bytes >= kMaxDeviceBytes)
    return fail(ErrorCode::kBadRequest,
                fmt::format("device '{}' would have {}; less than {} is believed", device.name, human_bytes(device.total_bytes),
                            human_bytes(kMaxDeviceBytes)),
                where);
  out.insert(out.end(), static_cast<std::size_t>(count), device);
  return {};
}

namespace {

// A size behind a card's name: what is free. A small number without a unit is a count, in other tools.
Result<std::uint64_t> read_free(std::string_view text, std::string_view card, const std::string& where) {
  PLIMSOLL_ASSIGN(const std::uint64_t bytes, parse_bytes(text, where));
  if (all_digits(text) && bytes < (1ULL << 20))
    return fail(
        ErrorCode::kBadRequest,
        fmt::format("'{0}:{1}' says that {1} bytes are free; did you mean {1}x{0}? For free memory give a unit, {0}:{1}GiB", card, text),
        where);
  return bytes;
}

// An item without its counts. `of_machine`: the cards of each, where it is a machine of a cloud.
Result<Device> read_item(std::string_view item, const DeviceCatalogue& catalogue, const std::string& where,
                         std::optional<std::uint64_t>& of_machine) {
  Device device;
  if (const std::size_t equals = item.find('='); equals != std::string_view::npos) {
    const std::string_view name = trim(item.substr(0, equals));
    if (name.empty()) return fail(ErrorCode::kBadRequest, fmt::format("'{}' has no name before '='", item.substr(0, 64)), where);
    PLIMSOLL_ASSIGN(const std::optional<Card> card, catalogue.find(name));
    if (card) device = card->device;
    // A size that is given outranks the card's wired limit too.
    device.wired_limit_bytes.reset();
    if (!card) device.name = std::string(name);
    PLIMSOLL_TRY(read_sizes(item.substr(equals + 1), where, device));
    return device;
  }

  const std::size_t colon = item.find(':');
  const std::string_view head = trim(item.substr(0, colon));
  if (head.empty())
    return fail(ErrorCode::kBadRequest, fmt::format("'{}' names no device; write for example 8xH200 or 2x80GiB", item.substr(0, 64)),
                where);
  if (is_digit(head.front()) || head.front() == '.' || head.front() == '-' || head.front() == '+') {
    // "4090" is a card, "24GiB" and "24000000000" are sizes.
    std::optional<Card> card;
    const auto size = parse_bytes(head, where);
    if (!size || all_digits(head)) {
      PLIMSOLL_ASSIGN(card, catalogue.find(head));
    }
    if (!card) {
      if (!size) return tl::unexpected(size.error());
      if (all_digits(head) && *size < (1ULL << 20))
        return fail(ErrorCode::kBadRequest,
                    fmt::format("'{}' means {} bytes; give a unit ({}GiB), or the name of a card", head, head, head), where);
      device.name = std::string(head);
      PLIMSOLL_TRY(read_sizes(item, where, device));
      return device;
    }
  }

  PLIMSOLL_ASSIGN(std::optional<Card> card, catalogue.find(head));
  if (!card) {
    PLIMSOLL_ASSIGN(const std::optional<Instance> machine, catalogue.find_instance(head));
    if (!machine) return unknown_card(head, catalogue, where);
    PLIMSOLL_ASSIGN(card, catalogue.find(machine->card));
    if (!card) return unknown_card(machine->card, catalogue, where);
    of_machine = machine->count;
  }
  device = card->device;
  if (colon != std::string_view::npos) {
    PLIMSOLL_ASSIGN(device.free_bytes, read_free(trim(item.substr(colon + 1)), head, where));
  }
  return device;
}

// Nodes that are counted have numbers for names, through the whole list.
std::uint64_t next_node(const std::vector<Device>& out) {
  std::uint64_t last = 0;
  if (out.empty() || out.back().node.empty()) return last;
  const std::string& name = out.back().node;
  std::from_chars(name.data(), name.data() + name.size(), last);
  return last + 1;
}

} // namespace

Result<void> append_item(std::string_view item, const DeviceCatalogue& catalogue, const std::string& where, std::vector<Device>& out) {
  item = trim(item);
  if (item.empty())
    return fail(ErrorCode::kBadRequest, "an item of the device list is empty; items such as 8xH200 or 80GiB are joined by single commas",
                where);
  PLIMSOLL_ASSIGN(std::optional<std::uint64_t> first, take_count(item, where));
  std::optional<std::uint64_t> second, of_machine;
  if (first) {
    PLIMSOLL_ASSIGN(second, take_count(item, where));
  } else {
    PLIMSOLL_ASSIGN(first, take_count_behind(item, catalogue, where));
  }
  PLIMSOLL_ASSIGN(Device device, read_item(item, catalogue, where, of_machine));
  if (of_machine && second)
    return fail(ErrorCode::kBadRequest,
                fmt::format("'{}' is a machine of {} cards; give the number of machines alone, as 2x{}", item.substr(0, 64), *of_machine,
                            item.substr(0, 64)),
                where);
  if (of_machine) second = of_machine;
  if (!second) return append_copies(std::move(device), first.value_or(1), where, out);
  const std::uint64_t node = next_node(out);
  for (std::uint64_t i = 0; i < first.value_or(1); ++i) {
    device.node = fmt::to_string(node + i);
    PLIMSOLL_TRY(append_copies(device, *second, where, out));
  }
  return {};
}

namespace {

// A driver says "NVIDIA H100 80GB HBM3"; the catalogue knows the card as H100, and its architecture.
Result<void> match_card(Device& device, const DeviceCatalogue& catalogue) {
  std::string_view name = device.name;
  if (name.starts_with("NVIDIA ")) name.remove_prefix(7);
  PLIMSOLL_ASSIGN(const std::optional<Card> card, catalogue.find(name));
  if (!card) return {};
  device.card = card->device.name;
  if (device.arch.empty()) device.arch = card->device.arch;
  return {};
}

} // namespace

Result<std::vector<Device>> parse_devices(std::string_view spec, const DeviceCatalogue& catalogue) {
  spec = trim(spec);
  if (spec.empty()) return fail(ErrorCode::kBadRequest, "the device list is empty; give for example 8xH200, 2x80GiB or auto", kOption);
  if (spec.size() > kMaxSpecBytes)
    return fail(ErrorCode::kBadRequest, fmt::format("the device list has more than {} bytes", kMaxSpecBytes), kOption);
  if (spec == "auto") {
    PLIMSOLL_ASSIGN(std::vector<Device> real, query_devices());
    for (Device& device : real) {
      device.node = kThisMachine;
      PLIMSOLL_TRY(match_card(device, catalogue));
    }
    return real;
  }
  if (spec.find('=') == std::string_view::npos &&
      (spec.ends_with(".yaml") || spec.ends_with(".yml") || spec.ends_with(".json") || spec.find('/') != std::string_view::npos))
    return read_device_file(std::filesystem::path(spec), catalogue);
  std::vector<Device> out;
  NodeList nodes;
  for (std::size_t at = 0; at <= spec.size();) {
    const std::size_t comma = std::min(spec.find(',', at), spec.size()), first = out.size();
    PLIMSOLL_TRY(append_item(spec.substr(at, comma - at), catalogue, kOption, out));
    PLIMSOLL_TRY(nodes.take(std::span(out).subspan(first), out[first].node.empty() ? NodesBy::kNothing : NodesBy::kCount, kOption));
    at = comma + 1;
  }
  PLIMSOLL_TRY(nodes.close(kOption));
  return out;
}

} // namespace plimsoll
