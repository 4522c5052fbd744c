#include "engine/profile.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <fmt/format.h>
#include <mutex>

#include "base/nearest.hpp"
#include "base/regular_file.hpp"
#include "base/yaml.hpp"
#include "engine/engine_name.hpp"
#include "engine/profile_schema.hpp"
#include "engine/release.hpp"
#include "plimsoll/abi.h"

namespace plimsoll {
namespace {

constexpr std::uint64_t kMaxProfileBytes = 1 << 20;
constexpr std::size_t kMaxItems = 1024, kMaxSettled = 256;
// What a start can be refused for; who refuses it: plan/refusals.cpp.
constexpr std::array<std::string_view, 7> kRefusals{"free_memory",      "no_kv_memory",  "one_request",          "state_blocks",
                                                    "block_over_batch", "chunks_needed", "weights_leave_nothing"};

bool is_choice_name(const Json& root, const std::string& name) {
  const Json* const choices = find_pointer(root, "/choices");
  return choices != nullptr && choices->is_object() && choices->contains(name);
}

// Reads a settled profile; remembers the first thing wrong.
class Reader {
public:
  Reader(const Json& root, const std::string& file) : root_(root), file_(file) {}

  Result<EngineProfile> read() {
    if (text("/schema") != "plimsoll.engine/1") wrong("/schema", "'plimsoll.engine/1' was expected");
    profile_.name = text("/name");
    profile_.version = text("/version");
    if (profile_.name.empty()) wrong("/name", "a text was expected");
    for (const ProfileKey& key : profile_keys())
      if (const Json* value = find_pointer(root_, key.pointer))
        std::visit([&](const auto& kind) { set(key.pointer, kind, *value); }, key.kind);
    read_aliases();
    read_choices();
    read_texts("/start/vendors", profile_.start.vendors);
    read_texts("/start/quantizations", profile_.start.quantizations);
    read_texts("/start/not_served", profile_.start.not_served);
    read_says();
    read_texts("/kv/takes", profile_.kv.takes);
    read_numbers("/kv/page_sizes", profile_.kv.page_sizes);
    read_terms("/budget/reserve", profile_.budget.reserve);
    read_terms("/start/outside", profile_.start.outside);
    read_items("/activations", profile_.activations);
    read_items("/overheads", profile_.overheads);
    if (const Json* planner = find_pointer(root_, "/planner"))
      if (planner->is_object()) profile_.planner = *planner;
    no_others(root_, "");
    if (error_) return tl::unexpected(*error_);
    return std::move(profile_);
  }

private:
  void wrong(const std::string& pointer, const std::string& message) {
    if (!error_) error_ = Error{ErrorCode::kBadRequest, message, fmt::format("{}: {}", file_, pointer)};
  }
  std::string text(const char* pointer) const {
    const Json* value = find_pointer(root_, pointer);
    return value != nullptr && value->is_string() ? value->get<std::string>() : "";
  }

  void set(std::string_view pointer, const NumberKey& key, const Json& value) {
    const auto n = as_u64(value);
    if (!n || *n < key.low || *n > key.high)
      return wrong(std::string(pointer), fmt::format("a whole number from {} to {} was expected", key.low, key.high));
    key.field(profile_) = *n;
  }
  void set(std::string_view pointer, const RealKey& key, const Json& value) {
    const double n = value.is_number() ? value.get<double>() : std::nan("");
    if (!(n >= 0 && n > key.above && n <= key.most))
      return wrong(std::string(pointer),
                   fmt::format("a number {} 0 and up to {} was expected", key.above < 0 ? "of at least" : "above", key.most));
    key.field(profile_) = n;
  }
  void set(std::string_view pointer, const FlagKey& key, const Json& value) {
    if (!value.is_boolean()) return wrong(std::string(pointer), "true or false was expected");
    key.field(profile_) = value.get<bool>();
  }
  void set(std::string_view pointer, const TextKey& key, const Json& value) {
    if (!value.is_string() || value.get_ref<const std::string&>().empty()) return wrong(std::string(pointer), "a text was expected");
    key.field(profile_) = value.get<std::string>();
  }
  void set(std::string_view pointer, const WordKey& key, const Json& value) {
    if (value.is_string() && key.set(profile_, value.get_ref<const std::string&>())) return;
    wrong(std::string(pointer), fmt::format("one of {} was expected", key.words()));
  }

