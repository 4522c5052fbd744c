#include "checkpoint/gguf_words.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <optional>
#include <utility>

#include "checkpoint/gguf_rules.hpp"
#include "checkpoint/quoted_name.hpp"

namespace plimsoll {
namespace {

constexpr std::size_t kMaxArchitectures = 1024, kMaxMeanings = 16, kMaxSets = 256, kMaxEntries = 1024, kMaxRules = 8, kMaxWords = 64;
constexpr std::size_t kMaxTextBytes = 256;

struct NamedOrder {
  std::string_view name;
  bool StoredOrder::*flag;
};
constexpr std::array kOrders{NamedOrder{"rope_pairs", &StoredOrder::rope_pairs}, NamedOrder{"one_added", &StoredOrder::one_added},
                             NamedOrder{"transposed", &StoredOrder::transposed}, NamedOrder{"alternating", &StoredOrder::alternating},
                             NamedOrder{"minus_exponential", &StoredOrder::minus_exponential}};

struct NamedCondition {
  std::string_view name;
  GgufCondition::Kind kind;
};
constexpr std::array kConditions{NamedCondition{"positive", GgufCondition::Kind::kPositive},
                                 NamedCondition{"none", GgufCondition::Kind::kNone}, NamedCondition{"number", GgufCondition::Kind::kNumber},
                                 NamedCondition{"list", GgufCondition::Kind::kList}};

// How many numbers a name leaves open: 0, 1, or 2 for more.
std::size_t holes(std::string_view name) {
  const std::size_t first = name.find("{}");
  if (first == std::string_view::npos) return 0;
  return name.find("{}", first + 2) == std::string_view::npos ? 1 : 2;
}

// Reads one document; the first thing wrong is kept with its place.
class Reader {
public:
  Reader(const GgufWords* common, const std::string& where) : common_(common), where_(where) {}

  Result<GgufWords> read(const Json& root) {
    if (!root.is_object()) wrong("", "an object with architectures, keys, names and orders was expected");
    known_keys(root, "", {"architectures", "defaults", "keys", "names", "orders"});
    each(member(root, "keys"), "/keys", kMaxSets,
         [&](const std::string& name, const Json& set, const std::string& at) { words_.keys[name] = key_set(set, at); });
    each(member(root, "names"), "/names", kMaxSets,
         [&](const std::string& name, const Json& set, const std::string& at) { words_.names[name] = name_set(set, at); });
    each(member(root, "orders"), "/orders", kMaxSets,
         [&](const std::string& name, const Json& set, const std::string& at) { words_.orders[name] = order_set(set, at); });
    if (const Json* defaults = member(root, "defaults")) read_defaults(*defaults);
    each(member(root, "architectures"), "/architectures", kMaxArchitectures,
         [&](const std::string& name, const Json& node, const std::string& at) { words_.architectures[name] = meanings(node, at, name); });
    if (error_) return tl::unexpected(std::move(*error_));
    return std::move(words_);
  }

private:
  void wrong(const std::string& at, std::string message) {
    if (!error_) error_ = Error{ErrorCode::kPluginFailed, std::move(message), fmt::format("{}: {}", where_, at.empty() ? "/" : at)};
  }
  static const Json* member(const Json& object, const char* key) {
    if (!object.is_object()) return nullptr;
    const auto found = object.find(key);
    return found == object.end() ? nullptr : &*found;
  }
  void known_keys(const Json& object, const std::string& at, std::initializer_list<std::string_view> known) {
    if (!object.is_object()) return;
    for (const auto& [key, unused] : object.items())
      if (std::find(known.begin(), known.end(), key) == known.end())
        wrong(at + "/" + key, fmt::format("an unknown key; {} are known", fmt::join(known, ", ")));
  }
  // Calls `take` for each member of an object that may be absent.
  template <class Take>
  void each(const Json* object, const std::string& at, std::size_t most, Take&& take) {
    if (object == nullptr) return;
    if (!object->is_object()) return wrong(at, "an object was expected");
    if (object->size() > most) return wrong(at, fmt::format("{} entries; at most {} are read", object->size(), most));
    for (const auto& [key, value] : object->items()) {
      if (error_) return;
      if (key.empty() || key.size() > kMaxTextBytes) return wrong(at, "a key of 1 to 256 bytes was expected");
      take(key, value, at + "/" + key);
    }
  }
  std::string text(const Json* value, const std::string& at) {
    if (value != nullptr && value->is_string()) {
      const std::string& found = value->get_ref<const std::string&>();
      if (!found.empty() && found.size() <= kMaxTextBytes) return found;
    }
    wrong(at, "a text of 1 to 256 bytes was expected");
    return {};
  }
  std::vector<std::string> texts(const Json& list, const std::string& at, std::size_t least) {
    std::vector<std::string> out;
    if (!list.is_array() || list.size() < least || list.size() > kMaxWords) {
      wrong(at, fmt::format("a list of {} to {} texts was expected", least, kMaxWords));
      return out;
    }
    for (std::size_t i = 0; i < list.size(); ++i) out.push_back(text(&list[i], fmt::format("{}/{}", at, i)));
    return out;
  }

