// plimsoll weights MODEL: tensor classes, stored against declared, bytes per rank.
#include "command.hpp"
#include "option_groups.hpp"
#include "report.hpp"

namespace plimsoll::cli {

int run_weights(const Arguments& arguments) {
  CommandLine line("weights", "Tensor classes, stored against declared, bytes per rank.", "plimsoll.weights/1",
                   "Examples:\n"
                   "  plimsoll weights ./Llama-3.1-8B\n"
                   "  plimsoll weights deepseek-ai/DeepSeek-V3 --devices 8xH200 --ep 8 --format json");
  line.add_plan_options();
  line.show_only(options_of_weights());
  line.add_context_options();
  if (const auto code = line.parse(arguments)) return *code;
  const auto task = line.task();
  if (!task) return line.fail(task.error());
  const auto report = task->context.weights(task->model, task->request);
  if (!report) return line.fail(report.error());
  const Output& output = line.output();
  if (output.format == Format::kTable) return output.write(weights_report(*report, output.style()), kExitFits);
  return output.write_document(weights_to_json(*report), kExitFits);
}

} // namespace plimsoll::cli