  // Engines' own names are for --set; here they must only mean something.
  void read_aliases() {
    const Json* aliases = find_pointer(root_, "/aliases");
    if (aliases == nullptr) return;
    if (!aliases->is_object()) return wrong("/aliases", "names and keys were expected");
    for (const auto& [alias, meant] : aliases->items()) {
      const std::string key = meant.is_string() ? meant.get<std::string>() : "";
      const bool known = is_choice_name(root_, key) || std::any_of(profile_keys().begin(), profile_keys().end(),
                                                                   [&](const ProfileKey& one) { return one.short_name() == key; });
      if (!known) wrong("/aliases/" + alias, "the last part of a key or a choice was expected, such as page_tokens");
    }
  }
  void read_choices() {
    if (const Json* choices = find_pointer(root_, "/choices"))
      for (const auto& [name, word] : choices->items()) profile_.choices.emplace(name, word.get<std::string>()); // settled
  }
  void read_texts(const char* pointer, std::vector<std::string>& out) {
    const Json* list = find_pointer(root_, pointer);
    if (list == nullptr) return;
    const bool texts = list->is_array() && list->size() <= kMaxItems &&
                       std::all_of(list->begin(), list->end(), [](const Json& one) { return one.is_string(); });
    if (!texts) return wrong(pointer, "a list of texts was expected");
    for (const Json& one : *list) out.push_back(one.get<std::string>());
  }
  void read_numbers(const char* pointer, std::vector<std::uint64_t>& out) {
    const Json* list = find_pointer(root_, pointer);
    if (list == nullptr) return;
    if (!list->is_array() || list->size() > kMaxItems) return wrong(pointer, "a list of whole numbers was expected");
    for (const Json& one : *list) {
      const auto number = as_u64(one);
      if (!number) return wrong(pointer, "a list of whole numbers was expected");
      out.push_back(*number);
    }
  }
  void read_says() {
    const Json* says = find_pointer(root_, "/start/says");
    if (says == nullptr) return;
    if (!says->is_object()) return wrong("/start/says", "kinds of refusals and sentences were expected");
    for (const auto& [kind, sentence] : says->items()) {
      const bool known = std::find(kRefusals.begin(), kRefusals.end(), kind) != kRefusals.end();
      if (!known || !sentence.is_string())
        return wrong("/start/says/" + kind, fmt::format("the sentence of one of these was expected: {}", fmt::join(kRefusals, ", ")));
      profile_.start.says.emplace(kind, sentence.get<std::string>());
    }
  }

  void read_terms(const std::string& pointer, std::vector<Term>& out) {
    const Json* list = find_pointer(root_, pointer);
    if (list == nullptr) return;
    if (!list->is_array() || list->size() > kMaxItems) return wrong(pointer, "a list of terms was expected");
    for (std::size_t i = 0; i < list->size(); ++i) {
      auto term = read_term((*list)[i], fmt::format("{}: {}/{}", file_, pointer, i));
      if (!term) {
        if (!error_) error_ = term.error();
        return;
      }
      out.push_back(std::move(*term));
    }
  }

  void read_items(const std::string& pointer, std::vector<ProfileItem>& out) {
    const Json* list = find_pointer(root_, pointer);
    if (list == nullptr) return;
    if (!list->is_array() || list->size() > kMaxItems) return wrong(pointer, "a list was expected");
    for (std::size_t i = 0; i < list->size(); ++i) {
      const std::string here = fmt::format("{}/{}", pointer, i);
      const Json& node = (*list)[i];
      if (!node.is_object()) return wrong(here, "keys and values were expected");
      ProfileItem item;
      item.label = text((here + "/label").c_str());
      item.phase = text((here + "/phase").c_str());
      if (item.label.empty()) wrong(here + "/label", "a text was expected");
      if (std::any_of(out.begin(), out.end(),
                      [&](const ProfileItem& other) { return other.label == item.label && other.phase == item.phase; }))
        wrong(here + "/label", fmt::format("'{}' stands twice where both apply; add its terms up in one entry", item.label.substr(0, 64)));
      const std::string basis = text((here + "/basis").c_str());
      bool known = basis.empty();
      for (const Basis word : {Basis::kExact, Basis::kBound, Basis::kMeasured, Basis::kHeuristic})
        if (basis == basis_name(word)) {
          item.basis = word;
          known = true;
        }
      if (!known) wrong(here + "/basis", "exact, bound, measured or heuristic was expected");
      const std::string memory = text((here + "/memory").c_str());
      if (memory == memory_kind_name(MemoryKind::kHost)) item.memory = MemoryKind::kHost;
      else if (!memory.empty() && memory != memory_kind_name(MemoryKind::kDevice)) wrong(here + "/memory", "device or host was expected");
      item.warning = text((here + "/warning").c_str());
      if (item.memory == MemoryKind::kHost && !item.phase.empty()) wrong(here + "/phase", "what is in host memory stays there");
      for (const auto& [key, value] : node.items())
        if (key != "label" && key != "phase" && key != "basis" && key != "memory" && key != "warning" && key != "terms")
          unknown(here, key, {"label", "phase", "basis", "memory", "warning", "terms", "when"});
      read_terms(here + "/terms", item.terms);
      out.push_back(std::move(item));
    }
  }