  std::vector<GgufCondition> conditions(const Json* node, const std::string& at) {
    std::vector<GgufCondition> out;
    each(node, at, kMaxWords,
         [&](const std::string& key, const Json& value, const std::string& here) { out.push_back(condition(key, value, here)); });
    return out;
  }
  GgufCondition condition(const std::string& key, const Json& value, const std::string& at) {
    GgufCondition out;
    out.key = key;
    if (value.is_string())
      for (const NamedCondition& named : kConditions)
        if (named.name == value.get_ref<const std::string&>()) {
          out.kind = named.kind;
          return out;
        }
    const Json list = value.is_array() ? value : Json::array({value});
    for (const Json& item : list)
      if (item.is_number_unsigned()) out.numbers.push_back(item.get<std::uint64_t>());
    if (out.numbers.empty() || out.numbers.size() != list.size() || out.numbers.size() > kMaxWords)
      wrong(at, "a number, a list of numbers, or one of positive, none, number, list was expected");
    return out;
  }

  GgufKeySet key_set(const Json& node, const std::string& at) {
    GgufKeySet set;
    if (!node.is_object()) wrong(at, "an object was expected");
    each(&node, at, kMaxEntries, [&](const std::string& name, const Json& value, const std::string& here) {
      if (name.front() == '/' || name.back() == '/' || name.find("//") != std::string::npos)
        wrong(here, "a key of the config was expected, or several with a slash between them");
      GgufKey key{name, {}};
      if (value.is_array()) {
        if (value.empty() || value.size() > kMaxRules) wrong(here, fmt::format("1 to {} rules were expected", kMaxRules));
        else
          for (std::size_t i = 0; i < value.size(); ++i) key.rules.push_back(rule(value[i], fmt::format("{}/{}", here, i)));
      } else {
        key.rules.push_back(rule(value, here));
      }
      set.push_back(std::move(key));
    });
    return set;
  }

