// plimsoll compare LOG...: what a plan predicts against what an engine printed at its start.
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <fmt/format.h>
#include <iterator>
#include <memory>
#include <sys/stat.h>
#include <system_error>

#include "command.hpp"
#include "compare_report.hpp"
#include "report.hpp"

namespace plimsoll::cli {
namespace {

struct Close {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

Result<std::string> read_start(const std::string& path) {
  struct stat status {};
  const std::unique_ptr<std::FILE, Close> file(path == "-" ? fdopen(dup(STDIN_FILENO), "r") : std::fopen(path.c_str(), "re"));
  if (file == nullptr || fstat(fileno(file.get()), &status) != 0)
    return fail(ErrorCode::kBadRequest, fmt::format("cannot read: {}", std::generic_category().message(errno)), path);
  if (S_ISDIR(status.st_mode)) return fail(ErrorCode::kBadRequest, "is a folder; give a log or a .jsonl file of records", path);
  std::string text, chunk(1U << 16, '\0');
  while (text.size() < kMaxLogBytes) {
    const std::size_t got = std::fread(chunk.data(), 1, std::min(chunk.size(), kMaxLogBytes - text.size()), file.get());
    if (got == 0) break;
    text.append(chunk, 0, got);
  }
  if (std::ferror(file.get()) != 0) return fail(ErrorCode::kBadRequest, "cannot be read to its end", path);
  return text;
}

bool has_records(const std::string& path) { return path.ends_with(".jsonl"); }

Result<std::optional<double>> tolerance_of(const std::string& text) {
  if (text.empty()) return std::nullopt;
  double value = 0;
  const auto [stop, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (status != std::errc() || stop != text.data() + text.size() || !(value >= 0 && value <= 1))
    return fail(ErrorCode::kBadRequest, fmt::format("'{}' is not a fraction from 0 to 1, such as 0.05", text.substr(0, 60)), "--tolerance");
  return value;
}

Result<std::vector<EngineStart>> starts_of(const Context& context, const std::vector<std::string>& paths) {
  std::vector<EngineStart> out;
  for (const std::string& path : paths) {
    PLIMSOLL_ASSIGN(std::string text, read_start(path));
    PLIMSOLL_ASSIGN(std::vector<EngineStart> starts, read_starts(context, {path, std::move(text), has_records(path)}));
    std::move(starts.begin(), starts.end(), std::back_inserter(out));
  }
  return out;
}

// What the one start measured, as a profile for --engine.
Result<void> save_profile(const Context& context, const std::vector<EngineStart>& starts, const CompareRequest& request,
                          const std::string& file) {
  if (starts.size() != 1)
    return fail(ErrorCode::kBadRequest, fmt::format("a profile is of one start, and {} were given", starts.size()), "--save-profile");
  PLIMSOLL_ASSIGN(const std::string json, measured_profile(context, starts.front(), request));
  PLIMSOLL_ASSIGN(const std::string yaml, document_to_yaml(json));
  const std::string head =
      fmt::format("# What one start measured ({}), in place of estimates. Written by `plimsoll compare --save-profile`.\n",
                  printable(starts.front().id));
  return write_whole_file(file, head + yaml, "--save-profile");
}

int code_of(const std::vector<Comparison>& starts) {
  switch (compare_verdict(starts)) {
  case CompareVerdict::kWithin: return kExitFits;
  case CompareVerdict::kBeyond: return kExitDoesNotFit;
  case CompareVerdict::kNothingJudged: return kExitUsage;
  case CompareVerdict::kError: break;
  }
  int worst = kExitUsage;
  for (const Comparison& start : starts)
    if (start.error) worst = std::max(worst, exit_code(*start.error));
  return worst;
}

} // namespace

int run_compare(const Arguments& arguments) {
  CommandLine line("compare", "What a plan predicts against what an engine printed at its start, line by line.", "plimsoll.compare/1",
                   "Examples:\n"
                   "  plimsoll compare vllm.log\n"
                   "  plimsoll compare server.log --model meta-llama/Llama-3.1-8B --devices 2xH100\n"
                   "  plimsoll compare server.log --save-profile measured.yaml; plimsoll plan MODEL --engine measured.yaml\n"
                   "  plimsoll compare starts.jsonl --format markdown -o ACCURACY.md\n"
                   "The configuration is the printed one; options win over it. Weights must lie within 3 %, memory for the KV cache\n"
                   "within 8 %, needs inside the printed rounding. What follows from other printed figures is only consistent with them;\n"
                   "what lacks the device, the fraction or a release's defaults is only shown, with the reason.\n"
                   "Exit codes: 0 within, 1 beyond, 2 nothing was judged, or wrong usage or input, 3 a plugin failed, 4 internal.");
  std::vector<std::string> paths;
  std::string model, tolerance, profile;
  line.app().add_option("LOG", paths, "start-up logs as text, or .jsonl files with a start a line; - for standard input")->type_name("");
  line.app().add_option("--model", model, "instead of the printed model")->type_name("MODEL");
  line.app()
      .add_option("--tolerance", tolerance, "allowed deviation of every judged figure, 0 to 1, instead of the usual ones")
      ->type_name("F");
  line.app()
      .add_option("--save-profile", profile, "write what the log measured as an engine profile, for --engine FILE of a plan")
      ->type_name("FILE");
  line.add_request_options();
  line.add_context_options();
  line.allow_markdown();
  if (const auto code = line.parse(arguments)) return *code;
  if (paths.empty()) return line.fail({ErrorCode::kBadRequest, "no log; give one or more files", "LOG"});
  CompareRequest request;
  request.model = model.empty() ? line.model() : model; // of the pipeline file
  request.options = line.given_options();
  auto by = tolerance_of(tolerance);
  if (!by) return line.fail(by.error());
  request.tolerance = *by;
  const auto context = line.context();
  if (!context) return line.fail(context.error());
  const auto starts = starts_of(*context, paths);
  if (!starts) return line.fail(starts.error());
  const auto comparisons = compare_starts(*context, *starts, request);
  if (!comparisons) return line.fail(comparisons.error());
  if (!profile.empty())
    if (const auto saved = save_profile(*context, *starts, request, profile); !saved) return line.fail(saved.error());
  const Output& output = line.output();
  const int code = code_of(*comparisons);
  if (line.markdown()) return output.write(compare_markdown(*comparisons), code);
  if (output.format == Format::kTable) return output.write(compare_report(*comparisons, output.style(), output.quiet), code);
  const bool many = std::any_of(paths.begin(), paths.end(), has_records);
  return output.write_document(compare_to_json(*comparisons, many), code);
}

} // namespace plimsoll::cli