  void unknown(const std::string& section, const std::string& key, const std::vector<std::string_view>& known) {
    const std::string close = either(nearest(key, known, 2));
    wrong(section + "/" + key,
          fmt::format("'{}' is not a key of an engine profile{}", key.substr(0, 64), close.empty() ? "" : "; did you mean " + close + "?"));
  }

  // Whatever no row names is a mistake of the author.
  void no_others(const Json& node, const std::string& section) {
    std::vector<std::string_view> known;
    if (section.empty()) known = {"schema", "name", "version", "oldest", "aliases", "choices", "planner", "activations", "overheads"};
    if (section == "/budget") known = {"reserve"};
    if (section == "/start") known = {"vendors", "quantizations", "not_served", "outside", "says"};
    if (section == "/kv") known = {"takes", "page_sizes"};
    const std::string below = section + "/";
    for (const ProfileKey& key : profile_keys()) {
      if (!key.pointer.starts_with(below)) continue;
      const std::string_view rest = key.pointer.substr(section.size() + 1);
      known.push_back(rest.substr(0, rest.find('/')));
    }
    for (const auto& [key, value] : node.items()) {
      if (std::find(known.begin(), known.end(), key) == known.end()) return unknown(section, key, known);
      const std::string inner = below + key, inside = inner + "/";
      const bool holds_keys =
          std::any_of(profile_keys().begin(), profile_keys().end(), [&](const ProfileKey& k) { return k.pointer.starts_with(inside); });
      if (!holds_keys) continue;
      if (!value.is_object()) return wrong(inner, "keys and values were expected");
      no_others(value, inner);
    }
  }

