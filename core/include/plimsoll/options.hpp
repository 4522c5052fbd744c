// plimsoll/options.hpp - the options of a plan by name: one table for the command line, pipeline files and JSON
// requests, so that names, limits and messages are the same wherever an option comes from.
// Called by the command line, the C API and hosts that read options of their own. Opens the file it is given, nothing
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

struct OptionInfo {
  std::string_view name;     // "max_length"; dashes and underscores are the same
  std::string_view argument; // what it takes, for help texts: "N", "SPEC"; empty: a switch, whose value is true or false
  std::string_view help;     // one line
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

// The options of a pipeline file in file order, lists as one value per entry or joined by commas where the option takes
// a list. A key must be one of plan_options() or of `also`; anything else is an error that names file:line.
Result<std::vector<OptionValue>> PLIMSOLL_API read_pipeline_file(const std::string& path, std::span<const std::string_view> also);

// The options of a JSON object, under the same rules; `where` of each is its JSON pointer. Keys of `also` are returned
// too: strings, numbers and lists of them as text, an object as its JSON text.
Result<std::vector<OptionValue>> PLIMSOLL_API read_options_json(std::string_view json, std::span<const std::string_view> also);

} // namespace plimsoll
