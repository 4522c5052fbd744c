#include "checkpoint/gguf_rules.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

namespace plimsoll {
namespace {

// What one rule found: a value, and for a list of numbers the list itself.
struct Found {
  Json value;
  Json per_layer; // null: none
};

class Finder {
public:
  Finder(const GgufValues& values, const Json& config) : values_(values), config_(config) {}

  std::optional<Found> find(const GgufRule& rule) const {
    for (const GgufCondition& condition : rule.when)
      if (!values_.holds(condition)) return std::nullopt;
    switch (rule.kind) {
    case GgufRule::Kind::kCopy: return copied(rule);
    case GgufRule::Kind::kValue: return Found{rule.value, nullptr};
    case GgufRule::Kind::kRatio: return ratio(rule);
    case GgufRule::Kind::kLayers: return layers(rule);
    case GgufRule::Kind::kLayersWith: return numbered(rule, true);
    case GgufRule::Kind::kLayersWithout: return numbered(rule, false);
    case GgufRule::Kind::kCycle: return cycle(rule);
    case GgufRule::Kind::kPeriod: return period(rule);
    case GgufRule::Kind::kStored: return Found{values_.layers_storing(rule.sources.front()) != nullptr, nullptr};
    case GgufRule::Kind::kLayersStoring: return storing(rule);
    case GgufRule::Kind::kRemove: break;
    }
    return std::nullopt;
  }

private:
  const Json* source(const std::string& name) const { return name.front() == '/' ? find_pointer(config_, name) : values_.find(name); }

  std::optional<Found> copied(const GgufRule& rule) const {
    const Json* value = source(rule.sources.front());
    if (value == nullptr || value->is_null()) return std::nullopt;
    if (!rule.named.empty()) {
      const auto number = gguf_number(*value);
      if (!number && !value->is_boolean()) return std::nullopt;
      auto word = rule.named.find(number ? std::to_string(*number) : value->get<bool>() ? "true" : "false");
      if (word == rule.named.end()) word = rule.named.find("*");
      if (word == rule.named.end()) return std::nullopt;
      return Found{word->second, nullptr};
    }
    if (rule.sources.front().front() == '/' || !value->is_array()) return Found{*value, nullptr};
    const auto is_number = [](const Json& item) { return item.is_number(); };
    if (!std::any_of(value->begin(), value->end(), is_number)) return std::nullopt;
    std::uint64_t largest = 0;
    for (const Json& item : *value) largest = std::max(largest, gguf_number(item).value_or(0));
    const bool differ = std::adjacent_find(value->begin(), value->end(), std::not_equal_to<>()) != value->end();
    return Found{largest, differ ? *value : Json()};
  }

  std::optional<Found> ratio(const GgufRule& rule) const {
    const Json *upper = source(rule.sources[0]), *lower = source(rule.sources[1]);
    const std::uint64_t a = upper == nullptr ? 0 : gguf_number(*upper).value_or(0),
                        b = lower == nullptr ? 0 : gguf_number(*lower).value_or(0);
    if (a == 0 || b == 0 || a % b != 0) return std::nullopt;
    return Found{a / b, nullptr};
  }

  std::optional<Found> layers(const GgufRule& rule) const {
    const Json* first = values_.find(rule.sources.front());
    if (first == nullptr || !first->is_array()) return std::nullopt;
    Json list = Json::array();
    std::string text;
    for (std::size_t layer = 0; layer < first->size(); ++layer) {
      const std::string& word = word_of(rule, layer);
      if (rule.join) text += word;
      else list.push_back(word);
    }
    return Found{rule.join ? Json(text) : std::move(list), nullptr};
  }
  const std::string& word_of(const GgufRule& rule, std::size_t layer) const {
    for (std::size_t i = 0; i < rule.sources.size(); ++i) {
      const Json* flags = values_.find(rule.sources[i]);
      if (flags != nullptr && flags->is_array() && layer < flags->size() && gguf_positive((*flags)[layer])) return rule.words[i];
    }
    return rule.words.back();
  }

  // Numbers from 1 of the layers whose entry is positive, or is not.
  std::optional<Found> numbered(const GgufRule& rule, bool with) const {
    const Json* flags = values_.find(rule.sources.front());
    if (flags == nullptr || !flags->is_array()) return std::nullopt;
    Json list = Json::array();
    for (std::size_t layer = 0; layer < flags->size(); ++layer)
      if (gguf_positive((*flags)[layer]) == with) list.push_back(layer + 1);
    return Found{std::move(list), nullptr};
  }
  // Numbers from 0 of the layers that have the tensor.
  std::optional<Found> storing(const GgufRule& rule) const {
    const std::vector<std::uint32_t>* layers = values_.layers_storing(rule.sources.front());
    return Found{layers == nullptr ? Json::array() : Json(*layers), nullptr};
  }

