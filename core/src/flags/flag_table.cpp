// See flag_table.hpp. Rows are read strictly: an unknown key, a name that stands twice or a row without meaning is an error of its line.
#include "flags/flag_table.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fmt/format.h>
#include <set>
#include <yaml-cpp/yaml.h>

#include "base/nearest.hpp"
#include "base/regular_file.hpp"
#include "engine/release.hpp"

namespace plimsoll {
namespace {

constexpr std::uint64_t kMostTableBytes = 1U << 20;
constexpr std::size_t kMostNesting = 4;

struct TakesWord {
  std::string_view word;
  Takes takes;
};
constexpr std::array<TakesWord, 5> kTakesWords{
    {{"value", Takes::kValue}, {"switch", Takes::kSwitch}, {"pair", Takes::kPair}, {"optional", Takes::kOptional}, {"list", Takes::kList}}};
struct UnitWord {
  std::string_view word;
  FlagUnit unit;
};
constexpr std::array<UnitWord, 3> kUnitWords{{{"human", FlagUnit::kHuman}, {"gib", FlagUnit::kGib}, {"mib", FlagUnit::kMib}}};

class TableReader {
public:
  explicit TableReader(const std::string& file) : file_(file) { table_.file = file; }

  Result<FlagTable> read(const YAML::Node& root) {
    static const std::vector<std::string_view> kKeys{"schema",    "engine",        "assumed",   "commands",    "images",
                                                     "flags",     "ignored",       "unplanned", "environment", "file",
                                                     "file_wins", "abbreviations", "deploy"};
    PLIMSOLL_TRY(map_of(root, kKeys));
    PLIMSOLL_ASSIGN(const std::string schema, text(root, "schema", true));
    if (schema != "plimsoll.flags/1") return bad(root["schema"], "schema is not plimsoll.flags/1");
    PLIMSOLL_ASSIGN(table_.engine, text(root, "engine", true));
    PLIMSOLL_ASSIGN(table_.assumed, pairs(root["assumed"]));
    for (const auto& node : root["commands"]) PLIMSOLL_TRY(command(node));
    PLIMSOLL_ASSIGN(table_.images, words(root["images"]));
    PLIMSOLL_TRY(rows(root["flags"], table_.flags, 0));
    for (const auto& node : root["ignored"]) PLIMSOLL_TRY(group(node, FlagEffect::kIgnored));
    for (const auto& node : root["unplanned"]) PLIMSOLL_TRY(group(node, FlagEffect::kUnplanned));
    PLIMSOLL_TRY(rows(root["environment"], table_.environment, 0));
    PLIMSOLL_TRY(rows(root["file"], table_.file_keys, 0));
    if (root["file_wins"].IsDefined()) table_.file_wins = root["file_wins"].as<bool>();
    if (root["abbreviations"].IsDefined()) table_.abbreviations = root["abbreviations"].as<bool>();
    PLIMSOLL_TRY(deploy(root["deploy"]));
    return std::move(table_);
  }

private:
  tl::unexpected<Error> bad(const YAML::Node& node, std::string message) const {
    const int line = node.Mark().line;
    return fail(ErrorCode::kInternal, std::move(message), line < 0 ? file_ : fmt::format("{}:{}", file_, line + 1));
  }

  Result<void> map_of(const YAML::Node& node, const std::vector<std::string_view>& known) const {
    if (!node.IsMap()) return bad(node, "keys and values were expected");
    std::set<std::string> seen;
    for (const auto& entry : node) {
      const std::string& key = entry.first.Scalar();
      if (std::find(known.begin(), known.end(), key) == known.end()) {
        const std::string close = either(nearest(key, known, 2));
        return bad(entry.first, fmt::format("'{}' is no key here{}", key, close.empty() ? "" : "; did you mean " + close + "?"));
      }
      if (!seen.insert(key).second) return bad(entry.first, fmt::format("{} is given twice", key));
    }
    return {};
  }

  Result<std::string> text(const YAML::Node& node, const char* key, bool required = false) const {
    const YAML::Node value = node[key];
    if (!value.IsDefined() && !required) return std::string();
    if (!value.IsDefined() || !value.IsScalar() || value.Scalar().empty()) return bad(node, fmt::format("{} is missing or no word", key));
    return value.Scalar();
  }

