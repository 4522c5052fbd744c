// plimsoll check DIR: whether a planner plugin keeps the contract of plimsoll/abi.h, and whether its figures are right.
#include <algorithm>
#include <fmt/format.h>

#include "command.hpp"
#include "plimsoll/check.hpp"
#include "terminal.hpp"

namespace plimsoll::cli {
namespace {

constexpr std::string_view kCheckSchema = "plimsoll.check/1";

std::string case_lines(const CheckCase& one) {
  std::string out = fmt::format("{:<5} {:<8} {}\n", check_status_name(one.status), one.rule, one.title);
  if (!one.detail.empty()) out += fmt::format("      {}\n", one.detail);
  if (!one.input.empty() && one.status != CheckStatus::kPass) out += fmt::format("      of: {}\n", one.input);
  if (!one.repro.empty()) out += fmt::format("      again: {}\n", one.repro);
  return out;
}

std::string summary(const CheckReport& report) {
  const auto count = [&](auto wanted) { return std::count_if(report.cases.begin(), report.cases.end(), wanted); };
  return fmt::format("{}: {} rules: {} kept, {} broken, {} warnings, {} not asked\n", report.plugin, report.cases.size(),
                     count([](const CheckCase& one) { return one.status == CheckStatus::kPass; }),
                     count([](const CheckCase& one) { return is_failure(one.status); }),
                     count([](const CheckCase& one) { return one.status == CheckStatus::kWarn; }),
                     count([](const CheckCase& one) { return one.status == CheckStatus::kSkip; }));
}

std::string table_of(const CheckReport& report, const Output& output) {
  if (output.quiet) return summary(report);
  std::string out;
  for (const std::string& input : report.inputs) out += fmt::format("with {}\n", input);
  for (const CheckCase& one : report.cases)
    if (output.verbose || (one.status != CheckStatus::kPass && one.status != CheckStatus::kSkip)) out += case_lines(one);
  return out + summary(report);
}

std::string rules_table() {
  std::string out = "rule     level  what is required\n";
  for (const CheckRule& rule : check_rules()) out += fmt::format("{:<8} {:<6} {}. {}\n", rule.id, rule.level, rule.title, rule.requirement);
  return out;
}

// The document beside the report, where a file is named for it. An exit code where it cannot be written.
int write_beside(Output output, const std::string& file, const std::string& text) {
  output.file = file;
  return output.write(text, kExitFits);
}

} // namespace

int run_check(const Arguments& arguments) {
  CommandLine line("check", "Whether a planner plugin keeps the contract, rule by rule, each in a process of its own.", kCheckSchema,
                   "Examples:\n"
                   "  plimsoll check build/lib/plimsoll/plugins/com.acme.vlm --model tests/config.json\n"
                   "  plimsoll check com.acme.vlm --model config.json --params 8621957104 --headers model.safetensors.index.json\n"
                   "  plimsoll check com.acme.vlm --only '^P-' --json=check.json --junit check.xml\n"
                   "  plimsoll check --list\n\n"
                   "Exit codes: 0 it conforms, 1 a rule is broken, 2 wrong usage, 3 it cannot be loaded, 4 the check itself failed.");
  std::string directory, json, junit;
  CheckOptions options;
  bool list = false, strict = false;
  std::uint64_t seed = 0, parameters = 0;
  double seconds = 10;
  CLI::App& app = line.app();
  app.add_option("DIR", directory, "the plugin's folder")->type_name("");
  app.add_option("--level", options.level, "1 the ABI, 2 the model too (default), 3 mutations and injected faults too")->type_name("1|2|3");
  app.add_option("--model", options.models, "a config.json to check with, or a name of the catalogue; may repeat; default: those found")
      ->type_name("MODEL")
      ->allow_extra_args(false);
  CLI::Option* const params = app.add_option("--params", parameters, "what is published of the first model's parameters")->type_name("N");
  app.add_option("--headers", options.headers, "what is stored of it: a .safetensors file, an index, or a folder")->type_name("PATH");
  app.add_option("--only", options.only, "only rules whose number this expression finds, whatever their level")->type_name("REGEX");
  app.add_option("--skip", options.skip, "not those that this one finds")->type_name("REGEX");
  CLI::Option* const seeded = app.add_option("--seed", seed, "of what is random; default 1")->type_name("N");
  app.add_option("--timeout", seconds, "for each step of a case; default 10")->type_name("SECONDS");
  app.add_flag("--strict", strict, "warnings are failures");
  app.add_flag("--list", list, "the rules, and nothing else");
  app.add_flag("--json", json, "the document in place of the table, or --json=FILE beside it");
  app.add_option("--junit", junit, "the report as JUnit's XML, beside the table")->type_name("FILE");
  if (const auto code = line.parse(arguments)) return *code;
  const Output& given = line.output();
  if (list)
    return given.format == Format::kTable && json.empty() ? given.write(rules_table(), kExitFits)
                                                          : given.write_document(check_rules_to_json(), kExitFits);
  if (directory.empty()) return line.fail({ErrorCode::kBadRequest, "no folder; give a plugin's", "DIR"});
  if (!(seconds >= 0.1 && seconds <= 3600)) return line.fail({ErrorCode::kBadRequest, "0.1 to 3600 seconds are possible", "--timeout"});
  options.deadline = std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000));
  if (params->count() > 0) options.parameters = parameters;
  if (seeded->count() > 0) options.seed = seed;
  const auto report = check_plugin(directory, options);
  if (!report) return line.fail(report.error());

  const int code = check_exit_code(*report, strict);
  const bool document = json == "true" || json == "1";
  if (!json.empty() && !document)
    if (const int failed = write_beside(given, json, check_to_json(*report) + "\n"); failed != kExitFits) return failed;
  if (!junit.empty())
    if (const int failed = write_beside(given, junit, check_to_junit(*report)); failed != kExitFits) return failed;
  Output output = given;
  if (document && output.format == Format::kTable) output.format = Format::kJson;
  if (output.format != Format::kTable) return output.write_document(check_to_json(*report), code);
  return output.write(table_of(*report, output), code);
}

} // namespace plimsoll::cli