  GgufRule rule(const Json& node, const std::string& at) {
    GgufRule out;
    if (node.is_null()) {
      out.kind = GgufRule::Kind::kRemove;
      return out;
    }
    if (node.is_string()) {
      out.sources.push_back(text(&node, at));
      return out;
    }
    if (!node.is_object()) {
      wrong(at, "a metadata key, a rule, a list of these or null was expected");
      return out;
    }
    known_keys(node, at,
               {"when", "key", "words", "value", "ratio", "layers", "join", "layers_with", "layers_without", "cycle", "period", "of",
                "first", "stored", "layers_storing"});
    out.when = conditions(member(node, "when"), at + "/when");
    std::size_t kinds = 0;
    if (const Json* key = member(node, "key")) {
      ++kinds;
      out.sources.push_back(text(key, at + "/key"));
      each(member(node, "words"), at + "/words", kMaxWords,
           [&](const std::string& number, const Json& word, const std::string& here) { out.named[number] = text(&word, here); });
    }
    if (const Json* value = member(node, "value")) {
      ++kinds;
      out.kind = GgufRule::Kind::kValue;
      out.value = *value;
    }
    if (const Json* ratio = member(node, "ratio")) {
      ++kinds;
      out.kind = GgufRule::Kind::kRatio;
      out.sources = texts(*ratio, at + "/ratio", 2);
      if (out.sources.size() != 2) wrong(at + "/ratio", "two sources were expected");
    }
    if (const Json* layers = member(node, "layers")) {
      ++kinds;
      layer_words(*layers, at + "/layers", out);
      const Json* join = member(node, "join");
      if (join != nullptr && !join->is_boolean()) wrong(at + "/join", "true or false was expected");
      else out.join = join != nullptr && join->get<bool>();
    }
    for (const auto& [name, kind] :
         {std::pair{"layers_with", GgufRule::Kind::kLayersWith}, std::pair{"layers_without", GgufRule::Kind::kLayersWithout},
          std::pair{"stored", GgufRule::Kind::kStored}, std::pair{"layers_storing", GgufRule::Kind::kLayersStoring}})
      if (const Json* key = member(node, name)) {
        ++kinds;
        out.kind = kind;
        out.sources.push_back(text(key, fmt::format("{}/{}", at, name)));
      }
    if (const Json* cycle = member(node, "cycle")) {
      ++kinds;
      out.kind = GgufRule::Kind::kCycle;
      out.words = texts(*cycle, at + "/cycle", 1);
    }
    if (const Json* period = member(node, "period")) {
      ++kinds;
      read_period(*period, node, at, out);
    }
    if (kinds != 1)
      wrong(at,
            "exactly one of key, value, ratio, layers, layers_with, layers_without, cycle, period, stored, layers_storing was expected");
    return out;
  }

  // "period": ["attention.sliding_window_pattern", 4], "of": ["sliding_attention", "full_attention"]
  void read_period(const Json& node, const Json& rule, const std::string& at, GgufRule& out) {
    out.kind = GgufRule::Kind::kPeriod;
    if (!node.is_array() || node.size() != 2 || !node[1].is_number_unsigned() || node[1].get<std::uint64_t>() == 0)
      return wrong(at + "/period", "a metadata key and a number of layers, 1 or more, were expected");
    out.sources.push_back(text(&node[0], at + "/period/0"));
    out.period = node[1].get<std::uint64_t>();
    const Json* of = member(rule, "of");
    if (of == nullptr) return wrong(at + "/of", "two words were expected");
    out.words = texts(*of, at + "/of", 2);
    if (out.words.size() != 2) wrong(at + "/of", "two words were expected");
    const Json* first = member(rule, "first");
    if (first != nullptr && !first->is_boolean()) wrong(at + "/first", "true or false was expected");
    else out.first = first != nullptr && first->get<bool>();
  }

  // [["attention.head_count_kv", "attention"], "mamba"]
  void layer_words(const Json& node, const std::string& at, GgufRule& out) {
    out.kind = GgufRule::Kind::kLayers;
    if (!node.is_array() || node.size() < 2 || node.size() > kMaxWords || !node.back().is_string())
      return wrong(at, "pairs of a metadata key and a word were expected, then the word for all other layers");
    for (std::size_t i = 0; i + 1 < node.size(); ++i) {
      const std::vector<std::string> pair = texts(node[i], fmt::format("{}/{}", at, i), 2);
      if (pair.size() != 2) return wrong(fmt::format("{}/{}", at, i), "a metadata key and a word were expected");
      out.sources.push_back(pair[0]);
      out.words.push_back(pair[1]);
    }
    out.words.push_back(text(&node.back(), fmt::format("{}/{}", at, node.size() - 1)));
  }