  // "a b c", or a list of words that may hold blanks.
  Result<std::vector<std::string>> words(const YAML::Node& node) const {
    std::vector<std::string> out;
    if (!node.IsDefined()) return out;
    if (node.IsSequence()) {
      for (const auto& part : node) {
        if (!part.IsScalar()) return bad(part, "a word was expected");
        out.push_back(part.Scalar());
      }
      return out;
    }
    if (!node.IsScalar()) return bad(node, "words were expected");
    std::string_view rest = node.Scalar();
    while (!rest.empty()) {
      const std::string_view word = rest.substr(0, rest.find(' '));
      if (!word.empty()) out.emplace_back(word);
      rest.remove_prefix(std::min(rest.size(), word.size() + 1));
    }
    return out;
  }

  Result<Assumed> pairs(const YAML::Node& node) const {
    Assumed out;
    if (!node.IsDefined()) return out;
    if (!node.IsMap()) return bad(node, "keys and values were expected");
    for (const auto& entry : node) {
      if (!entry.first.IsScalar() || !(entry.second.IsScalar() || entry.second.IsNull())) return bad(node, "plain values were expected");
      out.emplace_back(entry.first.Scalar(), entry.second.IsNull() ? "" : entry.second.Scalar());
    }
    return out;
  }

  Result<void> command(const YAML::Node& node) {
    PLIMSOLL_TRY(map_of(node, {"words", "assumed"}));
    FlagCommand out;
    PLIMSOLL_ASSIGN(out.words, words(node["words"]));
    if (out.words.empty()) return bad(node, "words is missing");
    PLIMSOLL_ASSIGN(out.assumed, pairs(node["assumed"]));
    table_.commands.push_back(std::move(out));
    return {};
  }

  Result<void> rows(const YAML::Node& list, std::vector<FlagRow>& out, std::size_t depth) {
    if (!list.IsDefined()) return {};
    if (!list.IsSequence() || depth > kMostNesting) return bad(list, "a list of rows was expected");
    for (const auto& node : list) {
      PLIMSOLL_ASSIGN(FlagRow read, row(node, depth));
      PLIMSOLL_TRY(add(out, std::move(read), node));
    }
    return {};
  }

  // A name stands once, unless in releases that differ.
  Result<void> add(std::vector<FlagRow>& out, FlagRow row, const YAML::Node& node) const {
    for (const FlagRow& other : out)
      for (const std::string& name : row.names)
        if (other.is(name) && row.from.empty() && row.before.empty()) return bad(node, fmt::format("{} stands twice", name));
    out.push_back(std::move(row));
    return {};
  }

  Result<FlagRow> row(const YAML::Node& node, std::size_t depth) {
    PLIMSOLL_TRY(map_of(
        node, {"names", "takes", "is", "values", "only", "repeats", "unit", "keys", "ignored", "unplanned", "from", "before", "written"}));
    FlagRow out;
    PLIMSOLL_ASSIGN(out.names, words(node["names"]));
    if (out.names.empty()) return bad(node, "names is missing");
    PLIMSOLL_ASSIGN(out.from, text(node, "from"));
    PLIMSOLL_ASSIGN(out.before, text(node, "before"));
    for (const std::string& release : {out.from, out.before})
      if (!release.empty() && !parse_release(release)) return bad(node, fmt::format("'{}' is no release", release));
    PLIMSOLL_ASSIGN(const std::string takes, text(node, "takes"));
    const auto* const taken =
        std::find_if(kTakesWords.begin(), kTakesWords.end(), [&](const TakesWord& word) { return word.word == takes; });
    if (taken != kTakesWords.end()) out.takes = taken->takes;
    else if (!takes.empty()) return bad(node, fmt::format("takes: '{}' is none of value, switch, pair, optional, list", takes));
    PLIMSOLL_ASSIGN(const std::string unit, text(node, "unit"));
    const auto* const written = std::find_if(kUnitWords.begin(), kUnitWords.end(), [&](const UnitWord& word) { return word.word == unit; });
    if (written != kUnitWords.end()) out.unit = written->unit;
    else if (!unit.empty()) return bad(node, fmt::format("unit: '{}' is none of human, gib, mib", unit));
    PLIMSOLL_ASSIGN(out.values, pairs(node["values"]));
    if (node["only"].IsDefined()) out.only_values = node["only"].as<bool>();
    if (node["repeats"].IsDefined()) out.repeats = node["repeats"].as<bool>();
    if (node["written"].IsDefined()) out.written = node["written"].as<bool>();
    PLIMSOLL_TRY(meaning(node, out, depth));
    return out;
  }

