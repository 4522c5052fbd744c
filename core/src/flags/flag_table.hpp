// Engines' own command lines as data: one table an engine (core/catalogue/flags), flag by flag what it means here. Read when a command
// line, a file or a hint asks for it; README.md beside the tables has the keys. Never reads one for a plain plan. Threads: plain values.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "plimsoll/result.hpp"

namespace plimsoll {

enum class Takes : std::uint8_t {
  kValue,    // the next word, or what stands behind =
  kSwitch,   // nothing
  kPair,     // nothing, and there is --no-X
  kOptional, // the next word, where it is one of the row's values
  kList      // words up to the next flag
};
// What a flag is to a plan.
enum class FlagEffect : std::uint8_t {
  kSetting,  // a setting
  kKeys,     // a document: each of its keys is a row
  kIgnored,  // it takes no memory of a device
  kUnplanned // it takes memory, or changes what takes it, and no plan has it
};
// How its number is written.
enum class FlagUnit : std::uint8_t { kAsIs, kHuman, kGib, kMib };

struct FlagRow {
  std::vector<std::string> names; // the first one is written; keys of documents and variables have no dashes in front
  Takes takes = Takes::kValue;
  FlagEffect effect = FlagEffect::kSetting;
  FlagUnit unit = FlagUnit::kAsIs;
  std::string setting;                                     // an option of a plan, engine.KEY, or a word of settings.hpp
  std::vector<std::pair<std::string, std::string>> values; // as the engine writes them -> as the setting has them; "": as if not given
  bool repeats = false;                                    // every one counts: with commas between them
  bool only_values = false;                                // no others are known: what is not listed is not planned
  std::string because;                                     // it is ignored or not planned
  std::string from, before;                                // releases that have it; empty: all
  bool written = true;                                     // where a plan is written as a command
  std::vector<FlagRow> keys;

  std::string_view name() const { return names.front(); }
  bool is(std::string_view name) const;
};

using Assumed = std::vector<std::pair<std::string, std::string>>;

struct FlagCommand {
  std::vector<std::string> words; // "vllm", "serve"
  Assumed assumed;
};

// How it is deployed.
struct FlagDeploy {
  std::vector<std::string> command;          // that stands before the model
  std::string model_flag;                    // empty: the model is a word of its own
  std::vector<std::string> arguments;        // behind it: where it listens
  bool image_starts_it = false;              // its images run the command by themselves
  std::map<std::string, std::string> images; // maker of devices -> image, {release} in it
  std::string file_flag;                     // of a file of settings that are no flags; empty: it has none
  std::string health = "/health";
  std::uint32_t port = 8000;
  std::vector<std::string> nodes;  // arguments on every one of several machines, {nodes}, {rank} and {leader} in them; empty: it has none
  std::vector<std::string> worker; // and on all but the first
  std::string nodes_from;          // the first release that has them
};

struct FlagTable {
  std::string engine, file;
  Assumed assumed;                   // what holds where nothing is said
  std::vector<FlagCommand> commands; // how it is started
  std::vector<std::string> images;   // whose arguments are the command's
  std::vector<FlagRow> flags, environment, file_keys;
  bool file_wins = false;     // over the flags
  bool abbreviations = false; // the beginning of a long flag stands for it, where no other begins so
  FlagDeploy deploy;

  // The row of a flag as it is typed, dashes and underscores being the same behind the first two; nullptr where there is none.
  const FlagRow* find_flag(std::string_view flag) const;
  // The flag that is meant by one as it is typed, where the engine takes abbreviations; else the same again.
  std::string whole_flag(std::string_view typed) const;
  // Of the environment: a row of its own, or a further name of a flag.
  const FlagRow* find_variable(std::string_view name) const;
  // The row of a key in the engine's file: one of file_keys, else a long flag without its dashes.
  const FlagRow* find_key(std::string_view key) const;
};

// max-model-len, max_model_len -> max-model-len.
std::string dashed(std::string_view name);
const FlagRow* find_row(const std::vector<FlagRow>& rows, std::string_view name);
// Whether that release has it; an empty one is the newest.
bool in_release(const FlagRow& row, std::string_view release);

// The engines that have one.
std::vector<std::string> flag_engines(const std::string& catalogue);
// Their tables, by name. kInternal with file:line where one is wrong.
Result<std::vector<FlagTable>> read_flag_tables(const std::string& catalogue);
// Of each table what stands before its flags: engine, commands, images. A tenth of the work.
Result<std::vector<FlagTable>> read_flag_heads(const std::string& catalogue);
Result<FlagTable> read_flag_table(const std::string& catalogue, const std::string& engine);
// For tests: the text of one.
Result<FlagTable> parse_flag_table(const std::string& text, const std::string& file);

} // namespace plimsoll
