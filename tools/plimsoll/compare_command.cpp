// plimsoll compare LOG...: what a plan predicts against what an engine printed at its start.
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <fmt/format.h>
#include <memory>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <system_error>

#include "command.hpp"
#include "compare_report.hpp"
#include "log_reader.hpp"
#include "start_record.hpp"

namespace plimsoll::cli {
namespace {

constexpr std::size_t kMostLogBytes = 16U << 20; // a start prints far less; the rest of a long log is not read

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
  while (text.size() < kMostLogBytes) {
    const std::size_t got = std::fread(chunk.data(), 1, std::min(chunk.size(), kMostLogBytes - text.size()), file.get());
    if (got == 0) break;
    text.append(chunk, 0, got);
  }
  if (std::ferror(file.get()) != 0) return fail(ErrorCode::kBadRequest, "cannot be read to its end", path);
  return text;
}

Result<std::optional<double>> tolerance_of(const std::string& text) {
  if (text.empty()) return std::nullopt;
  double value = 0;
  const auto [stop, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (status != std::errc() || stop != text.data() + text.size() || !(value >= 0 && value <= 1))
    return fail(ErrorCode::kBadRequest, fmt::format("'{}' is not a fraction from 0 to 1, such as 0.05", text.substr(0, 60)), "--tolerance");
  return value;
}

Result<std::map<std::string, std::string>> model_keys(const Context& context) {
  std::map<std::string, std::string> out;
  PLIMSOLL_ASSIGN(const std::vector<CatalogueDocument> documents, context.catalogue_documents("records"));
  for (const CatalogueDocument& document : documents) {
    const nlohmann::json root = nlohmann::json::parse(document.json, nullptr, false);
    if (!root.is_object() || root.value("schema", "") != "plimsoll.model_keys/1" || !root.contains("models") || !root["models"].is_object())
      return fail(ErrorCode::kInternal, "schema or models is missing or malformed", document.file);
    for (const auto& [key, name] : root["models"].items())
      if (name.is_string()) out.emplace(key, name.get<std::string>());
  }
  return out;
}

class Files {
public:
  Files(const std::vector<Wording>& wordings, Comparer& comparer) : wordings_(wordings), comparer_(comparer) {}

  Result<void> take(const std::string& path) {
    PLIMSOLL_ASSIGN(const std::string text, read_start(path));
    if (!path.ends_with(".jsonl")) {
      PLIMSOLL_ASSIGN(const EngineStart start, read_log(text, path, wordings_));
      starts_.push_back(comparer_.compare(start));
      return {};
    }
    many_ = true;
    std::string_view rest = text;
    for (std::size_t number = 1; !rest.empty(); ++number) {
      const std::size_t end = std::min(rest.find('\n'), rest.size());
      const std::string_view line = rest.substr(0, end);
      rest.remove_prefix(std::min(end + 1, rest.size()));
      if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
      PLIMSOLL_ASSIGN(const EngineStart start, read_record(line, fmt::format("{}:{}", path, number), wordings_));
      starts_.push_back(comparer_.compare(start));
    }
    return {};
  }
  const std::vector<Comparison>& starts() const { return starts_; }
  bool many() const { return many_; }

private:
  const std::vector<Wording>& wordings_;
  Comparer& comparer_;
  std::vector<Comparison> starts_;
  bool many_ = false;
};

int code_of(const std::vector<Comparison>& starts) {
  switch (outcome_of(starts)) {
  case Outcome::kWithin: return kExitFits;
  case Outcome::kBeyond: return kExitDoesNotFit;
  case Outcome::kSkipped: return kExitUsage;
  case Outcome::kError: break;
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
                   "  plimsoll compare starts.jsonl --format markdown -o ACCURACY.md\n"
                   "The configuration is the printed one; options win over it. KV figures must lie inside the printed rounding,\n"
                   "weights within 3 %, available KV memory within 8 %.\n"
                   "Exit codes: 0 within, 1 beyond, 2 wrong usage or input, 3 a plugin failed, 4 internal.");
  std::vector<std::string> paths;
  std::string model, tolerance;
  line.app().add_option("LOG", paths, "start-up logs as text, or .jsonl files with a start a line; - for standard input")->type_name("");
  line.app().add_option("--model", model, "instead of the printed model")->type_name("MODEL");
  line.app()
      .add_option("--tolerance", tolerance, "allowed deviation of every judged figure, 0 to 1, instead of the usual ones")
      ->type_name("F");
  line.add_request_options();
  line.add_context_options();
  line.allow_markdown();
  if (const auto code = line.parse(arguments)) return *code;
  if (paths.empty()) return line.fail({ErrorCode::kBadRequest, "no log; give one or more files", "LOG"});
  CompareOptions options;
  options.model = model;
  options.options = line.given_options();
  auto by = tolerance_of(tolerance);
  if (!by) return line.fail(by.error());
  options.tolerance = *by;
  const auto context = line.context();
  if (!context) return line.fail(context.error());
  auto keys = model_keys(*context);
  if (!keys) return line.fail(keys.error());
  options.model_keys = std::move(*keys);
  const auto documents = context->catalogue_documents("logs");
  if (!documents) return line.fail(documents.error());
  std::vector<Wording> wordings;
  for (const CatalogueDocument& document : *documents) {
    auto wording = read_wording(document.json, document.file);
    if (!wording) return line.fail(wording.error());
    wordings.push_back(std::move(*wording));
  }
  Comparer comparer(*context, wordings, std::move(options));
  Files files(wordings, comparer);
  for (const std::string& path : paths)
    if (auto taken = files.take(path); !taken) return line.fail(taken.error());
  const Output& output = line.output();
  const int code = code_of(files.starts());
  if (line.markdown()) return output.write(compare_markdown(files.starts()), code);
  if (output.format == Format::kTable) return output.write(compare_report(files.starts(), output.style(), output.quiet), code);
  return output.write_document(compare_to_json(files.starts(), files.many()), code);
}

} // namespace plimsoll::cli
