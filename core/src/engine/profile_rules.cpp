#include "engine/profile_rules.hpp"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>
#include <span>

#include "base/checked.hpp"
#include "base/human.hpp"
#include "base/nearest.hpp"
#include "engine/release.hpp"

namespace plimsoll {
namespace {

constexpr std::size_t kMaxEntries = 1024, kMaxChoices = 32;
constexpr std::uint64_t kBillion = 1'000'000'000ULL;

constexpr std::array<std::string_view, kQuantities> kNames{"input_tokens",
                                                           "sequences",
                                                           "sampled_rows",
                                                           "graph_batch",
                                                           "length",
                                                           "vocab",
                                                           "hidden",
                                                           "query_heads",
                                                           "kv_heads",
                                                           "layers",
                                                           "experts",
                                                           "experts_per_token",
                                                           "tp",
                                                           "pp",
                                                           "dp",
                                                           "ep",
                                                           "ranks",
                                                           "vision_rows",
                                                           "tower_tokens",
                                                           "tower_elements",
                                                           "images",
                                                           "card_bytes",
                                                           "nodes",
                                                           "draft_tokens",
                                                           "graphs",
                                                           "decode_graphs",
                                                           "moe_tokens",
                                                           "local_experts",
                                                           "expert_elements",
                                                           "expert_gate_elements",
                                                           "expanded_elements",
                                                           "output_rows",
                                                           "query_elements",
                                                           "latent_elements",
                                                           "whole_scores",
                                                           "further_copies",
                                                           "host_experts",
                                                           "copied_layer_bytes",
                                                           "copied_output_bytes",
                                                           "projector_tokens",
                                                           "projector_elements",
                                                           "projector_scores"};

// A word as it is compared: true and false are words too.
std::optional<std::string> word_of(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_boolean()) return std::string(value.get<bool>() ? "true" : "false");
  return std::nullopt;
}

std::string joined(std::span<const std::string_view> names) {
  std::string out;
  for (const std::string_view name : names) out += fmt::format("{}{}", out.empty() ? "" : ", ", name);
  return out;
}

struct NumberFact {
  std::string_view name;
  std::uint64_t value;
};
std::array<NumberFact, 8> numbers_of(const ProfileFacts& facts) {
  return {{{"tp", facts.tp},
           {"pp", facts.pp},
           {"dp", facts.dp},
           {"ep", facts.ep},
           {"ranks", std::uint64_t{facts.tp} * facts.pp * facts.dp},
           {"compute", facts.compute_capability},
           {"nodes", facts.nodes},
           {"head_elements", facts.head_elements}}};
}
// Whether the condition is one of that number: of its own name, or "tp_from", "tp_below".
bool asks_for(std::string_view condition, std::string_view number) {
  if (!condition.starts_with(number)) return false;
  const std::string_view rest = condition.substr(number.size());
  return rest.empty() || rest == "_from" || rest == "_below";
}
bool number_holds(std::string_view condition, std::uint64_t value, std::uint64_t bound) {
  if (condition.ends_with("_below")) return value < bound;
  return condition.ends_with("_from") ? value >= bound : value == bound;
}

std::array<std::pair<std::string_view, const std::string*>, 8> words_of(const ProfileFacts& facts) {
  return {{{"card", &facts.card},
           {"vendor", &facts.vendor},
           {"arch", &facts.arch},
           {"architecture", &facts.architecture},
           {"model_type", &facts.model_type},
           {"kv_dtype", &facts.kv_dtype},
           {"checkpoint_kv", &facts.checkpoint_kv},
           {"expert_format", &facts.expert_format}}};
}

// One condition of `when`: whether it holds, or what is wrong with it.
class Conditions {
public:
  Conditions(const ProfileFacts& facts, const std::string& release) : facts_(facts), release_(parse_release(release)) {}

  // From here on conditions may ask for the choice.
  void choose(const std::string& name, const std::string& word) { chosen_.emplace_back(name, word); }

