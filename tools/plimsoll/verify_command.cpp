// plimsoll verify: plans for the GPUs of this machine, allocates the plan's KV cache, signal buffers and vision cache
// there, and says what each really took. Gives everything back. Exit 1 where the plan does not hold, 2 without a GPU. With --run the
// plan is executed, which plimsoll-run does.
#include <algorithm>

#include "command.hpp"
#include "hand_over.hpp"
#include "report.hpp"
#include "verify_line.hpp"

namespace plimsoll::cli {

int run_verify(const Arguments& arguments) {
  // Before they are parsed: what can be read once, as a pipe, is read by who needs it.
  if (std::find(arguments.begin(), arguments.end(), "--run") != arguments.end()) return hand_over("verify", arguments, kVerifySchema);
  CommandLine line("verify", kVerifyDescription, kVerifySchema, kVerifyFooter);
  VerifyAsked asked;
  add_verify_options(line, asked);
  if (const auto code = line.parse(arguments)) return *code;
  if (!asked.inject.empty() || asked.seed != 0)
    return line.fail({ErrorCode::kBadRequest, "--inject and --seed are of an execution; give --run, too", "command line"});
  const auto task = line.task();
  if (!task) return line.fail(task.error());
  const auto report = task->context.verify(task->model, task->request);
  if (!report) return line.fail(report.error());
  const Output& output = line.output();
  const int code = report->holds ? kExitFits : kExitDoesNotFit;
  if (output.format == Format::kTable) return output.write(verify_report(*report, output.style()), code);
  return output.write_document(verify_to_json(*report), code);
}

} // namespace plimsoll::cli
