// See catalogue.hpp. The fast path trusts the layout "one card per line, `- {`...`}`"; a catalogue laid out
// otherwise is read as a whole.
#include "device/catalogue.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <fstream>
#include <limits>
#include <mutex>
#include <set>
#include <sstream>
#include <utility>

#include "device/yaml_fields.hpp"

namespace plimsoll {
namespace {

std::string squeeze(std::string_view text) {
  std::string out(text.size(), '\0');
  std::size_t length = 0;
  for (const char c : text)
    if (c != ' ' && c != '-' && c != '_' && c != '\t') out[length++] = (c >= 'A' && c <= 'Z') ? static_cast<char>(c - 'A' + 'a') : c;
  out.resize(length);
  return out;
}

// Edits that turn `a` into `b`: insert, delete, replace.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t corner = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = corner + (a[i - 1] == b[j - 1] ? 0 : 1);
      corner = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[b.size()];
}

Result<Card> read_card(const Json& node, const std::string& where) {
  PLIMSOLL_ASSIGN(const YamlFields fields,
                  YamlFields::open(node, where,
                                   {"name", "aliases", "vendor", "arch", "cc", "kind", "nominal_bytes", "total_bytes", "free_bytes",
                                    "wired_limit_bytes", "max_allocation_bytes", "basis", "source"}));
  Card card;
  Device& device = card.device;
  const auto required = [&](std::string_view key, std::string& out) -> Result<void> {
    PLIMSOLL_ASSIGN(std::optional<std::string> value, fields.text(key));
    if (!value || value->empty()) return fail(ErrorCode::kBadRequest, fmt::format("'{}' is missing", key), fields.where());
    out = std::move(*value);
    return {};
  };
  PLIMSOLL_TRY(required("name", device.name));
  PLIMSOLL_TRY(required("vendor", device.vendor));
  PLIMSOLL_TRY(required("arch", device.arch));
  PLIMSOLL_TRY(required("source", card.source));
  std::string basis;
  PLIMSOLL_TRY(required("basis", basis));
  if (basis != "reported" && basis != "nominal")
    return fail(ErrorCode::kBadRequest, fmt::format("basis '{}' is neither reported nor nominal", basis), fields.at("basis"));
  card.reported = basis == "reported";
  PLIMSOLL_ASSIGN(card.aliases, fields.texts("aliases"));
  PLIMSOLL_ASSIGN(const std::optional<std::string> kind, fields.text("kind"));
  if (kind && *kind != "gpu" && *kind != "unified")
    return fail(ErrorCode::kBadRequest, fmt::format("kind '{}' is neither gpu nor unified", *kind), fields.at("kind"));
  device.kind = kind == "unified" ? DeviceKind::kUnified : DeviceKind::kGpu;
  PLIMSOLL_ASSIGN(const std::optional<std::uint64_t> capability, fields.count("cc"));
  if (capability.value_or(0) > 9999) return fail(ErrorCode::kBadRequest, "a compute capability has at most four digits", fields.at("cc"));
  device.compute_capability = static_cast<std::uint32_t>(capability.value_or(0));

  PLIMSOLL_ASSIGN(const std::optional<std::uint64_t> nominal_bytes, fields.bytes("nominal_bytes"));
  PLIMSOLL_ASSIGN(const std::optional<std::uint64_t> total_bytes, fields.bytes("total_bytes"));
  PLIMSOLL_ASSIGN(const std::optional<std::uint64_t> free_bytes, fields.bytes("free_bytes"));
  PLIMSOLL_ASSIGN(device.wired_limit_bytes, fields.bytes("wired_limit_bytes"));
  PLIMSOLL_ASSIGN(device.max_allocation_bytes, fields.bytes("max_allocation_bytes"));
  if (!nominal_bytes || *nominal_bytes == 0) return fail(ErrorCode::kBadRequest, "nominal_bytes is missing or zero", fields.where());
  if (!total_bytes || *total_bytes == 0) return fail(ErrorCode::kBadRequest, "total_bytes is missing or zero", fields.where());
  for (const auto& [key, value] : {std::pair{"free_bytes", free_bytes}, std::pair{"wired_limit_bytes", device.wired_limit_bytes},
                                   std::pair{"max_allocation_bytes", device.max_allocation_bytes}})
    if (value && (*value == 0 || *value > *total_bytes))
      return fail(ErrorCode::kBadRequest, fmt::format("{} must lie between 1 and total_bytes", key), fields.at(key));
  if (device.wired_limit_bytes && device.kind != DeviceKind::kUnified)
    return fail(ErrorCode::kBadRequest, "only unified memory has a wired limit", fields.at("wired_limit_bytes"));
  card.nominal_bytes = *nominal_bytes;
  device.total_bytes = *total_bytes;
  card.free_known = free_bytes.has_value();
  device.free_bytes = std::min(free_bytes.value_or(*total_bytes), device.wired_limit_bytes.value_or(*total_bytes));
  device.reserved_bytes = *total_bytes - device.free_bytes;
  return card;
}

bool has_name(const Card& card, const std::string& key) {
  return device_name_key(card.device.name) == key ||
         std::any_of(card.aliases.begin(), card.aliases.end(), [&](const std::string& alias) { return device_name_key(alias) == key; });
}

Result<std::vector<Card>> read_all(const std::string& text, const std::string& origin) {
  PLIMSOLL_ASSIGN(const Json root, read_yaml(text, origin));
  PLIMSOLL_ASSIGN(const YamlFields fields, YamlFields::open(root, origin + "#", {"schema", "devices"}));
  PLIMSOLL_ASSIGN(const std::optional<std::string> schema, fields.text("schema"));
  if (schema != "plimsoll.devices/1")
    return fail(ErrorCode::kBadRequest, fmt::format("schema is '{}', expected plimsoll.devices/1", schema.value_or("")),
                fields.at("schema"));
  const Json* list = fields.node("devices");
  if (list == nullptr || !list->is_array()) return fail(ErrorCode::kBadRequest, "expected a list of cards", fields.at("devices"));
  std::vector<Card> cards;
  std::set<std::string> keys;
  for (const Json& entry : *list) {
    const std::string where = fmt::format("{}/{}", fields.at("devices"), cards.size());
    PLIMSOLL_ASSIGN(Card card, read_card(entry, where));
    std::set<std::string> own{device_name_key(card.device.name)};
    for (const std::string& alias : card.aliases) own.insert(device_name_key(alias));
    for (const std::string& key : own)
      if (!keys.insert(key).second) return fail(ErrorCode::kBadRequest, fmt::format("the name '{}' stands for two cards", key), where);
    cards.push_back(std::move(card));
  }
  return cards;
}

Result<std::vector<Instance>> read_instances(const std::string& text, const std::string& origin) {
  PLIMSOLL_ASSIGN(const Json root, read_yaml(text, origin));
  PLIMSOLL_ASSIGN(const YamlFields fields, YamlFields::open(root, origin + "#", {"schema", "instances"}));
  const Json* list = fields.node("instances");
  if (list == nullptr || !list->is_array()) return fail(ErrorCode::kBadRequest, "expected a list of machines", fields.at("instances"));
  std::vector<Instance> out;
  for (const Json& entry : *list) {
    PLIMSOLL_ASSIGN(const YamlFields row,
                    YamlFields::open(entry, fmt::format("{}/{}", fields.at("instances"), out.size()), {"name", "card", "count", "source"}));
    PLIMSOLL_ASSIGN(const std::optional<std::string> name, row.text("name"));
    PLIMSOLL_ASSIGN(const std::optional<std::string> card, row.text("card"));
    PLIMSOLL_ASSIGN(const std::optional<std::uint64_t> count, row.count("count"));
    PLIMSOLL_ASSIGN(const std::optional<std::string> source, row.text("source"));
    if (!name || !card || count.value_or(0) == 0)
      return fail(ErrorCode::kBadRequest, "expected a name, a card and a count of at least 1", row.where());
    out.push_back({*name, *card, *count, source.value_or("")});
  }
  return out;
}

} // namespace

