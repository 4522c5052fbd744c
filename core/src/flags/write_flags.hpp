// The other way: settings as an engine's flags, variables and file. For plans that are written as a command. Says what no flag says.
// Threads: pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "flags/flag_table.hpp"
#include "plimsoll/result.hpp"

namespace plimsoll {

// A setting with what a reader wants to know of it.
struct SaidSetting {
  std::string name, value, why;
};

struct WrittenFlag {
  std::string name;
  std::optional<std::string> value; // a switch has none
  std::string why;
};

struct WrittenKey {
  std::vector<std::string> path; // {"kv_cache_config", "dtype"}
  std::string value, why;
};

struct WrittenFlags {
  std::vector<WrittenFlag> flags, variables;
  std::vector<WrittenKey> file;
  std::vector<SaidSetting> unsaid;
};

// `release` empty: the newest. A setting that only a document's key says becomes JSON of its flag, one for all of its keys.
WrittenFlags write_flags(const FlagTable& table, std::string_view release, const std::vector<SaidSetting>& settings);

struct RankDegrees {
  std::uint64_t tp = 1, pp = 1, dp = 1, ep = 1;
  bool experts_shared = false; // the model has experts, and replicas share them
};
// Degrees of parallelism as this engine counts them. kBadRequest where it cannot be started so.
Result<std::vector<SaidSetting>> rank_settings(const FlagTable& table, std::string_view release, const RankDegrees& degrees);

// Whether some row of the table is this setting.
bool has_setting(const FlagTable& table, std::string_view release, std::string_view setting);

} // namespace plimsoll
