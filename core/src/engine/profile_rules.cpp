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

constexpr std::size_t kMaxEntries = 1024;
constexpr std::uint64_t kBillion = 1'000'000'000ULL;

constexpr std::array<std::string_view, kQuantities> kNames{
    "input_tokens", "sequences",   "sampled_rows", "graph_batch",       "length", "vocab",     "hidden", "query_heads",
    "kv_heads",     "layers",      "experts",      "experts_per_token", "tp",     "pp",        "dp",     "ep",
    "ranks",        "vision_rows", "tower_tokens", "tower_elements",    "images", "card_bytes"};

std::string joined(std::span<const std::string_view> names) {
  std::string out;
  for (const std::string_view name : names) out += fmt::format("{}{}", out.empty() ? "" : ", ", name);
  return out;
}

// One condition of `when`: whether it holds, or what is wrong with it.
class Conditions {
public:
  Conditions(const ProfileFacts& facts, const std::string& release) : facts_(facts), release_(parse_release(release)) {}

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
  struct Number {
    std::string_view name;
    std::uint64_t value;
  };

  Result<bool> holds(const std::string& key, const Json& value, const std::string& where) const {
    if (key == "release_from" || key == "release_before") {
      const auto bound = value.is_string() ? parse_release(value.get_ref<const std::string&>()) : std::nullopt;
      if (!bound) return fail(ErrorCode::kBadRequest, "a release in quotes was expected, such as \"0.21\"", where);
      return release_ && (*release_ < *bound) == (key == "release_before");
    }
    if (key == "card_from" || key == "card_below") {
      if (!value.is_string()) return fail(ErrorCode::kBadRequest, "a size was expected, such as 70GiB", where);
      PLIMSOLL_ASSIGN(const std::uint64_t bound, parse_bytes(value.get_ref<const std::string&>(), where));
      return (facts_.card_bytes < bound) == (key == "card_below");
    }
    const std::array<Number, 6> numbers{{{"tp", facts_.tp},
                                         {"pp", facts_.pp},
                                         {"dp", facts_.dp},
                                         {"ep", facts_.ep},
                                         {"ranks", std::uint64_t{facts_.tp} * facts_.pp * facts_.dp},
                                         {"compute", facts_.compute_capability}}};
    for (const Number& n : numbers) {
      if (!key.starts_with(n.name)) continue;
      const std::string_view rest = std::string_view(key).substr(n.name.size());
      if (!rest.empty() && rest != "_from" && rest != "_below") continue;
      const auto bound = as_u64(value);
      if (!bound) return fail(ErrorCode::kBadRequest, "a whole number was expected", where);
      return rest.empty() ? n.value == *bound : (n.value < *bound) == (rest == "_below");
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
    const std::array<std::pair<std::string_view, const std::string*>, 5> words{{{"card", &facts_.card},
                                                                                {"arch", &facts_.arch},
                                                                                {"architecture", &facts_.architecture},
                                                                                {"model_type", &facts_.model_type},
                                                                                {"kv_dtype", &facts_.kv_dtype}}};
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
    for (const Number& n : numbers) known.push_back(n.name);
    for (const auto& [name, fact] : words) known.push_back(name);
    const std::string close = either(nearest(key, known, 2));
    return fail(ErrorCode::kBadRequest,
                fmt::format("'{}' is no condition{}; there is {}", key.substr(0, 64), close.empty() ? "" : ", did you mean " + close,
                            joined(known)),
                where);
  }

  static Result<std::vector<std::string>> texts(const Json& value, const std::string& where) {
    std::vector<std::string> out;
    if (value.is_string()) return std::vector{value.get<std::string>()};
    if (value.is_array() && value.size() <= kMaxEntries)
      for (const Json& one : value)
        if (one.is_string()) out.push_back(one.get<std::string>());
    if (!value.is_array() || out.size() != value.size())
      return fail(ErrorCode::kBadRequest, "a text or a list of texts was expected", where);
    return out;
  }

  const ProfileFacts& facts_;
  std::optional<Release> release_;
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

Result<std::vector<Quantity>> read_quantities(const Json& node, const std::string& where) {
  std::vector<Quantity> out;
  const auto one = [&](const Json& name) -> Result<void> {
    const std::string text = name.is_string() ? name.get<std::string>() : "";
    const auto it = std::find(kNames.begin(), kNames.end(), text);
    if (it == kNames.end())
      return fail(ErrorCode::kBadRequest, fmt::format("'{}' is no quantity; there is {}", text.substr(0, 64), joined(kNames)), where);
    out.push_back(static_cast<Quantity>(it - kNames.begin()));
    return {};
  };
  if (node.is_array() && node.size() <= 8)
    for (const Json& name : node) PLIMSOLL_TRY(one(name));
  else if (node.is_string()) PLIMSOLL_TRY(one(node));
  else return fail(ErrorCode::kBadRequest, "the names of at most eight quantities were expected", where);
  return out;
}

} // namespace

std::string ProfileFacts::key() const {
  std::string out = fmt::format("{}|{}|{}|{}|{}.{}.{}.{}|{}|{}|{}", card_bytes, card, arch, compute_capability, tp, pp, dp, ep,
                                architecture, model_type, kv_dtype);
  for (const std::string& one : has) out += "|" + one;
  return out;
}

bool has_conditions(const Json& root) {
  if (root.is_object()) {
    if (root.contains("when") || root.contains("value")) return true;
    return std::any_of(root.begin(), root.end(), [](const Json& value) { return has_conditions(value); });
  }
  return root.is_array() && std::any_of(root.begin(), root.end(), [](const Json& value) { return has_conditions(value); });
}

Result<Json> settle_conditions(const Json& root, const ProfileFacts& facts, const std::string& release, const std::string& file) {
  return settle(root, Conditions(facts, release), file + ": ");
}

std::uint64_t Term::value(const Quantities& q) const {
  Checked product = 1;
  for (const Quantity one : times) product *= q[static_cast<std::size_t>(one)];
  Checked divisor = kBillion;
  for (const Quantity one : divided_by) divisor *= std::max<std::uint64_t>(1, q[static_cast<std::size_t>(one)]);
  return mul_div_up(product.saturated(), billionths, divisor.saturated());
}

std::string Term::formula(const Quantities& q) const {
  const double coefficient = static_cast<double>(billionths) / static_cast<double>(kBillion);
  std::string out = fmt::format("{} B", coefficient);
  for (const Quantity one : times) out += fmt::format(" x {} {}", q[static_cast<std::size_t>(one)], kNames[static_cast<std::size_t>(one)]);
  for (const Quantity one : divided_by)
    out += fmt::format(" / {} {}", q[static_cast<std::size_t>(one)], kNames[static_cast<std::size_t>(one)]);
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
      PLIMSOLL_ASSIGN(term.times, read_quantities(value, where + "/times"));
    } else if (key == "divided_by") {
      PLIMSOLL_ASSIGN(term.divided_by, read_quantities(value, where + "/divided_by"));
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
