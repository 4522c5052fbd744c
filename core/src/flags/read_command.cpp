// See read_command.hpp.
#include "flags/read_command.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <set>

#include "base/json.hpp"
#include "base/nearest.hpp"
#include "base/words.hpp"
#include "flags/flag_notes.hpp"
#include "flags/flag_value.hpp"
#include "flags/settings.hpp"

namespace plimsoll {
namespace {

std::string short_text(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, 60)) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  return text.size() > 60 ? out + "..." : out;
}

bool is_truth(std::string_view word) { return lower_case(word) == "true" || lower_case(word) == "false"; }

class FlagReader {
public:
  FlagReader(const FlagTable& table, std::string release) : table_(table), release_(std::move(release)) {}

  Result<void> variable(const std::string& name, const std::string& value) {
    const FlagRow* const row = table_.find_variable(name);
    if (row == nullptr) {
      if (is_of_engine(name)) notes_.unknown(name, fmt::format("is no variable of {} that is known", table_.engine));
      else notes_.ignored(name, "a variable that is not the engine's own");
      return {};
    }
    return apply(*row, text_value(row->takes == Takes::kSwitch && value == "1" ? "true" : value, name), name);
  }

  Result<void> arguments(const std::vector<std::string>& words) {
    seen_.clear();
    carried_.clear();
    for (std::size_t at = 0; at < words.size();) {
      const std::size_t begin = at;
      left_out_ = false;
      PLIMSOLL_TRY(argument(words, at));
      if (left_out_ && !is_secret(words[begin]))
        carried_.emplace_back(words.begin() + static_cast<std::ptrdiff_t>(begin), words.begin() + static_cast<std::ptrdiff_t>(at));
    }
    return {};
  }

  Result<void> keys(const FlagValue& file) {
    seen_.clear();
    for (const auto& [key, value] : file.members) {
      const FlagRow* const row = table_.find_key(key);
      if (row == nullptr) {
        notes_.unknown(fmt::format("{} ({})", short_text(key), value.place),
                       fmt::format("is no setting of {} that is known", table_.engine));
        continue;
      }
      PLIMSOLL_TRY(apply(*row, value, key));
    }
    return {};
  }

  const FlagSetting* find(const std::string& name) const { return settings_.find(name); }

  Result<EngineCommand> finish(const Assumed& of_command) {
    EngineCommand out;
    out.engine = release_.empty() ? table_.engine : table_.engine + "@" + release_;
    out.model = settings_.value("model");
    if (const std::string hub = settings_.value("hub_model"); !hub.empty()) {
      const std::size_t colon = hub.find(':');
      out.model = hub.substr(0, colon);
      if (colon != std::string::npos)
        notes_.unplanned(fmt::format("the choice of {}", short_text(hub.substr(colon + 1))),
                         "planned is what is found under " + short_text(out.model) + "; give the file with -m");
    }
    out.draft = settings_.value("draft_method") == "none" ? "" : settings_.value("draft");
    settings_.assume(of_command, table_.engine);
    settings_.assume(table_.assumed, table_.engine);
    PLIMSOLL_ASSIGN(std::vector<OptionValue> all, settings_.options());
    for (OptionValue& option : all) {
      std::vector<OptionValue>& list = is_assumed(option.where) ? out.assumed : out.options;
      list.push_back(std::move(option));
    }
    out.warnings = notes_.warnings();
    out.carried = carried_;
    return out;
  }

private:
  static bool is_secret(std::string_view word) {
    const std::string name = dashed(word.substr(0, word.find('=')));
    return name.ends_with("-key") || name.ends_with("-token");
  }

  // VLLM_ANYTHING where the table has variables that begin with VLLM_.
  bool is_of_engine(std::string_view name) const {
    const auto begins_alike = [&](const std::vector<FlagRow>& rows) {
      return std::any_of(rows.begin(), rows.end(), [&](const FlagRow& row) {
        return std::any_of(row.names.begin(), row.names.end(), [&](const std::string& known) {
          const std::size_t line = known.find('_');
          return !known.starts_with('-') && line != std::string::npos && name.starts_with(known.substr(0, line + 1));
        });
      });
    };
    return begins_alike(table_.environment) || begins_alike(table_.flags);
  }

