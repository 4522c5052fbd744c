// plimsoll verify: plans for the GPUs of this machine, allocates the plan's KV cache, signal buffers and vision cache
// there, and says what each really took. Gives everything back. Exit 1 where the plan does not hold, 2 without a GPU.
#include "command.hpp"
#include "report.hpp"

namespace plimsoll::cli {

int run_verify(const Arguments& arguments) {
  CommandLine line("verify", "Allocates what a plan says on this machine's GPUs, compares, and gives it back.", "plimsoll.verify/1",
                   "Example:\n  plimsoll verify meta-llama/Llama-3.1-8B --kv-cache-bytes 20GiB\n"
                   "Exit codes: 0 it holds, 1 it does not, 2 wrong usage or no GPU, 3 a plugin failed, 4 internal.");
  line.add_plan_options();
  line.add_context_options();
  if (const auto code = line.parse(arguments)) return *code;
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
