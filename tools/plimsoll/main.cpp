// The command `plimsoll`: picks the command by its name and turns whatever escapes it into an exit code.
// Uses nothing of the library but its public headers. Threads: one.
#include <array>
#include <csignal>
#include <exception>
#include <fmt/format.h>
#include <new>
#include <optional>

#include "command.hpp"
#include "help.hpp"
#include "help_topics.hpp"
#include "output.hpp"
#include "plimsoll/host.h"

namespace plimsoll::cli {
namespace {

struct Command {
  std::string_view name, summary;
  int (*run)(const Arguments&);
};
constexpr auto kCommands = std::to_array<Command>({
    {"plan", "MODEL: what each device holds, what is left, how long and how many", run_plan},
    {"fit", "MODEL: which cards, how many of them and in which layout serve it", run_fit},
    {"estimate", "[FILE|-]: the estimator alone, from explicit sizes (JSON or YAML)", run_estimate},
    {"explain", "MODEL: every byte with its formula, values and basis", run_explain},
    {"weights", "MODEL: tensor classes, stored against declared, bytes per rank", run_weights},
    {"plugins", "[list | inspect DIR | identity DIR]: the plugins that are found, and what a build needs of one", run_plugins},
    {"run", "MODEL: generates text inside the plan, and says what it took of it", run_run},
    {"verify", "MODEL [--run]: the plan really taken: on GPUs, or executed in this machine's memory", run_verify},
    {"watch", "[MODEL | --plan FILE]: planned against used memory of this machine's GPUs, as metrics for Prometheus", run_watch},
    {"devices", "the devices of this machine, and the catalogue", run_devices},
    {"compare", "LOG...: what a plan predicts against what an engine printed at its start", run_compare},
    {"diff", "A B: two plans, requests or engines: what changed, by cause", run_diff},
    {"models", "[PATTERN]: the model catalogue", run_models},
    {"new-plugin", "NAME: a project of a planner plugin, from the template", run_new_plugin},
    {"check", "DIR: whether a planner plugin keeps the contract, rule by rule", run_check},
});

std::string help() {
  std::string out = "plimsoll: plans the memory of a language model before anything is loaded\n\n"
                    "Usage: plimsoll COMMAND [options]\n\nCommands:\n";
  for (const Command& command : kCommands) out += fmt::format("  {:<12}{}\n", command.name, command.summary);
  out += "\nMore help: plimsoll COMMAND --help, and plimsoll help TOPIC:\n";
  for (const HelpTopic& topic : help_topics()) out += fmt::format("  {:<15}{}\n", topic.name, topic.summary);
  return out + "\nExamples:\n"
               "  plimsoll plan meta-llama/Llama-3.1-8B --devices 1xH100\n"
               "  plimsoll plan ./model --devices 8xH200 --engine vllm --format json\n\n"
               "Exit codes: 0 it fits, 1 it does not fit, 2 wrong usage or input, 3 a plugin failed, 4 internal.\n";
}

// `help COMMAND` and `help TOPIC`. Nothing where `about` is neither.
std::optional<int> help_about(const Output& output, const std::string& about) {
  for (const HelpTopic& topic : help_topics())
    if (topic.name == about)
      return output.format == Format::kTable ? output.write(topic.text, kExitFits)
                                             : output.write_document(topic_help_json(topic), kExitFits);
  for (const Command& command : kCommands)
    if (command.name == about)
      return command.run(output.format == Format::kTable  ? Arguments{"--help"}
                         : output.format == Format::kJson ? Arguments{"--help", "--format", "json"}
                                                          : Arguments{"--help", "--format", "yaml"});
  return std::nullopt;
}

int run(const Arguments& arguments) {
  Output output;
  const Arguments rest(arguments.begin() + (arguments.empty() ? 0 : 1), arguments.end());
  output.format = wanted_format(arguments);
  if (arguments.empty()) return output.fail({ErrorCode::kBadRequest, "no command; see plimsoll --help", "command line"}, "plimsoll.plan/1");
  const std::string& name = arguments.front();
  if (name == "help" && !rest.empty() && !rest.front().starts_with('-')) {
    if (const auto code = help_about(output, rest.front())) return *code;
    return output.fail({ErrorCode::kBadRequest, fmt::format("no help is about '{}'; see plimsoll --help", rest.front()), "command line"},
                       "plimsoll.plan/1");
  }
  if (name == "--help" || name == "-h" || name == "help") {
    if (output.format == Format::kTable) return output.write(help(), kExitFits);
    std::vector<CommandSummary> commands;
    for (const Command& command : kCommands) commands.push_back({command.name, command.summary});
    return output.write_document(program_help_json(commands, help_topics()), kExitFits);
  }
  if (name == "--version" || name == "-V" || name == "version")
    return output.write(fmt::format("plimsoll {}\n", plimsoll_version()), kExitFits);
  for (const Command& command : kCommands)
    if (command.name == name) return command.run(rest);
  std::vector<std::string> names;
  for (const Command& command : kCommands) names.emplace_back(command.name);
  const std::string close = nearest_name(name, names);
  return output.fail({ErrorCode::kBadRequest,
                      fmt::format("'{}' is no command; {}see plimsoll --help", name, close.empty() ? "" : "did you mean " + close + "? "),
                      "command line"},
                     "plimsoll.plan/1");
}

} // namespace
} // namespace plimsoll::cli

int main(int argc, char** argv) {
  using namespace plimsoll;
  std::signal(SIGPIPE, SIG_IGN); // NOLINT: a closed pipe is an errno here
  std::signal(SIGXFSZ, SIG_IGN); // NOLINT: and so is a limit on the size of files
  cli::Output output;
  try {
    const cli::Arguments arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
    output.format = cli::wanted_format(arguments);
    return cli::run(arguments);
  } catch (const std::bad_alloc&) {
    return output.fail({ErrorCode::kInternal, "out of memory", ""}, "plimsoll.plan/1");
  } catch (const std::exception& problem) {
    return output.fail({ErrorCode::kInternal, fmt::format("unexpected: {}", problem.what()), ""}, "plimsoll.plan/1");
  }
}
