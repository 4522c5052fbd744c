// plimsoll fit MODEL: which cards, how many of them and in which layout serve it.
#include "plimsoll/fit.hpp"

#include <array>
#include <charconv>
#include <fmt/format.h>

#include "command.hpp"
#include "fit_report.hpp"
#include "progress.hpp"

namespace plimsoll::cli {
namespace {

// What is found, and what only one plan has.
constexpr std::array<std::string_view, 5> kLeftOut{"devices", "layout", "frontier", "frontier_kv_dtypes", "tensor_split"};
constexpr std::array<OtherName, 2> kOtherNames{{{"max_length", "length"}, {"max_batch_size", "concurrency"}}};

struct FitOptions {
  std::string on, max_devices, demand, prices;
  bool all = false;
};

void add_fit_options(CLI::App& app, FitOptions& options) {
  app.add_option("--on", options.on, "cards to try, or sizes as 80GiB; default: every GPU of the catalogue")->type_name("CARD,CARD,...");
  app.add_option("--max-devices", options.max_devices, fmt::format("of each card; default 8, at most {}", kMaxFitDevices))->type_name("N");
  app.add_option("--for", options.demand,
                 "requests that must be held at once, as 64x8K,4x128K; instead of --length L --concurrency N, which is one kind of them")
      ->type_name("NxL,NxL,...");
  app.add_option("--prices", options.prices, "YAML file of prices for an hour of one card, as `H100: 2.49` a line")->type_name("FILE");
  app.add_flag("--all", options.all, "every number of devices in every layout that serves, and not only the best of each card");
}

// Names with commas between them.
std::vector<std::string> cards_of(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    std::string_view card = text.substr(0, comma);
    while (card.starts_with(' ')) card.remove_prefix(1);
    while (card.ends_with(' ')) card.remove_suffix(1);
    out.emplace_back(card);
    text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
  }
  return out;
}

Result<std::uint32_t> max_devices_of(const std::string& text) {
  std::uint32_t value = FitRequest{}.max_devices;
  if (text.empty()) return value;
  const auto [stop, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (status != std::errc() || stop != text.data() + text.size() || value < 1 || value > kMaxFitDevices)
    return fail(ErrorCode::kBadRequest,
                fmt::format("'{}' is not a whole number from 1 to {}", printable(text.substr(0, 60)), kMaxFitDevices), "--max-devices");
  return value;
}

Result<FitRequest> fit_request(const FitOptions& options) {
  FitRequest out;
  out.on = cards_of(options.on);
  out.all = options.all;
  PLIMSOLL_ASSIGN(out.max_devices, max_devices_of(options.max_devices));
  if (!options.demand.empty()) {
    PLIMSOLL_ASSIGN(out.demand, read_demand(options.demand, "--for"));
  }
  if (!options.prices.empty()) {
    PLIMSOLL_ASSIGN(out.prices, read_prices(options.prices));
  }
  return out;
}

} // namespace

int run_fit(const Arguments& arguments) {
  CommandLine line(
      "fit", "Which cards, how many of them and in which layout serve a model.", "plimsoll.fit/1",
      "Examples:\n"
      "  plimsoll fit meta-llama/Llama-3.3-70B-Instruct --length 32768 --concurrency 16 --engine vllm\n"
      "  plimsoll fit deepseek-ai/DeepSeek-V3 --for 64x8K,4x128K --on H100,H200,B200 --max-devices 32 --prices prices.yaml\n"
      "  plimsoll fit Qwen/Qwen3-32B --on L40S,48GiB --length 16384 --tp 2 --all --format json\n"
      "Every row is a plan that was made: of each card the fewest that serve, fewest devices first, then the lower price, then\n"
      "more headroom, which is what the fullest device needs for nothing of what was asked for. A card with a price is left out\n"
      "where another one is as good in all of that; --all shows everything. Degrees that are given are kept; --nodes N tries whole\n"
      "nodes. Without a length requests are as long as the model allows.\n"
      "Exit codes: 0 something serves it, 1 nothing does, 2 wrong usage or input, 3 a plugin failed, 4 internal.");
  FitOptions options;
  line.add_plan_options({kLeftOut, kOtherNames});
  add_fit_options(line.app(), options);
  line.add_context_options();
  if (const auto code = line.parse(arguments)) return *code;
  auto asked = fit_request(options);
  if (!asked) return line.fail(asked.error());
  auto task = line.task();
  if (!task) return line.fail(task.error());
  asked->request = std::move(task->request);
  const Output& output = line.output();
  Progress progress(output);
  asked->progress = [&progress](std::uint64_t done, std::uint64_t of) { progress.show(done, of); };
  const auto report = fit(task->context, task->model, *asked);
  progress.clear();
  if (!report) return line.fail(report.error());
  const int code = report->rows.empty() ? kExitDoesNotFit : kExitFits;
  if (output.format == Format::kTable) return output.write(fit_report(*report, output.style(), output.quiet), code);
  return output.write_document(fit_to_json(*report), code);
}

} // namespace plimsoll::cli