  Result<bool> hold(const Json& when, const std::string& where) const {
    if (!when.is_object()) return fail(ErrorCode::kBadRequest, "conditions were expected, such as {release_from: \"0.9\"}", where);
    bool all = true;
    for (const auto& [key, value] : when.items()) {
      PLIMSOLL_ASSIGN(const bool one, holds(key, value, where + "/" + key));
      all = all && one;
    }
    return all;
  }

private:
  Result<bool> holds(const std::string& key, const Json& value, const std::string& where) const {
    if (key == "release_from" || key == "release_before") {
      const auto bound = value.is_string() ? parse_release(value.get_ref<const std::string&>()) : std::nullopt;
      if (!bound) return fail(ErrorCode::kBadRequest, "a release in quotes was expected, such as \"0.21\"", where);
      return release_ && (*release_ < *bound) == (key == "release_before");
    }
    if (key == "card_from" || key == "card_below") {
      if (!value.is_string()) return fail(ErrorCode::kBadRequest, "a size was expected, such as 70GiB", where);
      PLIMSOLL_ASSIGN(const std::uint64_t bound, parse_bytes(value.get_ref<const std::string&>(), where));
      return number_holds(key, facts_.card_bytes, bound);
    }
    const auto numbers = numbers_of(facts_);
    for (const NumberFact& n : numbers) {
      if (!asks_for(key, n.name)) continue;
      const auto bound = as_u64(value);
      if (!bound) return fail(ErrorCode::kBadRequest, "a whole number was expected", where);
      return number_holds(key, n.value, *bound);
    }
    if (key == "has" || key == "lacks") {
      PLIMSOLL_ASSIGN(const std::vector<std::string> names, texts(value, where));
      for (const std::string& name : names) {
        constexpr std::array<std::string_view, 7> kKnown{"state", "window", "latent", "indexer", "experts", "vision", "draft"};
        if (std::find(kKnown.begin(), kKnown.end(), name) == kKnown.end())
          return fail(ErrorCode::kBadRequest, fmt::format("'{}' is nothing a model can have; there is {}", name, joined(kKnown)), where);
        if ((std::find(facts_.has.begin(), facts_.has.end(), name) != facts_.has.end()) != (key == "has")) return false;
      }
      return true;
    }
    const auto of_facts = words_of(facts_);
    std::vector<std::pair<std::string_view, const std::string*>> words(of_facts.begin(), of_facts.end());
    for (const auto& [name, word] : chosen_) words.emplace_back(name, &word);
    for (const auto& [name, fact] : words) {
      const bool negated = key == fmt::format("not_{}", name);
      if (key != name && !negated) continue;
      PLIMSOLL_ASSIGN(const std::vector<std::string> list, texts(value, where));
      // A card is meant with all its sizes: "A100" holds for "A100-40GB".
      const bool found = std::any_of(list.begin(), list.end(), [&, n = name, f = fact](const std::string& text) {
        return *f == text || (n == "card" && f->starts_with(text + "-"));
      });
      return found != negated;
    }
    std::vector<std::string_view> known{"release_from", "release_before", "card_from", "card_below", "has", "lacks"};
    for (const NumberFact& n : numbers) known.push_back(n.name);
    for (const auto& [name, fact] : words) known.push_back(name);
    const std::string close = either(nearest(key, known, 2));
    return fail(ErrorCode::kBadRequest,
                fmt::format("'{}' is no condition{}; there is {}", key.substr(0, 64), close.empty() ? "" : ", did you mean " + close,
                            joined(known)),
                where);
  }

  static Result<std::vector<std::string>> texts(const Json& value, const std::string& where) {
    std::vector<std::string> out;
    if (const auto word = word_of(value)) return std::vector{*word};
    if (value.is_array() && value.size() <= kMaxEntries)
      for (const Json& one : value)
        if (const auto word = word_of(one)) out.push_back(*word);
    if (!value.is_array() || out.size() != value.size())
      return fail(ErrorCode::kBadRequest, "a text or a list of texts was expected", where);
    return out;
  }