  std::optional<Found> cycle(const GgufRule& rule) const {
    return each_layer([&](std::uint64_t layer) { return rule.words[layer % rule.words.size()]; });
  }
  // One of each `period` layers is the second word: the last, or the first. A list under the source is no period.
  std::optional<Found> period(const GgufRule& rule) const {
    const std::uint64_t of = values_.number(rule.sources.front()).value_or(rule.period);
    return each_layer([&](std::uint64_t layer) {
      const bool other = of != 0 && layer % of == (rule.first ? 0 : of - 1); // of no layers: nobody's turn
      return rule.words[other ? 1 : 0];
    });
  }
  template <class Word>
  Found each_layer(Word&& word) const {
    const Json* count = find_pointer(config_, "/num_hidden_layers");
    const std::uint64_t layers = count == nullptr ? 0 : std::min<std::uint64_t>(gguf_number(*count).value_or(0), kMostGgufLayers);
    Json list = Json::array();
    for (std::uint64_t layer = 0; layer < layers; ++layer) list.push_back(word(layer));
    return Found{std::move(list), nullptr};
  }

  const GgufValues& values_;
  const Json& config_;
};

// The object that holds `name`'s last part; nullptr where something else stands in the way, or where nothing is there and it is not to be
// made.
Json* holder(Json& config, std::string_view name, bool make) {
  Json* at = &config;
  for (std::size_t slash = name.find('/'); slash != std::string_view::npos; slash = name.find('/')) {
    const std::string key(name.substr(0, slash));
    if (!make && !at->contains(key)) return nullptr;
    at = &(*at)[key];
    if (make && at->is_null()) *at = Json::object();
    if (!at->is_object()) return nullptr;
    name.remove_prefix(slash + 1);
  }
  return at;
}

void write(Json& config, const std::string& name, std::optional<Found> found) {
  Json* object = holder(config, name, found.has_value());
  if (object == nullptr) return;
  const std::string key = name.substr(name.rfind('/') + 1);
  if (!found) {
    object->erase(key);
    return;
  }
  (*object)[key] = std::move(found->value);
  if (!found->per_layer.is_null()) (*object)[key + "_per_layer"] = std::move(found->per_layer);
}

} // namespace

std::optional<std::uint64_t> gguf_number(const Json& json) {
  if (json.is_number_unsigned()) return json.get<std::uint64_t>();
  if (json.is_number_integer() && json.get<std::int64_t>() >= 0) return static_cast<std::uint64_t>(json.get<std::int64_t>());
  return std::nullopt;
}

bool gguf_positive(const Json& json) {
  if (json.is_boolean()) return json.get<bool>();
  return json.is_number() && json.get<double>() > 0;
}

const Json* GgufValues::find(std::string_view key) const {
  const auto found = metadata_.values.find(fmt::format("{}.{}", architecture_, key));
  return found == metadata_.values.end() || found->second.is_null() ? nullptr : &found->second;
}

std::optional<std::uint64_t> GgufValues::number(std::string_view key) const {
  const Json* found = find(key);
  return found == nullptr ? std::nullopt : gguf_number(*found);
}

std::vector<std::uint64_t> GgufValues::per_layer(std::string_view key) const {
  std::vector<std::uint64_t> numbers;
  const Json* found = find(key);
  if (found == nullptr || !found->is_array()) return numbers;
  for (const Json& item : *found) numbers.push_back(gguf_number(item).value_or(0));
  return numbers;
}

bool GgufValues::holds(const GgufCondition& condition) const {
  const Json* const found = find(condition.key);
  const auto value = found == nullptr ? std::nullopt : gguf_number(*found);
  switch (condition.kind) {
  case GgufCondition::Kind::kEquals:
    return value && std::find(condition.numbers.begin(), condition.numbers.end(), *value) != condition.numbers.end();
  case GgufCondition::Kind::kPositive: return found != nullptr && gguf_positive(*found);
  case GgufCondition::Kind::kNone: return found == nullptr || (!found->is_array() && !gguf_positive(*found));
  case GgufCondition::Kind::kNumber: return value.has_value();
  case GgufCondition::Kind::kList: break;
  }
  return found != nullptr && found->is_array();
}

const std::vector<std::uint32_t>* GgufValues::layers_storing(std::string_view name) const {
  if (stored_ == nullptr) return nullptr;
  auto found = stored_->find(name);
  if (found == stored_->end()) found = stored_->find(std::string(name) + ".weight");
  return found == stored_->end() ? nullptr : &found->second;
}

bool gguf_conditions_hold(const std::vector<GgufCondition>& conditions, const GgufMetadata& metadata, std::string_view architecture) {
  const GgufValues values(metadata, architecture);
  return std::all_of(conditions.begin(), conditions.end(), [&](const GgufCondition& condition) { return values.holds(condition); });
}

void apply_gguf_keys(const GgufKeySet& set, const GgufValues& values, Json& config) {
  const Finder finder(values, config);
  std::vector<std::pair<const std::string*, std::optional<Found>>> results;
  for (const GgufKey& key : set)
    for (const GgufRule& rule : key.rules) {
      const bool remove = rule.kind == GgufRule::Kind::kRemove;
      std::optional<Found> found = remove ? std::nullopt : finder.find(rule);
      if (!remove && !found) continue;
      results.emplace_back(&key.name, std::move(found));
      break;
    }
  for (auto& [name, found] : results) write(config, *name, std::move(found));
}

void copy_gguf_number(const GgufValues& values, std::string_view key, const std::string& name, Json& config) {
  GgufRule rule;
  rule.sources.emplace_back(key);
  apply_gguf_keys({GgufKey{name, {std::move(rule)}}}, values, config);
}

} // namespace plimsoll
