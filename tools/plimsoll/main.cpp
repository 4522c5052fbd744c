// The command `plimsoll`: picks the command by its name and turns whatever escapes it into an exit code.
// Uses nothing of the library but its public headers. Threads: one.
#include <array>
#include <csignal>
#include <exception>
#include <fmt/format.h>
#include <new>

#include "command.hpp"
#include "help.hpp"
#include "output.hpp"
#include "plimsoll/host.h"

namespace plimsoll::cli {
namespace {

struct Command {
  std::string_view name, summary;
  int (*run)(const Arguments&);
};
constexpr std::array<Command, 11> kCommands{{
    {"plan", "MODEL: what each device holds, what is left, how long and how many", run_plan},
    {"estimate", "[FILE|-]: the estimator alone, from explicit sizes (JSON or YAML)", run_estimate},
    {"explain", "MODEL: every byte with its formula, values and basis", run_explain},
    {"weights", "MODEL: tensor classes, stored against declared, bytes per rank", run_weights},
    {"plugins", "[list | inspect DIR | identity DIR]: the plugins that are found, and what a build needs of one", run_plugins},
    {"run", "MODEL: generates text inside the plan, and says what it took of it", run_run},
    {"verify", "MODEL [--run]: the plan really taken: on GPUs, or executed in this machine's memory", run_verify},
    {"devices", "the devices of this machine, and the catalogue", run_devices},
    {"compare", "LOG...: what a plan predicts against what an engine printed at its start", run_compare},
    {"models", "[PATTERN]: the model catalogue", run_models},
    {"new-plugin", "NAME: a project of a planner plugin, from the template", run_new_plugin},
}};

std::string help() {
  std::string out = "plimsoll: plans the memory of a language model before anything is loaded\n\n"
                    "Usage: plimsoll COMMAND [options]\n\nCommands:\n";
  for (const Command& command : kCommands) out += fmt::format("  {:<12}{}\n", command.name, command.summary);
  return out + "\nExamples:\n"
               "  plimsoll plan meta-llama/Llama-3.1-8B --devices 1xH100\n"
               "  plimsoll plan ./model --devices 8xH200 --engine vllm --format json\n"
               "  plimsoll COMMAND --help\n\n"
               "Exit codes: 0 it fits, 1 it does not fit, 2 wrong usage or input, 3 a plugin failed, 4 internal.\n";
}

int run(const Arguments& arguments) {
  Output output;
  const Arguments rest(arguments.begin() + (arguments.empty() ? 0 : 1), arguments.end());
  output.format = wanted_format(arguments);
  if (arguments.empty()) return output.fail({ErrorCode::kBadRequest, "no command; see plimsoll --help", "command line"}, "plimsoll.plan/1");
  const std::string& name = arguments.front();
  if (name == "--help" || name == "-h" || name == "help") {
    if (output.format == Format::kTable) return output.write(help(), kExitFits);
    std::vector<CommandSummary> commands;
    for (const Command& command : kCommands) commands.push_back({command.name, command.summary});
    return output.write_document(program_help_json(commands), kExitFits);
  }
  if (name == "--version") return output.write(fmt::format("plimsoll {}\n", plimsoll_version()), kExitFits);
  for (const Command& command : kCommands)
    if (command.name == name) return command.run(rest);
  return output.fail({ErrorCode::kBadRequest, fmt::format("'{}' is no command; see plimsoll --help", name), "command line"},
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