std::string device_name_key(std::string_view name) {
  std::string key = squeeze(name);
  for (bool again = true; std::exchange(again, false);)
    for (const std::string_view vendor :
         {"nvidia", "geforce", "tesla", "amd", "radeon", "instinct", "intel(r)", "intel", "huawei", "google"})
      if (key.size() > vendor.size() && key.starts_with(vendor)) {
        key.erase(0, vendor.size());
        again = true;
      }
  return key;
}

struct DeviceCatalogue::State {
  std::string origin;
  std::filesystem::path file;
  std::mutex guard;                        // of everything below
  std::optional<Result<std::string>> text; // read once, the error too
  std::optional<Result<std::vector<Card>>> cards;
  std::optional<Result<std::vector<Instance>>> instances;

  const Result<std::vector<Instance>>& load_instances() {
    if (instances) return *instances;
    const std::filesystem::path beside = file.parent_path() / "instances.yaml";
    std::ifstream in(beside, std::ios::binary);
    std::ostringstream bytes;
    const bool is_there = !file.empty() && in && bytes << in.rdbuf();
    instances = is_there ? read_instances(std::move(bytes).str(), beside.string()) : std::vector<Instance>();
    return *instances;
  }
  const Result<std::string>& load() {
    if (text) return *text;
    std::ifstream in(file, std::ios::binary);
    std::ostringstream bytes;
    if (!in || !(bytes << in.rdbuf()))
      text = fail(ErrorCode::kBadRequest,
                  "the device catalogue cannot be read; it ships beside the program, and sizes such as 8x80GiB work without it", origin);
    else text = std::move(bytes).str();
    return *text;
  }
  const Result<std::vector<Card>>& load_cards() {
    if (!cards) {
      const Result<std::string>& loaded = load();
      if (loaded) cards = read_all(*loaded, origin);
      else cards = tl::unexpected(loaded.error());
    }
    return *cards;
  }
};

