#include "verify.hpp"

#include <algorithm>
#include <cstdlib>
#include <fmt/format.h>
#include <unistd.h>

#include "host_device.hpp"
#include "plimsoll/verify_line.hpp"
#include "plimsoll/verify_run.hpp"
#include "ranks.hpp"
#include "verify_run_report.hpp"

namespace plimsoll::cli {
namespace {

// "computing 45 %" on a terminal.
auto verify_progress(bool quiet) -> decltype(VerifyRunOptions::progress) {
  if (quiet || isatty(STDERR_FILENO) == 0) return {};
  return [last = std::string()](std::string_view what, std::uint64_t done, std::uint64_t total) mutable {
    const std::uint64_t percent = total == 0 ? 100 : done / ((total + 99) / 100);
    const std::string text = done >= total ? "\r\x1b[K" : fmt::format("\r\x1b[K{}, {} %", what, percent);
    if (text == last) return;
    last = text;
    write_all(STDERR_FILENO, text);
  };
}

// Of a model that states none, where the command does not say it either: what is planned for such a one, 131,072 tokens, takes hours here.
constexpr std::uint64_t kUnknownLengthTokens = 1024;

// The longest request that is verified, with a line that says so where it is this bound.
Result<void> bound_length(const Task& task, const Output& output, PlanRequest& request) {
  if (request.max_length) return {};
  PLIMSOLL_ASSIGN(const Plan plan, task.context.plan(task.model, request));
  const auto unknown = [](const Warning& warning) { return warning.code == WarningCode::kMaxLengthUnknown; };
  if (std::none_of(plan.warnings.begin(), plan.warnings.end(), unknown)) return {};
  request.max_length = std::min<std::uint64_t>(plan.limits.max_length, kUnknownLengthTokens);
  if (!output.quiet)
    write_all(STDERR_FILENO, fmt::format("plimsoll: note: the configuration does not say how long a request may be; requests of {} tokens "
                                         "are verified, give --max-length for others\n",
                                         *request.max_length));
  return {};
}

} // namespace

int verify_by_running(const Arguments& arguments, const std::shared_ptr<Processes>& processes) {
  CommandLine line("verify", kVerifyDescription, kVerifySchema, kVerifyFooter);
  VerifyAsked asked;
  add_verify_options(line, asked);
  if (const auto code = line.parse(arguments)) return *code;
  print_on_first_rank(line, processes);
  const std::optional<Fault> fault = asked.inject.empty() ? Fault::kNone : find_fault(asked.inject);
  if (!fault)
    return line.fail(
        {ErrorCode::kBadRequest, fmt::format("'{}' is no fault; give oversize, leak or double", asked.inject.substr(0, 64)), "--inject"});
  auto task = line.task();
  if (!task) return line.fail(task.error());
  const auto backend = wanted_backend(asked.device_backend, processes.get());
  if (!backend) return line.fail(backend.error());
  if (auto filled = fill_in_machine(line, task->request, processes.get(), static_cast<bool>(*backend)); !filled)
    return line.fail(filled.error());
  if (auto bound = bound_length(*task, line.output(), task->request); !bound) return line.fail(bound.error());

  VerifyRunOptions options;
  options.seed = asked.seed;
  options.inject = *fault;
  if (const auto memory = host_memory_figures()) options.available_bytes = memory->free_bytes;
  if (processes) { // what the first of them finds, so that all decide alike
    auto of_all = processes->gather(fmt::format("{}", options.available_bytes.value_or(0)));
    if (!of_all) return line.fail(of_all.error());
    options.available_bytes = std::strtoull(of_all->front().c_str(), nullptr, 10);
    if (*options.available_bytes == 0) options.available_bytes.reset();
  }
  options.progress = verify_progress(line.output().quiet);
  options.processes = processes;
  options.backend = *backend;
  const auto report = verify_run(task->context, task->model, task->request, options);
  if (!report) return line.fail(report.error());
  const Output& output = line.output();
  const int code = report->verdict == RunVerdict::kWithinPlan ? kExitFits : kExitDoesNotFit;
  if (output.format != Format::kTable) return output.write_document(verify_run_to_json(*report), code);
  if (report->error) return line.fail(*report->error);
  return output.write(verify_run_report(*report, output.style(), output.quiet), code);
}

} // namespace plimsoll::cli
