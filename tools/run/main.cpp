// plimsoll-run, which `plimsoll run` and `plimsoll verify --run` start, the command's name first: plans for this machine's memory, loads
// the model into what the plan sets aside, generates text, and says what was taken. A program of its own, so that planning loads nothing of
// the runtime. Threads: one, and the BLAS's.
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <exception>
#include <fmt/format.h>
#include <new>
#include <unistd.h>

#include "embed.hpp"
#include "host_device.hpp"
#include "plimsoll/command.hpp"
#include "plimsoll/human.hpp"
#include "plimsoll/run_line.hpp"
#include "ranks.hpp"
#include "requests.hpp"
#include "run_report.hpp"
#include "verify.hpp"

namespace plimsoll::cli {
namespace {

constexpr double kUsualImageShare = 0.1; // of the memory for caches, where nobody says
constexpr int kExitInterrupted = 130;    // as shells say of a program that Ctrl-C ended

volatile std::sig_atomic_t interrupted = 0;
extern "C" void interrupt(int) { interrupted = 1; }

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

void add_options(CommandLine& line, Asked& asked, AskedVectors& vectors) {
  CLI::App& app = line.app();
  const auto option = [&](const char* name, auto& value, const char* help, const char* type) {
    return app.add_option(name, value, help)->type_name(type)->allow_extra_args(false)->group("Generation");
  };
  option("--prompt", asked.prompts, "text to go on from; may repeat", "TEXT");
  option("--prompt-ids", asked.prompt_ids, "token ids to go on from, such as 5,9,30", "IDS");
  option("--requests", asked.requests, "a file of requests, a JSON object each line; - is standard input", "FILE.jsonl");
  option("--adapter", asked.adapter, "the adapter that prompts go through; default: none. In --requests each may have its own", "NAME");
  option("--image", asked.images, "a binary PPM in place of the prompt's next image placeholder; may repeat", "FILE.ppm");
  option("--max-new-tokens", asked.max_new_tokens, "at most so many are generated; default 96", "N");
  option("--temperature", asked.temperature, "0: the most probable token; default 0", "T");
  option("--top-k", asked.top_k, "draw from the most probable so many; 0: all", "K");
  option("--top-p", asked.top_p, "draw from the fewest that are so probable together; default 1", "P");
  option("--seed", asked.seed, "of the draws; default 0", "N");
  option("--logprobs", asked.logprobs, "log-probabilities of the best so many tokens of each place", "N");
  option("--device-backend", asked.device_backend, "what computes: cpu, or cuda for GPUs; default cpu", "NAME");
  app.add_flag("--echo", asked.echo, "the prompt too, with its log-probabilities")->group("Generation");
  app.add_flag("--ignore-end", asked.ignore_end, "go on behind tokens that end a text")->group("Generation");
  option("--embed", vectors.texts, "the vector of a text, from a model that gives vectors; may repeat", "TEXT")->group("Embedding");
  option("--embed-ids", vectors.ids, "the same of token ids, such as 2,9,30,3; may repeat", "IDS")->group("Embedding");
}

// With the rows of logits that an echo needs, and room for images.
Result<void> fill_in(const CommandLine& line, const Asked& asked, bool has_images, Processes* processes, bool on_gpus,
                     PlanRequest& request) {
  PLIMSOLL_TRY(fill_in_machine(line, request, processes, on_gpus));
  if (asked.echo && asked.logprobs > 0 && !request.engine_overrides.contains("schedule.logits"))
    request.engine_overrides["schedule.logits"] = "all";
  if (has_images && !request.vision_cache_utilization) request.vision_cache_utilization = kUsualImageShare;
  return {};
}

// "loading 45 %" on a terminal.
LoadProgress progress_bar(bool quiet) {
  if (quiet || isatty(STDERR_FILENO) == 0) return {};
  return [last = -1](std::uint64_t done, std::uint64_t total) mutable {
    const int percent = total == 0 ? 100 : static_cast<int>(done / ((total + 99) / 100));
    if (percent == last) return;
    last = percent;
    const std::string text =
        done >= total ? "\r\x1b[K" : fmt::format("\rloading {} of {}, {} %", human_bytes(done), human_bytes(total), percent);
    write_all(STDERR_FILENO, text);
  };
}

// Text as it comes, where there is one request; of several each at its end.
class Printer {
public:
  Printer(const Asked& asked, const std::vector<TextGenerationRequest>& requests, const Tokenizer* tokenizer, bool on)
      : on_(on), alone_(requests.size() == 1), tokenizer_(tokenizer) {
    if (on_ && alone_ && asked.echo) put(requests.front().prompt);
  }
  int take(const std::vector<TextGenerationOutput>& outputs) {
    if (!on_ || !alone_) return 0;
    for (const TextGenerationOutput& output : outputs) put(shown(output));
    return problem_;
  }
  int finish(const std::vector<TextGenerationOutput>& outputs) {
    if (!on_) return 0;
    if (alone_) {
      if (!outputs.front().error) put("\n");
      return problem_;
    }
    for (const TextGenerationOutput& output : outputs)
      put(fmt::format("--- request {} ({})\n{}\n", output.id,
                      output.error ? output.error->message : std::string(status_name(output.status)), shown(output)));
    return problem_;
  }

private:
  // Control characters of a model could drive the terminal; line breaks and tabs are text. Without a tokenizer the ids.
  std::string shown(const TextGenerationOutput& output) {
    std::string out;
    if (tokenizer_ == nullptr) {
      for (const Token token : output.tokens) out += fmt::format("{}{}", std::exchange(separate_, true) ? " " : "", token);
      return out;
    }
    for (const char c : output.text)
      if (static_cast<unsigned char>(c) >= 0x20 || c == '\n' || c == '\t') out += c;
    return out;
  }
  void put(std::string_view text) {
    if (problem_ == 0) problem_ = write_all(STDOUT_FILENO, text);
  }