DeviceCatalogue::DeviceCatalogue(std::filesystem::path file) : state_(std::make_shared<State>()) {
  state_->origin = file.string();
  state_->file = std::move(file);
}

DeviceCatalogue DeviceCatalogue::from_text(std::string text, std::string origin) {
  DeviceCatalogue out{std::filesystem::path()};
  out.state_->origin = std::move(origin);
  out.state_->text = std::move(text);
  return out;
}

Result<std::optional<Card>> DeviceCatalogue::find(std::string_view name) const {
  const std::lock_guard lock(state_->guard);
  const std::string key = device_name_key(name);
  if (key.empty() || key.size() > 128) return std::nullopt;
  const Result<std::string>& text = state_->load();
  if (!text) return tl::unexpected(text.error());
  if (!state_->cards) {
    std::size_t line_number = 0;
    bool a_card_per_line = true;
    for (std::size_t at = 0; at < text->size(); ++line_number) {
      const std::size_t end = std::min(text->find('\n', at), text->size());
      const std::string_view line = std::string_view(*text).substr(at, end - at);
      at = end + 1;
      if (!line.starts_with("- {") || !line.ends_with('}')) {
        a_card_per_line &= line.empty() || line.starts_with('#') || line.starts_with("schema:") || line.starts_with("devices:");
        continue;
      }
      if (squeeze(line).find(key) == std::string::npos) continue;
      const std::string where = fmt::format("{}:{}", state_->origin, line_number + 1);
      PLIMSOLL_ASSIGN(const Json node, read_yaml(line.substr(2), where));
      PLIMSOLL_ASSIGN(Card card, read_card(node, where));
      if (has_name(card, key)) return card;
    }
    if (a_card_per_line) return std::nullopt;
  }
  const Result<std::vector<Card>>& cards = state_->load_cards();
  if (!cards) return tl::unexpected(cards.error());
  for (const Card& card : *cards)
    if (has_name(card, key)) return card;
  return std::nullopt;
}

Result<std::vector<Card>> DeviceCatalogue::cards() const {
  const std::lock_guard lock(state_->guard);
  return state_->load_cards();
}

Result<std::vector<Instance>> DeviceCatalogue::instances() const {
  const std::lock_guard lock(state_->guard);
  return state_->load_instances();
}

Result<std::optional<Instance>> DeviceCatalogue::find_instance(std::string_view name) const {
  const std::lock_guard lock(state_->guard);
  const Result<std::vector<Instance>>& instances = state_->load_instances();
  if (!instances) return tl::unexpected(instances.error());
  const std::string key = squeeze(name);
  for (const Instance& instance : *instances)
    if (squeeze(instance.name) == key) return instance;
  return std::nullopt;
}

Result<std::vector<std::string>> DeviceCatalogue::nearest(std::string_view name) const {
  const std::lock_guard lock(state_->guard);
  const Result<std::vector<Card>>& cards = state_->load_cards();
  if (!cards) return tl::unexpected(cards.error());
  const std::string key = device_name_key(name.substr(0, 64));
  using Rank = std::pair<std::size_t, std::size_t>; // edits, then the difference in length
  std::vector<std::pair<Rank, std::string>> ranked;
  for (const Card& card : *cards) {
    Rank best{SIZE_MAX, 0};
    const auto look_at = [&](const std::string& candidate) {
      const std::string other = device_name_key(candidate);
      // A name that begins with what was typed is meant more often than one that is as many letters away.
      const std::size_t edits = distance(key, other);
      const std::size_t counted = !key.empty() && other.starts_with(key) ? std::min<std::size_t>(edits, 1) : edits;
      best = std::min(best, Rank{counted, other.size() > key.size() ? other.size() - key.size() : key.size() - other.size()});
    };
    look_at(card.device.name);
    for (const std::string& alias : card.aliases) look_at(alias);
    ranked.emplace_back(best, card.device.name);
  }
  std::stable_sort(ranked.begin(), ranked.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string> out;
  for (const auto& [far, card] : ranked)
    if (out.size() < 3) out.push_back(card);
  return out;
}

} // namespace plimsoll
