// plimsoll/options.hpp - the options of a plan by name: one table for the command line, pipeline files and JSON
// requests, so that names, limits and messages are the same wherever an option comes from.
// Hosts that read options of their own may use it too. Opens the file it is given, nothing
// else; a model is named, never loaded, here. Threads: pure functions over values.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "plimsoll/export.hpp"
#include "plimsoll/host.hpp"
#include "plimsoll/result.hpp"

namespace plimsoll {

// What an option takes, so that documents with types of their own are held to it. In JSON:
enum class OptionKind {
  kText,     // a string
  kNumber,   // a number
  kSize,     // bytes: a number, or a string with a unit, "20GiB"
  kLength,   // tokens: a number, or the string "auto" or "auto:CAP"
  kLayers,   // layers: a number, or the string "auto" or "all"
  kSwitch,   // true or false
  kTexts,    // a string, or a list of them: joined by commas
  kNumbers,  // a list of numbers, or a string of them with commas, "31,30"
  kSettings, // a string KEY=VALUE, a list of them, or an object {"KEY": VALUE}
  kDocument  // an object, handed on as its text
};

struct OptionInfo {
  std::string_view name; // "max_length"; dashes and underscores are the same
  OptionKind kind = OptionKind::kText;
  std::string_view argument = {}; // for help texts: "N", "SPEC"; a switch has none
  std::string_view help = {};     // one line
  bool repeats = false;           // may be given more than once; every value counts
};

// One option as a document gives it. `where` says in messages where it stands: "--tp", "pipeline.yaml:3", "/tp".
struct OptionValue {
  std::string name, value, where;
};

// Every option that set_option takes, in the order of the help text.
std::span<const OptionInfo> PLIMSOLL_API plan_options() noexcept;

// Sets one option of `request` from its text. Numbers are strict: "-1", "1e400", "nan" and "0x10" are bad_request,
// and so is an unknown name; `request` is then unchanged.
Result<void> PLIMSOLL_API set_option(PlanRequest& request, const OptionValue& option);

// The other way: the options that make `request` out of an empty one, in the table's order; `where` is each one's flag, "--max-length".
// Its draft and `explain` are no options of this table.
std::vector<OptionValue> PLIMSOLL_API show_options(const PlanRequest& request);
// The same as a shell takes it: "--devices 2xH100 --max-length 8192".
std::string PLIMSOLL_API options_text(const PlanRequest& request);

// The one of `known` that a misspelt name is like; empty where none is.
std::string PLIMSOLL_API nearest_name(std::string_view name, std::span<const std::string> known);

// The options of a pipeline file in file order, lists as one value per entry where the option repeats, joined by commas
// where it takes a list. A key must be one of plan_options() or of `also`, and stand once; anything else is an error that
// names file:line. YAML has no types of its own here: 8 and "8" are the same.
Result<std::vector<OptionValue>> PLIMSOLL_API read_pipeline_file(const std::string& path, std::span<const OptionInfo> also);

// The options of a JSON object, under the same rules; `where` of each is its JSON pointer. Every value must have the type
// of its option's kind ("8" is no number); null is the default.
Result<std::vector<OptionValue>> PLIMSOLL_API read_options_json(std::string_view json, std::span<const OptionInfo> also);

} // namespace plimsoll
