#include "flags/write_flags.hpp"

#include <algorithm>
#include <charconv>
#include <fmt/format.h>

#include "base/json.hpp"

namespace plimsoll {
namespace {

// A value of the setting as the engine writes it in this row; nothing where it cannot.
std::optional<std::string> engine_word(const FlagRow& row, const std::string& value) {
  for (const auto& [written, meant] : row.values)
    if (meant == value && !meant.empty()) return written;
  if (row.only_values || value.empty()) return std::nullopt;
  for (const auto& [written, meant] : row.values)
    if (written == value) return std::nullopt; // it would mean something else
  if (row.takes == Takes::kSwitch && value != "true") return std::nullopt;
  if (row.takes == Takes::kPair && value != "true" && value != "false") return std::nullopt;
  if (row.unit != FlagUnit::kGib && row.unit != FlagUnit::kMib) return value;
  const std::uint64_t unit = row.unit == FlagUnit::kGib ? std::uint64_t{1} << 30 : std::uint64_t{1} << 20;
  std::uint64_t bytes = 0;
  const auto [stop, status] = std::from_chars(value.data(), value.data() + value.size(), bytes);
  if (status != std::errc() || stop != value.data() + value.size() || bytes % unit != 0) return std::nullopt;
  return std::to_string(bytes / unit);
}

// "engine.max_num_seqs" is said by a flag of that name, too.
bool is_of(const FlagRow& row, const std::string& setting) {
  if (row.effect != FlagEffect::kSetting || !row.written) return false;
  constexpr std::string_view kEngine = "engine.";
  if (row.setting == setting) return true;
  if (!setting.starts_with(kEngine)) return false;
  const std::string key = dashed(setting.substr(kEngine.size()));
  return row.name() == "--" + key && row.setting.starts_with(kEngine);
}

const FlagRow* row_of(const std::vector<FlagRow>& rows, std::string_view release, const SaidSetting& said, std::string& word) {
  for (const FlagRow& row : rows) {
    if (!is_of(row, said.name) || !in_release(row, release)) continue;
    if (auto written = engine_word(row, said.value)) {
      word = std::move(*written);
      return &row;
    }
  }
  return nullptr;
}

Json json_value(const std::string& word) {
  if (word == "true" || word == "false") return word == "true";
  std::uint64_t number = 0;
  const auto [stop, status] = std::from_chars(word.data(), word.data() + word.size(), number);
  if (!word.empty() && status == std::errc() && stop == word.data() + word.size()) return number;
  return word;
}

class Writer {
public:
  Writer(const FlagTable& table, std::string_view release) : table_(table), release_(release) {}

  WrittenFlags write(const std::vector<SaidSetting>& settings) {
    for (const SaidSetting& said : settings)
      if (!flag(said) && !document(said) && !variable(said) && !file(said) && !is_default(said)) out_.unsaid.push_back(said);
    for (auto& [name, part] : documents_) {
      const auto at = std::find_if(out_.flags.begin(), out_.flags.end(), [&](const WrittenFlag& flag) { return flag.name == name; });
      at->value = part.dump(-1, ' ', false, Json::error_handler_t::replace);
    }
    return std::move(out_);
  }

private:
  bool flag(const SaidSetting& said) {
    std::string word;
    const FlagRow* const row = row_of(table_.flags, release_, said, word);
    if (row == nullptr) return false;
    WrittenFlag flag{std::string(row->name()), std::nullopt, said.why};
    if (row->takes == Takes::kPair && word == "false") flag.name = "--no-" + flag.name.substr(2);
    else if (row->takes != Takes::kPair && row->takes != Takes::kSwitch) flag.value = word;
    out_.flags.push_back(std::move(flag));
    return true;
  }

  // A key of a flag's document.
  bool document(const SaidSetting& said) {
    for (const FlagRow& outer : table_.flags) {
      if (outer.effect != FlagEffect::kKeys || !in_release(outer, release_)) continue;
      std::string word;
      const FlagRow* const row = row_of(outer.keys, release_, said, word);
      if (row == nullptr) continue;
      const std::string name(outer.name());
      auto at = std::find_if(documents_.begin(), documents_.end(), [&](const auto& known) { return known.first == name; });
      if (at == documents_.end()) {
        at = documents_.insert(at, {name, Json::object()});
        out_.flags.push_back({name, "", said.why});
      } else {
        for (WrittenFlag& flag : out_.flags)
          if (flag.name == name) flag.why += "; " + said.why;
      }
      at->second[std::string(row->name())] = json_value(word);
      return true;
    }
    return false;
  }

  bool variable(const SaidSetting& said) {
    std::string word;
    const FlagRow* const row = row_of(table_.environment, release_, said, word);
    if (row == nullptr) return false;
    out_.variables.push_back({std::string(row->name()), word, said.why});
    return true;
  }