  GgufNameSet name_set(const Json& node, const std::string& at) {
    GgufNameSet set;
    if (!node.is_object()) wrong(at, "an object was expected");
    each(&node, at, kMaxEntries, [&](const std::string& stored, const Json& name, const std::string& here) {
      std::string to = text(&name, here);
      const std::size_t expected = stored == "blk" ? 1 : holes(stored);
      if (expected > 1 || holes(to) != expected)
        wrong(here, stored == "blk" ? "one {} was expected, for the layer's number" : "at most one {} was expected, on both sides alike");
      set.insert_or_assign(stored, std::move(to));
    });
    return set;
  }

  StoredOrderSet order_set(const Json& node, const std::string& at) {
    StoredOrderSet set;
    if (!node.is_object()) wrong(at, "an object was expected");
    each(&node, at, kMaxEntries, [&](const std::string& stored, const Json& words, const std::string& here) {
      StoredOrder& order = set[stored];
      const Json list = words.is_array() ? words : Json::array({words});
      if (list.size() > kMaxWords) wrong(here, fmt::format("{} words; at most {} are read", list.size(), kMaxWords));
      for (const Json& word : list) read_order(word, here, order);
    });
    return set;
  }
  // "transposed", or {"dealt": "ssm.group_count"}.
  void read_order(const Json& word, const std::string& at, StoredOrder& order) {
    if (word.is_object()) {
      known_keys(word, at, {"dealt"});
      order.dealt = text(member(word, "dealt"), at + "/dealt");
      return;
    }
    const std::string name = text(&word, at);
    const auto* const known = std::find_if(kOrders.begin(), kOrders.end(), [&](const NamedOrder& o) { return o.name == name; });
    if (known != kOrders.end()) order.*known->flag = true;
    else wrong(at, "rope_pairs, one_added, transposed, alternating, minus_exponential, {\"dealt\": KEY} or a list of these was expected");
  }

  // What rows leave out that are all alike.
  void read_defaults(const Json& node) {
    known_keys(node, "/defaults", {"class", "names"});
    default_class_ = text(member(node, "class"), "/defaults/class");
    const Json* names = member(node, "names");
    if (names != nullptr && !names->is_null()) wrong("/defaults/names", "null was expected: tensors keep their stored names");
    default_own_names_ = names == nullptr;
  }