  // One flag with what belongs to it, or a word that stands alone; `at` moves behind it.
  Result<void> argument(const std::vector<std::string>& words, std::size_t& at) {
    const std::string& word = words[at++];
    if (!word.starts_with('-') || word == "-") {
      if (find("model") != nullptr)
        return fail(ErrorCode::kBadRequest,
                    fmt::format("'{}' belongs to no flag, and the model is {}", short_text(word), short_text(settings_.value("model"))),
                    short_text(word));
      settings_.set("model", {word, "MODEL"});
      return {};
    }
    const std::size_t equals = word.find('=');
    const std::string typed = word.substr(0, equals);
    const std::size_t dot = typed.find('.');
    const std::string flag = table_.whole_flag(typed.substr(0, dot));
    const bool has_value = equals != std::string::npos;
    const FlagRow* const row = table_.find_flag(flag);
    if (row == nullptr) return unknown(typed, has_value, words, at);
    const auto next = [&]() -> Result<std::string> {
      if (has_value) return word.substr(equals + 1);
      if (at == words.size()) return fail(ErrorCode::kBadRequest, "has no value", typed);
      return words[at++];
    };
    if (dot != std::string::npos) { // --config.key VALUE
      PLIMSOLL_ASSIGN(const std::string text, next());
      return apply(*row, nested(typed.substr(dot + 1), text, typed), typed);
    }
    switch (row->takes) {
    case Takes::kValue: {
      PLIMSOLL_ASSIGN(const std::string text, next());
      return apply_text(*row, text, typed);
    }
    case Takes::kSwitch:
    case Takes::kPair: return apply_truth(*row, flag, has_value ? word.substr(equals + 1) : "", words, at);
    case Takes::kOptional: {
      const auto is_value = [&](const std::string& text) {
        return std::any_of(row->values.begin(), row->values.end(), [&](const auto& known) { return known.first == text; });
      };
      if (has_value || (at < words.size() && is_value(words[at]))) {
        PLIMSOLL_ASSIGN(const std::string text, next());
        return apply_text(*row, text, typed);
      }
      return apply_text(*row, row->values.empty() ? "true" : row->values.front().first, typed);
    }
    case Takes::kList: {
      FlagValue list{FlagValue::Kind::kList, "", {}, typed};
      if (has_value) list.members.emplace_back("", text_value(word.substr(equals + 1), typed));
      while (!has_value && at < words.size() && !words[at].starts_with('-')) list.members.emplace_back("", text_value(words[at++], typed));
      return apply(*row, list, typed);
    }
    }
    return {};
  }

  // A word that follows is taken for its value, unless it is a flag.
  Result<void> unknown(const std::string& typed, bool has_value, const std::vector<std::string>& words, std::size_t& at) {
    if (!has_value && at < words.size() && !words[at].starts_with('-') && find("model") != nullptr) ++at;
    std::vector<std::string_view> names;
    for (const FlagRow& row : table_.flags) names.insert(names.end(), row.names.begin(), row.names.end());
    constexpr std::size_t kTellingLength = 8; // of a name: shorter ones are like too many
    const std::string close =
        typed.starts_with("--") && typed.size() >= kTellingLength ? either(nearest(typed.substr(0, 60), names, 1)) : "";
    left_out_ = true;
    notes_.unknown(short_text(typed),
                   fmt::format("is no flag of {} that is known{}", table_.engine, close.empty() ? "" : ", unless it is " + close));
    return {};
  }

  Result<void> apply_truth(const FlagRow& row, const std::string& typed, const std::string& given, const std::vector<std::string>& words,
                           std::size_t& at) {
    bool truth = true;
    if (!given.empty() || (at < words.size() && is_truth(words[at]))) {
      const std::string& text = given.empty() ? words[at] : given;
      if (!is_truth(text) && text != "1" && text != "0")
        return fail(ErrorCode::kBadRequest, fmt::format("'{}' is not true or false", short_text(text)), typed);
      truth = lower_case(text) == "true" || text == "1";
      if (given.empty()) ++at;
    }
    if (row.takes == Takes::kPair && !row.is(typed)) truth = !truth; // --no-X
    return apply(row, text_value(truth ? "true" : "false", typed), typed);
  }