  const ProfileFacts& facts_;
  std::optional<Release> release_;
  std::vector<std::pair<std::string, std::string>> chosen_; // in the order of the file
};

bool is_choice(const Json& node) { return node.is_array() && !node.empty() && node.front().is_object() && node.front().contains("value"); }

Result<Json> settle(const Json& node, const Conditions& conditions, const std::string& where) {
  if (node.is_object()) {
    Json out = Json::object();
    for (const auto& [key, value] : node.items()) {
      PLIMSOLL_ASSIGN(Json inner, settle(value, conditions, where + "/" + key));
      if (!inner.is_discarded()) out[key] = std::move(inner);
    }
    return out;
  }
  if (!node.is_array()) return node;
  if (node.size() > kMaxEntries) return fail(ErrorCode::kBadRequest, fmt::format("a list of more than {} entries", kMaxEntries), where);
  const bool choice = is_choice(node);
  Json out = Json::array(), chosen = Json(Json::value_t::discarded);
  for (std::size_t i = 0; i < node.size(); ++i) {
    const Json& entry = node[i];
    const std::string here = fmt::format("{}/{}", where, i);
    bool applies = true;
    if (entry.is_object() && entry.contains("when")) {
      PLIMSOLL_ASSIGN(applies, conditions.hold(entry["when"], here + "/when"));
    }
    if (choice) {
      if (!entry.is_object() || !entry.contains("value") || entry.size() > (entry.contains("when") ? 2U : 1U))
        return fail(ErrorCode::kBadRequest, "a choice was expected: {when: ..., value: ...}", here);
      PLIMSOLL_ASSIGN(Json value, settle(entry["value"], conditions, here + "/value"));
      if (applies && chosen.is_discarded()) chosen = std::move(value);
      continue;
    }
    PLIMSOLL_ASSIGN(Json inner, settle(entry, conditions, here));
    if (inner.is_object()) inner.erase("when");
    if (applies) out.push_back(std::move(inner));
  }
  return choice ? std::move(chosen) : std::move(out); // no choice applies: the key is absent
}

// One choice: the words that it may be, and which of them it is under these conditions.
Result<std::string> settle_choice(const Json& node, const Conditions& conditions, const std::string& where) {
  const bool described = node.is_object() && node.size() == 2 && node.contains("words") && node.contains("default");
  if (!described || !node["words"].is_array() || node["words"].empty() || node["words"].size() > kMaxChoices)
    return fail(ErrorCode::kBadRequest, "a choice was expected: {words: [...], default: ...}", where);
  PLIMSOLL_ASSIGN(const Json settled, settle(node["default"], conditions, where + "/default"));
  const std::optional<std::string> word = word_of(settled);
  std::vector<std::string> known;
  for (const Json& one : node["words"]) known.push_back(word_of(one).value_or(""));
  if (!word || std::find(known.begin(), known.end(), *word) == known.end())
    return fail(ErrorCode::kBadRequest, fmt::format("one of {} was expected", fmt::join(known, ", ")), where + "/default");
  return *word;
}

Result<Quantity> read_quantity(const Json& name, const std::string& where) {
  const std::string text = name.is_string() ? name.get<std::string>() : "";
  const auto it = std::find(kNames.begin(), kNames.end(), text);
  if (it == kNames.end())
    return fail(ErrorCode::kBadRequest, fmt::format("'{}' is no quantity; there is {}", text.substr(0, 64), joined(kNames)), where);
  return static_cast<Quantity>(it - kNames.begin());
}

// A name, or a list of names of which the largest quantity counts.
Result<Factor> read_factor(const Json& node, const std::string& where) {
  Factor out;
  if (!node.is_array()) {
    PLIMSOLL_ASSIGN(const Quantity one, read_quantity(node, where));
    out.push_back(one);
    return out;
  }
  if (node.empty() || node.size() > 8) return fail(ErrorCode::kBadRequest, "the names of one to eight quantities were expected", where);
  for (const Json& name : node) {
    PLIMSOLL_ASSIGN(const Quantity one, read_quantity(name, where));
    out.push_back(one);
  }
  return out;
}

Result<std::vector<Factor>> read_factors(const Json& node, const std::string& where) {
  if (!node.is_array() && !node.is_string())
    return fail(ErrorCode::kBadRequest, "the names of at most eight quantities were expected", where);
  std::vector<Factor> out;
  const Json list = node.is_array() ? node : Json::array({node});
  if (list.size() > 8) return fail(ErrorCode::kBadRequest, "the names of at most eight quantities were expected", where);
  for (const Json& one : list) {
    PLIMSOLL_ASSIGN(Factor factor, read_factor(one, where));
    out.push_back(std::move(factor));
  }
  return out;
}

std::uint64_t value_of(const Factor& factor, const Quantities& q) {
  std::uint64_t largest = 0;
  for (const Quantity one : factor) largest = std::max(largest, q[static_cast<std::size_t>(one)]);
  return largest;
}

std::string formula_of(const Factor& factor, const Quantities& q) {
  const auto largest = std::max_element(factor.begin(), factor.end(), [&](Quantity a, Quantity b) {
    return q[static_cast<std::size_t>(a)] < q[static_cast<std::size_t>(b)];
  });
  return fmt::format("{} {}", value_of(factor, q), kNames[static_cast<std::size_t>(*largest)]);
}

} // namespace