  std::vector<GgufArchitecture> meanings(const Json& node, const std::string& at, const std::string& name) {
    std::vector<GgufArchitecture> out;
    if (!node.is_array()) {
      out.push_back(meaning(node, at, name));
      return out;
    }
    if (node.empty() || node.size() > kMaxMeanings) wrong(at, fmt::format("1 to {} meanings were expected", kMaxMeanings));
    for (std::size_t i = 0; i < std::min(node.size(), kMaxMeanings); ++i)
      out.push_back(meaning(node[i], fmt::format("{}/{}", at, i), name));
    return out;
  }
  GgufArchitecture meaning(const Json& node, const std::string& at, const std::string& name) {
    GgufArchitecture out;
    if (!node.is_object()) {
      wrong(at, "an object with class and model_type was expected");
      return out;
    }
    known_keys(node, at, {"when", "needs", "class", "model_type", "keys", "names", "orders"});
    out.when = conditions(member(node, "when"), at + "/when");
    if (const Json* needs = member(node, "needs")) out.needs = texts(*needs, at + "/needs", 1);
    const bool as_others = !default_class_.empty() && member(node, "class") == nullptr;
    out.class_name = as_others ? default_class_ : text(member(node, "class"), at + "/class");
    out.model_type = as_others && member(node, "model_type") == nullptr ? name : text(member(node, "model_type"), at + "/model_type");
    sets(member(node, "keys"), at + "/keys", words_.keys, common_ == nullptr ? nullptr : &common_->keys, out.keys,
         [&](const Json& own, const std::string& here) { return key_set(own, here); });
    const Json* names = member(node, "names");
    out.own_names = names == nullptr ? !as_others || default_own_names_ : !names->is_null();
    sets(out.own_names ? names : nullptr, at + "/names", words_.names, common_ == nullptr ? nullptr : &common_->names, out.names,
         [&](const Json& own, const std::string& here) { return name_set(own, here); });
    if (const Json* orders = member(node, "orders"))
      sets(orders, at + "/orders", words_.orders, common_ == nullptr ? nullptr : &common_->orders, out.orders.emplace(),
           [&](const Json& own, const std::string& here) { return order_set(own, here); });
    return out;
  }
  // The name of a set, a set itself, or a list of these.
  template <class Map, class Set, class Own>
  void sets(const Json* node, const std::string& at, const Map& here, const Map* common, std::vector<Set>& out, Own&& own) {
    if (node == nullptr) return;
    const bool many = node->is_array();
    const std::size_t count = many ? node->size() : 1;
    if (count > kMaxWords) return wrong(at, fmt::format("{} sets; at most {} are read", count, kMaxWords));
    for (std::size_t i = 0; i < count; ++i) {
      const Json& item = many ? (*node)[i] : *node;
      const std::string place = many ? fmt::format("{}/{}", at, i) : at;
      if (item.is_object()) {
        out.push_back(own(item, place));
        continue;
      }
      const std::string name = text(&item, place);
      if (const auto found = here.find(name); found != here.end()) out.push_back(found->second);
      else if (const auto shared = common == nullptr ? here.end() : common->find(name); common != nullptr && shared != common->end())
        out.push_back(shared->second);
      else wrong(place, fmt::format("there is no set {} here nor in the catalogue", quoted_name(name)));
    }
  }

  const GgufWords* common_;
  const std::string& where_;
  GgufWords words_;
  std::string default_class_;
  bool default_own_names_ = true;
  std::optional<Error> error_;
};

} // namespace

Result<GgufWords> read_gguf_words(const Json& root, const GgufWords* common, const std::string& where) {
  return Reader(common, where).read(root);
}

GgufArchitecture gguf_architecture(std::string_view name, const GgufArchitecture* known, const GgufWords& common) {
  GgufArchitecture out;
  out.class_name = std::string(name);
  out.model_type = std::string(name);
  if (const auto usual = common.keys.find("usual"); usual != common.keys.end()) out.keys.push_back(usual->second);
  if (const auto usual = common.names.find("usual"); usual != common.names.end()) out.names.push_back(usual->second);
  if (known == nullptr) return out;
  out.class_name = known->class_name;
  out.model_type = known->model_type;
  out.needs = known->needs;
  out.keys.insert(out.keys.end(), known->keys.begin(), known->keys.end());
  if (!known->own_names) out.names.clear();
  out.names.insert(out.names.end(), known->names.begin(), known->names.end());
  out.orders = known->orders;
  return out;
}

const GgufArchitecture* find_gguf_architecture(const GgufWords& words, std::string_view name, const GgufMetadata& metadata) {
  const auto found = words.architectures.find(name);
  if (found == words.architectures.end()) return nullptr;
  for (const GgufArchitecture& meaning : found->second)
    if (gguf_conditions_hold(meaning.when, metadata, name)) return &meaning;
  return nullptr;
}

Result<std::string> gguf_architecture_name(const GgufMetadata& metadata, const std::string& path) {
  const auto found = metadata.values.find("general.architecture");
  if (found == metadata.values.end() || !found->second.is_string())
    return fail(ErrorCode::kBadConfig, "the file names no architecture, expected a string under 'general.architecture'", path);
  std::string architecture = found->second.get<std::string>();
  if (architecture.empty() || architecture.size() > 64)
    return fail(ErrorCode::kBadConfig, fmt::format("expected the name of an architecture, found {}", quoted_name(architecture)),
                path + ": 'general.architecture'");
  return architecture;
}

} // namespace plimsoll