  Result<void> meaning(const YAML::Node& node, FlagRow& out, std::size_t depth) {
    int meanings = 0;
    PLIMSOLL_ASSIGN(out.setting, text(node, "is"));
    if (!out.setting.empty()) ++meanings;
    if (node["keys"].IsDefined()) {
      ++meanings;
      out.effect = FlagEffect::kKeys;
      PLIMSOLL_TRY(rows(node["keys"], out.keys, depth + 1));
    }
    for (const auto& [key, effect] : {std::pair{"ignored", FlagEffect::kIgnored}, {"unplanned", FlagEffect::kUnplanned}}) {
      PLIMSOLL_ASSIGN(std::string because, text(node, key));
      if (because.empty()) continue;
      if (out.setting.empty()) {
        ++meanings;
        out.effect = effect;
      } else if (effect == FlagEffect::kIgnored || !out.only_values) {
        return bad(node, "a setting is not ignored; unplanned says so of the values that `only` leaves out");
      }
      out.because = std::move(because);
    }
    if (meanings != 1) return bad(node, "a row has one of is, keys, ignored, unplanned");
    if (out.only_values && (out.values.empty() || out.because.empty())) return bad(node, "only: true wants values, and unplanned: why");
    return {};
  }

  // {because: ..., value: "--host --port", switch: "--verbose"}
  Result<void> group(const YAML::Node& node, FlagEffect effect) {
    PLIMSOLL_TRY(map_of(node, {"because", "value", "switch", "pair", "optional", "list"}));
    PLIMSOLL_ASSIGN(const std::string because, text(node, "because", true));
    for (const TakesWord& takes : kTakesWords) {
      PLIMSOLL_ASSIGN(const std::vector<std::string> names, words(node[std::string(takes.word)]));
      for (const std::string& name : names) {
        FlagRow row;
        row.names = {name};
        row.takes = takes.takes;
        row.effect = effect;
        row.because = because;
        PLIMSOLL_TRY(add(name.starts_with('-') ? table_.flags : table_.environment, std::move(row), node));
      }
    }
    return {};
  }

  Result<void> deploy(const YAML::Node& node) {
    if (!node.IsDefined()) return {};
    PLIMSOLL_TRY(map_of(node, {"command", "model_flag", "arguments", "image_starts_it", "images", "file_flag", "health", "port", "nodes",
                               "worker", "nodes_from"}));
    FlagDeploy& out = table_.deploy;
    PLIMSOLL_ASSIGN(out.command, words(node["command"]));
    PLIMSOLL_ASSIGN(out.model_flag, text(node, "model_flag"));
    PLIMSOLL_ASSIGN(out.arguments, words(node["arguments"]));
    if (node["image_starts_it"].IsDefined()) out.image_starts_it = node["image_starts_it"].as<bool>();
    PLIMSOLL_ASSIGN(const Assumed images, pairs(node["images"]));
    out.images.insert(images.begin(), images.end());
    PLIMSOLL_ASSIGN(out.file_flag, text(node, "file_flag"));
    PLIMSOLL_ASSIGN(out.nodes, words(node["nodes"]));
    PLIMSOLL_ASSIGN(out.worker, words(node["worker"]));
    PLIMSOLL_ASSIGN(out.nodes_from, text(node, "nodes_from"));
    if (node["health"].IsDefined()) out.health = node["health"].as<std::string>();
    if (node["port"].IsDefined()) out.port = node["port"].as<std::uint32_t>();
    if (out.command.empty()) return bad(node, "command is missing");
    return {};
  }

