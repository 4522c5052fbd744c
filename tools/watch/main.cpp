// plimsoll-watch, which `plimsoll watch` starts: what a plan sets aside on each GPU beside what the driver says is used, as metrics for
// Prometheus. A program of its own, so that planning loads no web server. Takes no memory of a GPU. Threads: the server's.
#include <csignal>
#include <cstdlib>
#include <exception>
#include <fmt/format.h>
#include <fstream>
#include <iterator>
#include <new>
#include <unistd.h>

#include "metrics.hpp"
#include "planned.hpp"
#include "plimsoll/command.hpp"
#include "server.hpp"

namespace plimsoll::cli {
namespace {

constexpr std::string_view kSchema = "plimsoll.watch/1";
constexpr std::size_t kMostPlanBytes = 256U << 20U;

struct WatchAsked {
  std::string plan, metrics = ":9400", gpus, nvml = "libnvidia-ml.so.1";
  std::uint32_t first_rank = 0;
  bool once = false;
};

void add_options(CommandLine& line, WatchAsked& asked) {
  const auto option = [&](const char* name, auto& value, const char* help, const char* type) {
    line.app().add_option(name, value, help)->type_name(type)->allow_extra_args(false)->group("Watching");
  };
  option("--plan", asked.plan, "the plan, as `plimsoll plan --format json` wrote it; else MODEL and its options are planned", "FILE");
  option("--metrics", asked.metrics, "where to listen; default :9400, on this machine alone; port 0: any", "[HOST]:PORT");
  option("--gpus", asked.gpus,
         "the GPUs of the ranks, in their order: indices of nvidia-smi and UUIDs; default CUDA_VISIBLE_DEVICES, or all", "LIST");
  option("--first-rank", asked.first_rank, "the rank of the first GPU, of a plan over several machines; default 0", "N");
  option("--nvml", asked.nvml, "the driver's library; default libnvidia-ml.so.1", "FILE");
  line.app().add_flag("--once", asked.once, "print the metrics and end")->group("Watching");
}

Result<std::string> plan_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return fail(ErrorCode::kBadRequest, "the plan cannot be opened", path);
  std::string text;
  for (char chunk[65'536]; in.read(chunk, sizeof chunk) || in.gcount() > 0;) {
    text.append(chunk, static_cast<std::size_t>(in.gcount()));
    if (text.size() > kMostPlanBytes) return fail(ErrorCode::kBadRequest, "the file is larger than any plan", path);
  }
  return text;
}

// The document of the plan that is watched: a file's, or that of MODEL on the GPUs here.
Result<watch::Planned> planned(const CommandLine& line, const WatchAsked& asked, const watch::Nvml& nvml,
                               const std::vector<watch::Gpu>& gpus) {
  if (!asked.plan.empty()) {
    if (line.app().get_option("MODEL")->count() > 0 || !line.given_options().empty())
      return plimsoll::fail(ErrorCode::kBadRequest, "a plan and what to plan are given; leave out one of them", "--plan");
    PLIMSOLL_ASSIGN(const std::string text, plan_file(asked.plan));
    return watch::read_planned(text, asked.plan);
  }
  PLIMSOLL_ASSIGN(const Task task, line.task());
  PlanRequest request = task.request;
  request.advise = false;
  if (request.devices.empty() || request.devices == "auto") request.devices = watch::devices_of(nvml, gpus);
  PLIMSOLL_ASSIGN(const Plan plan, task.context.plan(task.model, request));
  return watch::read_planned(plan_to_json(plan), "the plan");
}

int run(const Arguments& arguments) {
  CommandLine line("watch", "Planned against used memory of each GPU, as metrics for Prometheus.", kSchema,
                   "Examples:\n"
                   "  plimsoll plan Qwen/Qwen3-8B --devices 2xH100 --engine vllm --format json -o plan.json\n"
                   "  plimsoll watch --plan plan.json --metrics :9400\n"
                   "  plimsoll watch Qwen/Qwen3-8B --devices auto --engine vllm --gpus 2,3\n"
                   "  plimsoll watch --plan plan.json --once\n"
                   "Ends with 0 at SIGTERM, with 2 without a GPU or a plan.");
  WatchAsked asked;
  line.add_plan_options();
  add_options(line, asked);
  line.add_context_options();
  if (const auto code = line.parse(arguments)) return *code;
  const auto address = watch::parse_address(asked.metrics);
  if (!address) return line.fail(address.error());
  if (asked.plan.empty() && line.app().get_option("MODEL")->count() == 0 && line.app().get_option("--pipeline")->count() == 0)
    return line.fail({ErrorCode::kBadRequest, "no plan; give --plan FILE, or MODEL and what it was started with", "--plan"});
  const auto nvml = watch::Nvml::open(asked.nvml);
  if (!nvml) return line.fail(nvml.error());
  const auto all = nvml->gpus();
  if (!all) return line.fail(all.error());
  const char* const visible = asked.gpus.empty() ? std::getenv("CUDA_VISIBLE_DEVICES") : nullptr;
  const auto gpus =
      watch::chosen_gpus(*nvml, *all, visible != nullptr ? visible : asked.gpus, visible != nullptr ? "CUDA_VISIBLE_DEVICES" : "--gpus");
  if (!gpus) return line.fail(gpus.error());
  const auto plan = planned(line, asked, *nvml, *gpus);
  if (!plan) return line.fail(plan.error());
  const auto watched = watch::matched(*gpus, *plan, asked.first_rank);
  if (!watched) return line.fail(watched.error());
  const Output& output = line.output();
  const auto metrics = [&] { return watch::metrics_text(*nvml, *plan, *watched); };
  if (asked.once) return output.write(metrics(), kExitFits);
  watch::Pages pages;
  pages.metrics = metrics;
  pages.healthy = [&] {
    for (const watch::Watched& one : *watched)
      if (nvml->memory(one.gpu)) return true;
    return false;
  };
  pages.listening = [&](const std::string& url) {
    if (!output.quiet) write_all(STDERR_FILENO, fmt::format("plimsoll: {} has the metrics of {} GPUs\n", url, watched->size()));
  };
  const auto served = watch::serve(*address, pages);
  return served ? kExitFits : line.fail(served.error());
}

} // namespace
} // namespace plimsoll::cli

int main(int argc, char** argv) {
  using namespace plimsoll;
  std::signal(SIGPIPE, SIG_IGN); // NOLINT: a closed connection is an errno here
  cli::Output output;
  try {
    const cli::Arguments arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
    output.format = cli::wanted_format(arguments);
    if (arguments.empty() || arguments.front() != "watch")
      return output.fail({ErrorCode::kBadRequest, "watch was expected; plimsoll starts this program", "command line"}, cli::kSchema);
    return cli::run(cli::Arguments(arguments.begin() + 1, arguments.end()));
  } catch (const std::bad_alloc&) {
    return output.fail({ErrorCode::kInternal, "out of memory", ""}, cli::kSchema);
  } catch (const std::exception& problem) {
    return output.fail({ErrorCode::kInternal, fmt::format("unexpected: {}", problem.what()), ""}, cli::kSchema);
  }
}
