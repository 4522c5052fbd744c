// plimsoll plan MODEL: what each device holds, what is left, how long and how many.
#include "command.hpp"
#include "report.hpp"

namespace plimsoll::cli {

int run_plan(const Arguments& arguments) {
  CommandLine line("plan", "What each device holds, what is left, how long and how many.", "plimsoll.plan/1",
                   "Examples:\n"
                   "  plimsoll plan ./Llama-3.1-8B --devices 1xH100\n"
                   "  plimsoll plan deepseek-ai/DeepSeek-V3 --devices 8xH200 --ep 8\n"
                   "  plimsoll plan model.gguf --devices 24GiB --max-length auto\n"
                   "Exit codes: 0 it fits, 1 it does not fit, 2 wrong usage or input, 3 a plugin failed, 4 internal.");
  line.add_plan_options();
  line.add_context_options();
  if (const auto code = line.parse(arguments)) return *code;
  const auto task = line.task();
  if (!task) return line.fail(task.error());
  const auto plan = task->context.plan(task->model, task->request);
  if (!plan) return line.fail(plan.error());
  const Output& output = line.output();
  if (output.format == Format::kTable) return output.write(plan_report(*plan, output.style(), output.quiet), exit_code(*plan));
  return output.write_document(plan_to_json(*plan), exit_code(*plan));
}

} // namespace plimsoll::cli