  const std::string& file_;
  FlagTable table_;
};

} // namespace

std::string dashed(std::string_view name) {
  std::string out(name);
  std::replace(out.begin(), out.end(), '_', '-');
  return out;
}

bool FlagRow::is(std::string_view name) const {
  const std::string wanted = dashed(name);
  return std::any_of(names.begin(), names.end(), [&](const std::string& known) { return dashed(known) == wanted; });
}

const FlagRow* find_row(const std::vector<FlagRow>& rows, std::string_view name) {
  const auto row = std::find_if(rows.begin(), rows.end(), [&](const FlagRow& known) { return known.is(name); });
  return row == rows.end() ? nullptr : &*row;
}

const FlagRow* FlagTable::find_flag(std::string_view flag) const {
  if (const FlagRow* const row = find_row(flags, flag)) return row;
  const std::string name = dashed(flag);
  constexpr std::string_view kNo = "--no-";
  if (!name.starts_with(kNo)) return nullptr;
  const FlagRow* const row = find_row(flags, "--" + name.substr(kNo.size()));
  return row != nullptr && row->takes == Takes::kPair ? row : nullptr;
}

std::string FlagTable::whole_flag(std::string_view typed) const {
  const std::string begin = dashed(typed);
  if (!abbreviations || !begin.starts_with("--") || find_flag(begin) != nullptr) return std::string(typed);
  const FlagRow* meant = nullptr;
  std::string out(typed);
  for (const FlagRow& row : flags)
    for (const std::string& name : row.names) {
      const bool begins_so = dashed(name).starts_with(begin);
      const bool denied_so =
          row.takes == Takes::kPair && dashed("--no-" + name.substr(std::min<std::size_t>(name.size(), 2))).starts_with(begin);
      if (!begins_so && !denied_so) continue;
      if (meant != nullptr && meant != &row) return std::string(typed);
      meant = &row;
      out = begins_so ? name : "--no-" + name.substr(2);
    }
  return out;
}

const FlagRow* FlagTable::find_variable(std::string_view name) const {
  const FlagRow* const row = find_row(environment, name);
  return row != nullptr || name.starts_with('-') ? row : find_row(flags, name);
}

const FlagRow* FlagTable::find_key(std::string_view key) const {
  if (const FlagRow* const row = find_row(file_keys, key)) return row;
  if (!file_keys.empty()) return nullptr; // its file has keys of its own
  return find_row(flags, "--" + std::string(key));
}

bool in_release(const FlagRow& row, std::string_view release) {
  const auto asked = parse_release(release);
  if (!asked) return row.before.empty();
  const auto from = parse_release(row.from), before = parse_release(row.before);
  return !(from && *asked < *from) && !(before && *before <= *asked);
}

Result<FlagTable> parse_flag_table(const std::string& text, const std::string& file) {
  try {
    return TableReader(file).read(YAML::Load(text));
  } catch (const YAML::Exception& problem) {
    return fail(ErrorCode::kInternal, fmt::format("this is not YAML: {}", problem.msg), fmt::format("{}:{}", file, problem.mark.line + 1));
  }
}

namespace {

Result<FlagTable> read_table(const std::string& catalogue, const std::string& engine, bool head_alone) {
  const std::string file = fmt::format("{}/flags/{}.yaml", catalogue, engine);
  PLIMSOLL_ASSIGN(std::string text, read_text_file(file, kMostTableBytes, ErrorCode::kInternal));
  if (const std::size_t flags = text.find("\nflags:"); head_alone && flags != std::string::npos) text.resize(flags + 1);
  return parse_flag_table(text, file);
}

Result<std::vector<FlagTable>> read_tables(const std::string& catalogue, bool heads_alone) {
  std::vector<FlagTable> out;
  for (const std::string& engine : flag_engines(catalogue)) {
    PLIMSOLL_ASSIGN(FlagTable table, read_table(catalogue, engine, heads_alone));
    out.push_back(std::move(table));
  }
  return out;
}

} // namespace

Result<FlagTable> read_flag_table(const std::string& catalogue, const std::string& engine) {
  const std::vector<std::string> engines = flag_engines(catalogue);
  if (std::find(engines.begin(), engines.end(), engine) == engines.end())
    return fail(ErrorCode::kBadRequest, fmt::format("how {} is started is not known; there is {}", engine.substr(0, 64), either(engines)),
                "--engine");
  return read_table(catalogue, engine, false);
}

std::vector<std::string> flag_engines(const std::string& catalogue) {
  std::vector<std::string> out;
  std::error_code failed;
  for (std::filesystem::directory_iterator it(catalogue + "/flags", failed), end; !failed && it != end; it.increment(failed))
    if (it->path().extension() == ".yaml") out.push_back(it->path().stem().string());
  std::sort(out.begin(), out.end());
  return out;
}

Result<std::vector<FlagTable>> read_flag_tables(const std::string& catalogue) { return read_tables(catalogue, false); }
Result<std::vector<FlagTable>> read_flag_heads(const std::string& catalogue) { return read_tables(catalogue, true); }

} // namespace plimsoll
