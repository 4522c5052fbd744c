// plimsoll plan MODEL: what each device holds, what is left, how long and how many.
#include "command.hpp"
#include "report.hpp"

namespace plimsoll::cli {

int run_plan(const Arguments& arguments) {
  CommandLine line("plan", "What each device holds, what is left, how long and how many.", "plimsoll.plan/1",
                   "Examples:\n"
                   "  plimsoll plan ./Llama-3.1-8B --devices 1xH100\n"
                   "  plimsoll plan deepseek-ai/DeepSeek-V3 --devices 8xH200 --ep 8 --engine vllm@0.10.0\n"
                   "  plimsoll plan model.gguf --devices 24GiB --engine llama.cpp --max-length auto\n"
                   "Exit codes: 0 it fits, 1 it does not fit, 2 wrong usage or input, 3 a plugin failed, 4 internal.");
  line.add_plan_options();
  line.add_context_options();
  if (const auto code = line.parse(arguments)) return *code;
  if (line.model().empty())
    return line.fail({ErrorCode::kBadRequest, "no model; give a directory, config.json, .gguf file or org/name", "MODEL"});
  const auto context = line.context();
  if (!context) return line.fail(context.error());
  const auto request = line.request(*context);
  if (!request) return line.fail(request.error());
  const auto model = context->load(line.model());
  if (!model) return line.fail(model.error());
  const auto plan = context->plan(*model, *request);
  if (!plan) return line.fail(plan.error());
  const Output& output = line.output();
  if (output.format == Format::kTable) return output.write(plan_report(*plan, output.style(), output.quiet), exit_code(*plan));
  return output.write_document(plan_to_json(*plan), exit_code(*plan));
}

} // namespace plimsoll::cli