AskedFacts::AskedFacts(const Json& root) { collect(root); }

void AskedFacts::collect(const Json& node) {
  if (node.is_object())
    if (const auto when = node.find("when"); when != node.end() && when->is_object())
      for (const auto& [condition, value] : when->items()) take(condition, value);
  if (node.is_structured())
    for (const Json& part : node) collect(part);
}

// What is no number or none that can be read is compared whole; whatever is wrong of it is said where it is asked.
void AskedFacts::take(const std::string& condition, const Json& value) {
  std::optional<std::uint64_t> bound;
  if (condition == "card_from" || condition == "card_below") {
    if (value.is_string())
      if (const auto bytes = parse_bytes(value.get_ref<const std::string&>(), "")) bound = *bytes;
  } else {
    bound = as_u64(value);
  }
  if (bound) bounds_[condition].insert(*bound);
  else words_.insert(condition.starts_with("not_") ? condition.substr(4) : condition);
}

std::string AskedFacts::key(const ProfileFacts& facts) const {
  const auto numbers = numbers_of(facts);
  std::string out;
  for (const auto& [condition, bounds] : bounds_) {
    std::uint64_t value = facts.card_bytes;
    for (const NumberFact& number : numbers)
      if (asks_for(condition, number.name)) value = number.value;
    for (const std::uint64_t bound : bounds) out += number_holds(condition, value, bound) ? '1' : '0';
  }
  for (const auto& [name, word] : words_of(facts))
    if (words_.contains(name)) out += "|" + *word;
  if (words_.contains("has") || words_.contains("lacks"))
    for (const std::string& one : facts.has) out += "|" + one;
  return out;
}

bool has_conditions(const Json& root) {
  if (root.is_object()) {
    if (root.contains("when") || root.contains("value") || root.contains("choices")) return true;
    return std::any_of(root.begin(), root.end(), [](const Json& value) { return has_conditions(value); });
  }
  return root.is_array() && std::any_of(root.begin(), root.end(), [](const Json& value) { return has_conditions(value); });
}