  Result<void> apply_text(const FlagRow& row, const std::string& text, const std::string& typed) {
    const bool is_document = text.starts_with('{') && (row.effect == FlagEffect::kKeys || row.effect == FlagEffect::kSetting);
    if (row.effect == FlagEffect::kKeys && !is_document)
      return fail(ErrorCode::kBadRequest, fmt::format("'{}' is no JSON object, such as '{{\"key\": 1}}'", short_text(text)), typed);
    PLIMSOLL_ASSIGN(const FlagValue value, parse_flag_value(text, is_document, typed));
    return apply(row, value, typed);
  }

  // {"a": {"b": VALUE}} of a.b, the value as JSON where it is some.
  static FlagValue nested(const std::string& path, const std::string& text, const std::string& place) {
    const std::size_t dot = path.find('.');
    FlagValue out{FlagValue::Kind::kMap, "", {}, place};
    if (dot != std::string::npos) {
      out.members.emplace_back(path.substr(0, dot), nested(path.substr(dot + 1), text, place));
      return out;
    }
    auto document = parse_flag_value(text, text.starts_with('{') || text.starts_with('['), place);
    out.members.emplace_back(path, document ? std::move(*document) : text_value(text, place));
    return out;
  }

  // `name`: as it was written, for notes.
  Result<void> apply(const FlagRow& row, const FlagValue& value, const std::string& name) {
    if (!in_release(row, release_)) {
      left_out_ = true;
      notes_.unknown(name, fmt::format("is not of {}{}{}{}", table_.engine, release_.empty() ? "'s newest release" : " " + release_,
                                       row.from.empty() ? "" : ": it came with " + row.from,
                                       row.before.empty() ? "" : ": it went with " + row.before));
      return {};
    }
    if (value.kind == FlagValue::Kind::kNothing) return {};
    left_out_ = left_out_ || row.effect == FlagEffect::kIgnored || row.effect == FlagEffect::kUnplanned;
    switch (row.effect) {
    case FlagEffect::kIgnored: notes_.ignored(name, row.because); return {};
    case FlagEffect::kUnplanned:
      if (value.text != "false" && value.text != "None" && !is_harmless(row, value.text)) notes_.unplanned(name, row.because);
      return {};
    case FlagEffect::kKeys:
      if (value.kind != FlagValue::Kind::kMap)
        return fail(ErrorCode::kBadRequest, fmt::format("{}: keys and values were expected", name), value.place);
      for (const auto& [key, part] : value.members) {
        const FlagRow* const inner = find_row(row.keys, key);
        if (inner == nullptr) notes_.unknown(fmt::format("{} of {}", short_text(key), name), "is no key that is known");
        else PLIMSOLL_TRY(apply(*inner, part, fmt::format("{} of {}", key, name)));
      }
      return {};
    case FlagEffect::kSetting: return set(row, value, name);
    }
    return {};
  }

  // Values of what is not planned that change nothing.
  static bool is_harmless(const FlagRow& row, const std::string& text) {
    return std::any_of(row.values.begin(), row.values.end(), [&](const auto& known) { return known.first == text; });
  }