  bool file(const SaidSetting& said) {
    std::string word;
    if (const FlagRow* const row = row_of(table_.file_keys, release_, said, word)) {
      out_.file.push_back({{std::string(row->name())}, word, said.why});
      return true;
    }
    for (const FlagRow& outer : table_.file_keys)
      if (const FlagRow* const row = row_of(outer.keys, release_, said, word)) {
        out_.file.push_back({{std::string(outer.name()), std::string(row->name())}, word, said.why});
        return true;
      }
    return false;
  }

  // What the engine does anyway: a switch that is off.
  bool is_default(const SaidSetting& said) const {
    for (const FlagRow& row : table_.flags) {
      if (!is_of(row, said.name) || row.takes != Takes::kSwitch) continue;
      const bool inverted = std::any_of(row.values.begin(), row.values.end(),
                                        [](const auto& value) { return value.first == "true" && value.second == "false"; });
      if (said.value == (inverted ? "true" : "false")) return true;
    }
    return false;
  }

  const FlagTable& table_;
  std::string_view release_;
  WrittenFlags out_;
  std::vector<std::pair<std::string, Json>> documents_;
};

} // namespace

WrittenFlags write_flags(const FlagTable& table, std::string_view release, const std::vector<SaidSetting>& settings) {
  return Writer(table, release).write(settings);
}

bool has_setting(const FlagTable& table, std::string_view release, std::string_view setting) {
  const auto has = [&](const std::vector<FlagRow>& rows) {
    return std::any_of(rows.begin(), rows.end(),
                       [&](const FlagRow& row) { return is_of(row, std::string(setting)) && in_release(row, release); });
  };
  const auto has_inside = [&](const std::vector<FlagRow>& rows) {
    return has(rows) || std::any_of(rows.begin(), rows.end(), [&](const FlagRow& row) { return has(row.keys); });
  };
  return has_inside(table.flags) || has_inside(table.file_keys);
}

Result<std::vector<SaidSetting>> rank_settings(const FlagTable& table, std::string_view release, const RankDegrees& degrees) {
  std::vector<SaidSetting> out;
  const auto has = [&](std::string_view setting) { return has_setting(table, release, setting); };
  const auto say = [&](const char* name, std::uint64_t value, std::string why) {
    out.push_back({name, std::to_string(value), std::move(why)});
  };
  const auto cannot = [&](const char* option, std::string_view what) {
    return fail(ErrorCode::kBadRequest, fmt::format("{} {}", table.engine, what), option);
  };
  const auto [tp, pp, dp, ep, experts_shared] = degrees;
  if (has("gpus")) {
    if (pp > 1) return cannot("--pp", "has no pipeline stages to ask for");
    std::string list = "gpu:0";
    for (std::uint64_t at = 1; at < tp * dp; ++at) list += fmt::format(",{}", at);
    out.push_back({"gpus", list, fmt::format("{} devices", tp * dp)});
    if (dp > 1) say("dp", dp, fmt::format("replicas, of {} devices each", tp));
    if (ep > 1) say("ep", ep, "ranks that share the experts");
    return out;
  }
  if (!has("tp")) return out; // it deals layers to devices by itself
  const bool attention = dp > 1 && has("attention_dp") && (experts_shared || ep > 1 || !has("dp"));
  if (attention && !has("dp") && tp != 1) return cannot("--dp", "repeats the attention on all ranks or on none: give --tp 1");
  if (dp > 1 && !attention && !has("dp"))
    return cannot("--dp", "serves no replicas by one command: plan one of them, and start it as often");
  const std::uint64_t ranks = attention ? tp * dp : tp;
  say("tp", ranks,
      attention ? fmt::format("ranks; the attention of {} of them is a replica", tp)
      : tp > 1  ? "devices that share every layer"
                : "every layer is on one device");
  if (pp > 1) {
    if (!has("pp")) return cannot("--pp", "has no pipeline stages to ask for");
    say("pp", pp, "pipeline stages, one after the other");
  }
  if (dp > 1 && has("dp")) say("dp", dp, "replicas");
  if (attention) out.push_back({"attention_dp", "true", "every replica has attention of its own"});
  if (ep <= 1) return out;
  if (has("ep")) {
    say("ep", ep, "ranks that share the experts");
  } else if (has("expert_parallel") && ep == tp * dp) {
    out.push_back({"expert_parallel", "true", fmt::format("the experts are shared by all {} ranks", ep)});
  } else {
    return cannot("--ep", fmt::format("shares experts among all {} ranks or among none", tp * dp));
  }
  return out;
}

} // namespace plimsoll