  const Json& root_;
  const std::string& file_;
  EngineProfile profile_;
  std::optional<Error> error_;
};

// "kv.page_tokens=64" or "page_tokens=64": the value is read as YAML reads a scalar.
Result<void> apply_override(Json& root, const std::string& key, const std::string& value) {
  std::string pointer = "/" + key;
  std::replace(pointer.begin(), pointer.end(), '.', '/');
  const std::string where = "--set engine." + key;
  if (key.find('.') == std::string::npos) {
    // The engine's own name for a value, else the key's last part.
    std::vector<std::string> names;
    std::string short_name = key;
    if (const Json* aliases = find_pointer(root, "/aliases"); aliases != nullptr && aliases->is_object())
      for (const auto& [alias, meant] : aliases->items()) {
        names.push_back(alias);
        if (alias == key && meant.is_string()) short_name = meant.get<std::string>();
      }
    for (const ProfileKey& known : profile_keys()) {
      names.emplace_back(known.short_name());
      if (known.short_name() == short_name) pointer = known.pointer;
    }
    if (const Json* choices = find_pointer(root, "/choices"); choices != nullptr && choices->is_object())
      for (const auto& [name, choice] : choices->items()) names.push_back(name);
    if (is_choice_name(root, short_name)) pointer = fmt::format("/choices/{}/default", short_name);
    if (pointer == "/" + key) {
      const std::string close = either(nearest(key, {names.begin(), names.end()}, 3));
      return fail(ErrorCode::kBadRequest,
                  fmt::format("is no value of an engine profile{}",
                              close.empty() ? "; give its section too, as in engine.kv.page_tokens" : "; did you mean " + close + "?"),
                  where);
    }
  }
  PLIMSOLL_ASSIGN(Json parsed, parse_yaml(value, where, ErrorCode::kBadRequest));
  if (parsed.is_structured()) return fail(ErrorCode::kBadRequest, "a single value was expected", where);
  Json* node = &root;
  std::string_view rest = std::string_view(pointer).substr(1);
  for (std::size_t slash = rest.find('/'); slash != std::string_view::npos; slash = rest.find('/')) {
    const std::string section(rest.substr(0, slash));
    if (!node->contains(section)) (*node)[section] = Json::object();
    node = &(*node)[section];
    if (!node->is_object()) return fail(ErrorCode::kBadRequest, "the engine profile has no such section", where);
    rest.remove_prefix(slash + 1);
  }
  (*node)[std::string(rest)] = std::move(parsed);
  if (pointer == "/budget/utilization") node->erase("reserve"); // a fraction that is given follows from nothing
  return {};
}

// The newest release that the profile describes; empty where it says none.
std::string newest_release(const Json& root) {
  const Json* const version = find_pointer(root, "/version");
  return version != nullptr && version->is_string() ? version->get<std::string>() : "";
}

// The release that was asked for, else the newest that the profile describes.
Result<std::string> settle_release(const Json& root, const std::string& wanted) {
  const std::string newest = newest_release(root);
  if (wanted.empty()) return newest;
  const auto release = parse_release(wanted), oldest = parse_release(root.value("oldest", newest));
  if (!release)
    return fail(ErrorCode::kBadRequest, fmt::format("'{}' is no release; give one such as {}", wanted.substr(0, 64), newest), "--engine");
  if (oldest && *release < *oldest)
    return fail(ErrorCode::kBadRequest,
                fmt::format("{} is older than {}, the oldest release that the profile describes", wanted, root.value("oldest", newest)),
                "--engine");
  return wanted;
}

} // namespace

Result<ProfileSource> ProfileSource::load(const std::string& catalogue, const std::string& name,
                                          const std::map<std::string, std::string>& overrides) {
  PLIMSOLL_ASSIGN(const EngineName engine, find_engine_name(catalogue, name));
  const std::string &wanted_release = engine.release,
                    file = engine.is_file ? name : fmt::format("{}/engines/{}.yaml", catalogue, engine.name);
  ProfileSource source;
  PLIMSOLL_ASSIGN(const std::string text, read_text_file(file, kMaxProfileBytes, ErrorCode::kBadRequest));
  PLIMSOLL_ASSIGN(source.root_, parse_yaml(text, file, ErrorCode::kBadRequest));
  if (!source.root_.is_object()) return fail(ErrorCode::kBadRequest, "keys and values were expected", file);
  for (const auto& [key, value] : overrides) PLIMSOLL_TRY(apply_override(source.root_, key, value));
  source.file_ = overrides.empty() ? file : file + " with --set";
  PLIMSOLL_ASSIGN(source.release_, settle_release(source.root_, wanted_release));
  if (!wanted_release.empty()) {
    const auto asked = parse_release(source.release_), newest = parse_release(newest_release(source.root_));
    source.newer_than_known_ = asked && newest && *newest < *asked;
    source.root_["version"] = source.release_;
  }
  source.asked_ = AskedFacts(source.root_);
  if (!has_conditions(source.root_)) {
    PLIMSOLL_ASSIGN(EngineProfile profile, Reader(source.root_, source.file_).read());
    profile.newer_than_known = source.newer_than_known_;
    source.fixed_ = std::make_shared<const EngineProfile>(std::move(profile));
  }
  return source;
}

Result<std::shared_ptr<const EngineProfile>> ProfileSource::settle(const ProfileFacts& facts) const {
  if (fixed_) return fixed_;
  const std::string key = asked_.key(facts);
  {
    const std::shared_lock lock(settled_->mutex);
    if (const auto it = settled_->by_facts.find(key); it != settled_->by_facts.end()) return it->second;
  }
  PLIMSOLL_ASSIGN(const Json settled, settle_conditions(root_, facts, release_, file_));
  PLIMSOLL_ASSIGN(EngineProfile read, Reader(settled, file_).read());
  read.newer_than_known = newer_than_known_;
  auto profile = std::make_shared<const EngineProfile>(std::move(read));
  const std::unique_lock lock(settled_->mutex);
  if (settled_->by_facts.size() >= kMaxSettled) settled_->by_facts.clear();
  settled_->by_facts.emplace(key, profile);
  return profile;
}

} // namespace plimsoll