Result<Json> settle_conditions(const Json& root, const ProfileFacts& facts, const std::string& release, const std::string& file) {
  Conditions conditions(facts, release);
  const Json* const choices = find_pointer(root, "/choices");
  if (choices == nullptr) return settle(root, conditions, file + ": ");
  if (!choices->is_object() || choices->size() > kMaxChoices)
    return fail(ErrorCode::kBadRequest, fmt::format("at most {} names and choices were expected", kMaxChoices), file + ": /choices");
  Json words = Json::object();
  for (const auto& [name, choice] : choices->items()) {
    PLIMSOLL_ASSIGN(std::string word, settle_choice(choice, conditions, fmt::format("{}: /choices/{}", file, name)));
    conditions.choose(name, word);
    words[name] = std::move(word);
  }
  Json rest = root;
  rest.erase("choices");
  PLIMSOLL_ASSIGN(Json settled, settle(rest, conditions, file + ": "));
  if (settled.is_object()) settled["choices"] = std::move(words);
  return settled;
}

std::uint64_t Term::value(const Quantities& q) const {
  Checked product = 1;
  for (const Factor& one : times) product *= value_of(one, q);
  Checked divisor = kBillion;
  for (const Factor& one : divided_by) divisor *= std::max<std::uint64_t>(1, value_of(one, q));
  return mul_div_up(product.saturated(), billionths, divisor.saturated());
}

std::string Term::formula(const Quantities& q) const {
  const double coefficient = static_cast<double>(billionths) / static_cast<double>(kBillion);
  std::string out = fmt::format("{} B", coefficient);
  for (const Factor& one : times) out += " x " + formula_of(one, q);
  for (const Factor& one : divided_by) out += " / " + formula_of(one, q);
  return out;
}

std::uint64_t ProfileItem::bytes(const Quantities& q) const {
  Checked sum = 0;
  for (const Term& term : terms) sum += term.value(q);
  return sum.saturated();
}

std::string ProfileItem::formula(const Quantities& q) const {
  std::string out;
  for (const Term& term : terms) out += (out.empty() ? "" : " + ") + term.formula(q);
  return out;
}

Result<Term> read_term(const Json& node, const std::string& where) {
  if (!node.is_object()) return fail(ErrorCode::kBadRequest, "a term was expected: {bytes: N, times: [...]}", where);
  Term term;
  double bytes = 0;
  std::size_t units = 0;
  for (const auto& [key, value] : node.items()) {
    const std::uint64_t unit = key == "bytes" ? 1 : key == "mib" ? 1ULL << 20 : key == "gib" ? 1ULL << 30 : 0;
    if (unit != 0) {
      const double n = value.is_number() ? value.get<double>() : std::nan("");
      if (!(n >= 0) || n * static_cast<double>(unit) > 9e9 * static_cast<double>(1 << 30))
        return fail(ErrorCode::kBadRequest, "a number of at least 0 was expected", where + "/" + key);
      bytes = n * static_cast<double>(unit);
      ++units;
    } else if (key == "times") {
      PLIMSOLL_ASSIGN(term.times, read_factors(value, where + "/times"));
    } else if (key == "divided_by") {
      PLIMSOLL_ASSIGN(term.divided_by, read_factors(value, where + "/divided_by"));
    } else {
      return fail(ErrorCode::kBadRequest,
                  fmt::format("'{}' is not a key of a term; there is bytes, mib, gib, times, divided_by", key.substr(0, 64)), where);
    }
  }
  if (units != 1) return fail(ErrorCode::kBadRequest, "a term has one of bytes, mib and gib", where);
  // Whole bytes are exact; a fraction keeps nine digits.
  const double whole = std::floor(bytes);
  const Checked scaled =
      Checked(static_cast<std::uint64_t>(whole)) * kBillion + Checked(static_cast<std::uint64_t>(std::llround((bytes - whole) * 1e9)));
  if (scaled.overflowed()) return fail(ErrorCode::kBadRequest, "more bytes than a term can have (18.4 GB)", where);
  term.billionths = scaled.value();
  return term;
}

} // namespace plimsoll
