#include "search/more_devices.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace plimsoll {
namespace {

std::string_view without_blanks(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool is_times(char c) { return c == 'x' || c == 'X' || c == '*'; }

// A device item without its counts: H200 of 2x8xH200.
std::string without_counts(std::string_view item) {
  item = without_blanks(item);
  for (int counts = 0; counts < 2; ++counts) {
    const std::size_t x = item.find_first_not_of("0123456789 \t");
    const bool digits = x != std::string_view::npos && item.substr(0, x).find_first_of("0123456789") != std::string_view::npos;
    if (digits && is_times(item[x])) item = without_blanks(item.substr(x + 1));
  }
  return std::string(item);
}

// And without one behind it: H200 of H200x8, which a card's name may end like.
std::string without_count_behind(std::string_view item) {
  const std::size_t last = item.find_last_not_of("0123456789 \t");
  if (last == std::string_view::npos || last + 1 == item.size() || !is_times(item[last])) return std::string(item);
  return std::string(without_blanks(item.substr(0, last)));
}

bool is_file(std::string_view spec) {
  return spec.find('=') == std::string_view::npos &&
         (spec.ends_with(".yaml") || spec.ends_with(".yml") || spec.ends_with(".json") || spec.find('/') != std::string_view::npos);
}

bool same_kind(const Device& a, const Device& b) {
  return a.name == b.name && a.card == b.card && a.total_bytes == b.total_bytes && a.free_bytes == b.free_bytes && a.kind == b.kind;
}

} // namespace

DeviceGrowth::DeviceGrowth(std::string given, const std::vector<Device>& now, std::optional<std::uint32_t> whole_nodes, DeviceReader reader)
    : given_(std::move(given)), now_(now), reader_(std::move(reader)) {
  const bool here = without_blanks(given_) == "auto";
  listed_ = !here && !is_file(without_blanks(given_));
  one_kind_ = std::all_of(now_.begin(), now_.end(), [&](const Device& device) { return same_kind(device, now_.front()); });
  nodes_ = here ? 0 : listed_nodes(now_); // those of this machine are all there are on it
  const std::uint32_t machines = nodes_ > 0 ? nodes_ : whole_nodes.value_or(0);
  if (machines > 0) step_ = static_cast<std::uint32_t>(now_.size() / machines);
  if (listed_) item_ = one_kind_ ? without_counts(given_.substr(0, given_.find(','))) : largest_item();
  else if (one_kind_) item_ = item_of(now_.front());
  if (const auto devices = reader_(item_); devices && devices->size() > 1) {
    machine_ = !devices->front().node.empty();
    if (!machine_) item_ = without_count_behind(item_);
  }
}

// A device that was not given as text: its card where it is one as the catalogue has it, else by its sizes.
std::string DeviceGrowth::item_of(const Device& device) const {
  const std::string& name = device.card.empty() ? device.name : device.card;
  if (const auto card = reader_(name); card && card->size() == 1 && card->front().total_bytes == device.total_bytes) return name;
  return fmt::format("{}={}:{}", name, device.total_bytes, device.free_bytes);
}

// Of a list of several kinds the item with the most free memory.
std::string DeviceGrowth::largest_item() const {
  std::string largest;
  std::uint64_t most_bytes = 0;
  for (std::size_t at = 0; at <= given_.size();) {
    const std::size_t comma = std::min(given_.find(',', at), given_.size());
    const std::string item = without_counts(std::string_view(given_).substr(at, comma - at));
    if (const auto devices = reader_(item); devices && devices->front().free_bytes > most_bytes) {
      most_bytes = devices->front().free_bytes;
      largest = item;
    }
    at = comma + 1;
  }
  return largest;
}

std::string DeviceGrowth::with(std::uint32_t steps) const {
  const std::uint32_t first = one_kind_ ? static_cast<std::uint32_t>(now_.size()) : 0, count = first + steps * step_;
  const std::string more = machine_ && count > step_ ? fmt::format("{}x{}", count / step_, item_)
                           : machine_                ? item_
                           : nodes_ > 0              ? fmt::format("{}x{}x{}", count / step_, step_, item_)
                           : count == 1              ? item_
                                                     : fmt::format("{}x{}", count, item_);
  return one_kind_ ? more : fmt::format("{},{}", given_, more);
}

std::optional<MoreDevices> DeviceGrowth::grown(std::uint32_t steps) const {
  if (item_.empty()) return std::nullopt;
  MoreDevices out;
  out.spec = with(steps);
  auto devices = reader_(out.spec);
  // A name may read as something else than it was: as counts, or as a size.
  if (!devices || devices->size() != now_.size() + static_cast<std::size_t>(steps) * step_) return std::nullopt;
  if (one_kind_ && devices->front().total_bytes != now_.front().total_bytes) return std::nullopt;
  out.devices = std::move(*devices);
  out.nodes = listed_nodes(out.devices);
  return out;
}

} // namespace plimsoll