  Result<void> set(const FlagRow& row, const FlagValue& value, const std::string& name) {
    std::string text = value.joined();
    if (value.kind == FlagValue::Kind::kMap) { // {"image": 2, "video": {"count": 0}} is image=2,video=0
      for (const auto& [key, part] : value.members) {
        const auto count = std::find_if(part.members.begin(), part.members.end(), [](const auto& inner) { return inner.first == "count"; });
        text += fmt::format("{}{}={}", text.empty() ? "" : ",", key, count == part.members.end() ? part.joined() : count->second.joined());
      }
    }
    if (text == "None" || text == "null") return {};
    if (is_truth(text)) text = lower_case(text);
    const auto known = std::find_if(row.values.begin(), row.values.end(), [&](const auto& entry) { return entry.first == text; });
    if (known == row.values.end() && row.only_values) {
      left_out_ = true;
      notes_.unplanned(fmt::format("{} {}", name, short_text(text)), row.because);
      return {};
    }
    if (known != row.values.end()) {
      text = known->second;
    } else {
      PLIMSOLL_ASSIGN(text, in_units(text, row.unit, value.place));
    }
    if (row.repeats && seen_.contains(row.setting)) {
      settings_.set(row.setting, {settings_.value(row.setting) + "," + text, value.place});
      return {};
    }
    const bool changed = settings_.set(row.setting, {text, value.place});
    if (!seen_.insert(row.setting).second && changed)
      notes_.ignored(name + ", the first time", "given more than once: the last one counts");
    return {};
  }

  const FlagTable& table_;
  std::string release_;
  FlagSettings settings_;
  FlagNotes notes_;
  bool left_out_ = false;                         // of the flag that is being read something is not planned
  std::vector<std::vector<std::string>> carried_; // such flags
  std::set<std::string> seen_;                    // settings of the words, or of the file, that are being read
};

} // namespace

Result<EngineCommand> read_command(const StartedEngine& started, const FlagTable& table, const std::string& release) {
  FlagReader reader(table, release.empty() ? started.release : release);
  for (const auto& [name, value] : started.environment) PLIMSOLL_TRY(reader.variable(name, value));
  const auto read_config = [&](FlagReader& into) -> Result<void> {
    const FlagSetting* const config = into.find("config");
    if (config == nullptr) return {};
    PLIMSOLL_ASSIGN(const FlagValue file, read_yaml_map(config->value));
    return into.keys(file);
  };
  // Which file it is, is known when the flags were read; where these win they are read again behind it.
  FlagReader first = reader;
  PLIMSOLL_TRY(first.arguments(started.arguments));
  if (first.find("config") == nullptr) return first.finish(started.assumed);
  if (table.file_wins) {
    PLIMSOLL_TRY(read_config(first));
    return first.finish(started.assumed);
  }
  PLIMSOLL_ASSIGN(const FlagValue file, read_yaml_map(first.find("config")->value));
  PLIMSOLL_TRY(reader.keys(file));
  PLIMSOLL_TRY(reader.arguments(started.arguments));
  return reader.finish(started.assumed);
}

Result<std::optional<EngineCommand>> read_file(const std::vector<FlagTable>& tables, const std::string& path, const std::string& engine,
                                               const std::string& release, bool (*ours)(std::string_view key)) {
  PLIMSOLL_ASSIGN(const FlagValue file, read_yaml_map(path));
  const auto known = [&](const FlagTable& table) {
    return std::count_if(file.members.begin(), file.members.end(),
                         [&](const auto& member) { return table.find_key(member.first) != nullptr; });
  };
  const auto of_ours = std::count_if(file.members.begin(), file.members.end(), [&](const auto& member) { return ours(member.first); });
  std::vector<const FlagTable*> best;
  std::ptrdiff_t most = of_ours;
  for (const FlagTable& table : tables) {
    if (!engine.empty() && table.engine != engine) continue;
    const std::ptrdiff_t count = known(table);
    if (count < most || count <= of_ours || 2 * count <= static_cast<std::ptrdiff_t>(file.members.size())) continue;
    if (count > most) best.clear();
    most = count;
    best.push_back(&table);
  }
  if (best.empty()) return std::optional<EngineCommand>();
  if (best.size() > 1) {
    std::vector<std::string> names;
    for (const FlagTable* const table : best) names.push_back(table->engine);
    return fail(ErrorCode::kBadRequest, fmt::format("these settings are {}'s alike; say which with --engine", either(names)), path);
  }
  FlagReader reader(*best.front(), release);
  PLIMSOLL_TRY(reader.keys(file));
  PLIMSOLL_ASSIGN(EngineCommand out, reader.finish({}));
  return std::optional<EngineCommand>(std::move(out));
}

} // namespace plimsoll
