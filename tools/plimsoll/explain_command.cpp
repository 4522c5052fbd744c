// plimsoll explain MODEL: every byte with its label, formula, values and basis.
#include "command.hpp"
#include "report.hpp"

namespace plimsoll::cli {

int run_explain(const Arguments& arguments) {
  CommandLine line("explain", "Every byte of a plan: label, formula with its values, basis, planner.", "plimsoll.plan/1",
                   "Examples:\n"
                   "  plimsoll explain ./Llama-3.1-8B --devices 1xH100\n"
                   "  plimsoll explain deepseek-ai/DeepSeek-V3 --devices 8xH200 --ep 8 --format json");
  line.add_plan_options();
  line.add_context_options();
  line.allow_engine_command();
  if (const auto code = line.parse(arguments)) return *code;
  auto task = line.task();
  if (!task) return line.fail(task.error());
  task->request.explain = true;
  auto plan = task->context.plan(task->model, task->request);
  if (!plan) return line.fail(plan.error());
  plan->warnings.insert(plan->warnings.end(), task->warnings.begin(), task->warnings.end());
  const Output& output = line.output();
  if (output.format == Format::kTable) return output.write(explain_report(*plan, output.style()), exit_code(*plan));
  return output.write_document(plan_to_json(*plan), exit_code(*plan));
}

} // namespace plimsoll::cli