  bool on_, alone_, separate_ = false;
  const Tokenizer* tokenizer_;
  int problem_ = 0;
};

int exit_code(const RunResult& result) {
  for (const UsageRow& row : result.usage)
    if (row.peak_bytes > row.planned_bytes) return kExitDoesNotFit;
  for (const TextGenerationOutput& output : result.outputs)
    if (output.error) return cli::exit_code(*output.error);
  return interrupted != 0 ? kExitInterrupted : kExitFits;
}

int run(const Arguments& arguments, const std::shared_ptr<Processes>& processes) {
  CommandLine line(
      "run", "Runs a model inside its plan: generates text, and says what memory it took of what was planned.", run_schema(arguments),
      "Examples:\n  plimsoll run ./model --prompt \"And the LORD said unto \"\n"
      "  plimsoll run ./model --prompt-ids 5,9,30 --max-new-tokens 32 --format json\n"
      "  plimsoll run ./embedder --embed \"In the beginning\" --format json\n"
      "Exit codes: 0 done within the plan, 1 the plan does not fit or was exceeded, 2 wrong usage or input, 3 a plugin failed,\n"
      "4 internal, 6 a rank ended before its time, 130 interrupted.");
  Asked asked;
  AskedVectors vectors;
  line.add_plan_options();
  line.add_context_options();
  add_options(line, asked, vectors);
  if (const auto code = line.parse(arguments)) return *code;
  print_on_first_rank(line, processes);
  const bool embeds = vectors.any();
  if (embeds && asked.any())
    return line.fail({ErrorCode::kBadRequest, "either texts to embed or prompts to go on from were expected", "--embed"});
  NamedImages images;
  const auto requests = embeds ? std::vector<TextGenerationRequest>() : read_requests(asked, images);
  if (!requests) return line.fail(requests.error());
  auto task = line.task();
  if (!task) return line.fail(task.error());
  const auto backend = wanted_backend(asked.device_backend, processes.get());
  if (!backend) return line.fail(backend.error());
  if (auto filled = fill_in(line, asked, !images.empty(), processes.get(), static_cast<bool>(*backend), task->request); !filled)
    return line.fail(filled.error());
  if (auto loaded = images.load(task->model.info().path); !loaded) return line.fail(loaded.error());

  const Clock::time_point begin = Clock::now();
  PipelineOptions options;
  options.load_tokenizer =
      std::any_of(requests->begin(), requests->end(), [](const TextGenerationRequest& r) { return !r.prompt.empty(); });
  options.arena_mode = usual_arena_mode(task->request); // observed: what goes beyond the plan is shown, and no error until the end
  options.progress = progress_bar(line.output().quiet);
  options.loras = task->request.loras;
  options.processes = processes;
  options.backend = *backend;
  if (embeds) return embed(line, vectors, *task, std::move(options));
  auto pipeline = TextGenerationPipeline::create(task->context, task->model, task->request, options);
  if (!pipeline) return line.fail(pipeline.error());
  const double load_seconds = seconds_since(begin);

  if (!processes) {                  // whose steps must not differ
    std::signal(SIGINT, interrupt);  // NOLINT
    std::signal(SIGTERM, interrupt); // NOLINT
  }
  const Output& output = line.output();
  const bool as_text = output.format == Format::kTable;
  Printer printer(asked, *requests, pipeline->tokenizer(), as_text);
  auto result = run_requests(*pipeline, *requests, [&](const std::vector<TextGenerationOutput>& outputs) {
    return printer.take(outputs) == 0 && interrupted == 0; // a closed pipe: nobody reads any more
  });
  if (result && processes) {
    if (auto all = usage_of_ranks(*processes, result->usage)) result->usage = std::move(*all);
    else return line.fail(all.error());
  }
  if (!result) return line.fail(result.error());
  result->times.load_seconds = load_seconds;
  const int code = exit_code(*result);
  if (!as_text) return output.write_document(run_to_json(*result), code);
  if (printer.finish(result->outputs) != 0) return code;
  if (!output.quiet) write_all(STDERR_FILENO, run_summary(*result, output.style()));
  for (const TextGenerationOutput& failed : result->outputs)
    if (failed.error && result->outputs.size() == 1) return line.fail(*failed.error);
  return code;
}

// `plimsoll-run COMMAND arguments...`
int run_command(const Arguments& arguments, const std::shared_ptr<Processes>& processes) {
  const Arguments rest(arguments.begin() + (arguments.empty() ? 0 : 1), arguments.end());
  if (!arguments.empty() && arguments.front() == "run") return run(rest, processes);
  if (!arguments.empty() && arguments.front() == "verify") return verify_by_running(rest, processes);
  Output output;
  output.format = wanted_format(arguments);
  return output.fail({ErrorCode::kBadRequest, "run or verify was expected; plimsoll starts this program", "command line"},
                     run_schema(arguments));
}

} // namespace
} // namespace plimsoll::cli

int main(int argc, char** argv) {
  using namespace plimsoll;
  std::signal(SIGPIPE, SIG_IGN); // NOLINT: a closed pipe is an errno here
  cli::Output output;
  std::string_view schema = cli::run_schema({});
  try {
    const cli::Arguments arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
    output.format = cli::wanted_format(arguments);
    schema = cli::run_schema(arguments);
    const auto command = [&](const std::shared_ptr<Processes>& processes) { return cli::run_command(arguments, processes); };
    return cli::run_as_rank(command, output, schema);
  } catch (const std::bad_alloc&) {
    return output.fail({ErrorCode::kInternal, "out of memory", ""}, schema);
  } catch (const std::exception& problem) {
    return output.fail({ErrorCode::kInternal, fmt::format("unexpected: {}", problem.what()), ""}, schema);
  }
}
