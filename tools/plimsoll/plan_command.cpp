// plimsoll plan MODEL: what each device holds, what is left, how long and how many.
#include <fmt/format.h>

#include "command.hpp"
#include "plimsoll/emit.hpp"
#include "report.hpp"

namespace plimsoll::cli {
namespace {

// A page has room for every formula and for the frontier, asked for or not; commands to paste are those of the request as it is.
Result<Plan> plan_of_a_page(const Task& task) {
  PlanRequest request = task.request;
  request.explain = true;
  PLIMSOLL_ASSIGN(Plan plan, task.context.plan(task.model, request));
  if (request.frontier) return plan;
  request.frontier = true;
  request.explain = request.advise = false;
  PLIMSOLL_ASSIGN(Plan curves, task.context.plan(task.model, request));
  plan.frontier = std::move(curves.frontier);
  return plan;
}

// The plan as what starts it, in place of the table.
int run_emit(const CommandLine& line, const Task& task, const Plan& plan, const std::string& name) {
  const auto target = emit_target_of(name);
  if (!target)
    return line.fail({ErrorCode::kBadRequest, fmt::format("'{}' is nothing to write; give command, k8s, ray or compose", name), "--emit"});
  const Output& output = line.output();
  if (output.format != Format::kTable)
    return line.fail({ErrorCode::kBadRequest, "what is written has a format of its own; leave --format out", "--emit"});
  const auto emitted = emit(task.context, task.model, task.request, plan, *target, task.carried);
  if (!emitted) return line.fail(emitted.error());
  for (const Warning& warning : plan.warnings) output.message(LogLevel::kWarning, warning.message);
  for (const std::string& unsaid : emitted->unsaid) output.message(LogLevel::kWarning, unsaid);
  return output.write(emitted->text, exit_code(plan));
}

} // namespace

int run_plan(const Arguments& arguments) {
  CommandLine line("plan", "What each device holds, what is left, how long and how many.", "plimsoll.plan/1",
                   "Examples:\n"
                   "  plimsoll plan ./Llama-3.1-8B --devices 1xH100\n"
                   "  plimsoll plan deepseek-ai/DeepSeek-V3 --devices 8xH200 --ep 8\n"
                   "  plimsoll plan model.gguf --devices 24GiB --max-length auto\n"
                   "  plimsoll plan Qwen/Qwen3-32B --devices 2xH100 --format html -o plan.html\n"
                   "  plimsoll plan --devices 2xH100 -- vllm serve Qwen/Qwen3-32B -tp 2 --max-model-len 32k\n"
                   "Exit codes: 0 it fits, 1 it does not fit, 2 wrong usage or input, 3 a plugin failed, 4 internal.");
  line.expect(arguments);
  line.add_plan_options();
  line.add_context_options();
  line.allow_markdown();
  line.allow_html();
  line.allow_engine_command();
  std::string emitted;
  line.app()
      .add_option("--emit", emitted, "what starts the plan, in place of the table: the engine's own command, or a file for a scheduler")
      ->type_name("command|k8s|ray|compose")
      ->group("Output");
  if (const auto code = line.parse(arguments)) return *code;
  const auto task = line.task();
  if (!task) return line.fail(task.error());
  auto plan = line.html() ? plan_of_a_page(*task) : task->context.plan(task->model, task->request);
  if (!plan) return line.fail(plan.error());
  plan->warnings.insert(plan->warnings.end(), task->warnings.begin(), task->warnings.end());
  if (!emitted.empty()) return run_emit(line, *task, *plan, emitted);
  const Output& output = line.output();
  const auto command = [&] { return task->context.plan_command(task->model, task->request); };
  if (line.html()) return output.write(plan_html(*plan, command()), exit_code(*plan));
  if (line.markdown()) return output.write(plan_markdown(*plan, command()), exit_code(*plan));
  if (output.format == Format::kTable) {
    const bool length_alone = output.quiet && task->request.max_length_auto; // what was asked for is no detail
    return output.write(plan_report(*plan, output.style(), output.quiet) + (length_alone ? longest_line(*plan, output.style()) : ""),
                        exit_code(*plan));
  }
  return output.write_document(plan_to_json(*plan), exit_code(*plan));
}

} // namespace plimsoll::cli
