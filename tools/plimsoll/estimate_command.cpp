// plimsoll estimate [FILE|-]: the estimator from explicit sizes; with --format jsonl a stream of them.
#include <cerrno>
#include <fmt/format.h>
#include <system_error>
#include <unistd.h>

#include "command.hpp"
#include "input.hpp"
#include "plimsoll/estimate_json.hpp"
#include "plimsoll/human.hpp"
#include "plimsoll/limits.hpp"
#include "report.hpp"
#include "table.hpp"

namespace plimsoll::cli {
namespace {

constexpr std::size_t kChunkBytes = 1U << 20;
constexpr std::string_view kBlanks = " \t\r\n";

std::string figure(const std::optional<std::int64_t>& value, bool bytes) {
  if (!value) return "-";
  if (bytes) return fmt::format("{} ({} bytes)", human_signed_bytes(*value), *value);
  return *value < 0 ? fmt::to_string(*value) : human_count(static_cast<std::uint64_t>(*value));
}

std::string estimate_report(const EstimateResult& result, const Style& style) {
  std::string out =
      result.fits
          ? style.paint(Paint::kGreen, "fits") + "\n"
          : paragraph(style.paint(Paint::kRed, "does not fit:") + " " + (result.error ? printable(result.error->message) : ""), style, 0);
  const auto line = [&](std::string_view title, const std::string& text) { out += fmt::format("  {:<22}{}\n", title, text); };
  line("max batch size", figure(result.max_batch_size, false));
  line("max length", figure(result.max_length, false));
  line("longest one request", figure(result.max_supported_sequence_length, false));
  line("KV cache", figure(result.kv_cache_bytes, true));
  line("KV budget", figure(result.kv_budget_bytes, true));
  line("pages per replica", figure(result.pages_per_replica, false));
  line("weights and buffers", figure(result.static_bytes, true));
  line("footprint", figure(result.footprint_bytes, true));
  line("free", figure(result.free_bytes, true));
  if (result.vision_cache)
    line("vision cache", fmt::format("{}, {} blocks", figure(result.vision_cache->bytes, true), result.vision_cache->blocks));
  std::string warnings;
  for (const WarningCode warning : result.warnings) warnings += (warnings.empty() ? "" : ", ") + std::string(warning_name(warning));
  if (!warnings.empty()) line("warnings", warnings);
  if (result.devices.empty()) return out;
  Table table({{"device", Align::kLeft, true},
               {"static", Align::kRight},
               {"vision cache", Align::kRight},
               {"KV cache", Align::kRight},
               {"unused", Align::kRight},
               {"budget", Align::kRight},
               {"free", Align::kRight}});
  for (std::size_t at = 0; at < result.devices.size(); ++at) {
    const EstimateDeviceShare& device = result.devices[at];
    table.row({device.name.empty() ? fmt::to_string(at) : printable(device.name), human_signed_bytes(device.static_bytes),
               device.vision_cache_bytes == 0 ? std::string() : human_signed_bytes(device.vision_cache_bytes),
               human_signed_bytes(device.kv_cache_bytes), human_signed_bytes(device.unused_bytes), human_signed_bytes(device.budget_bytes),
               human_signed_bytes(device.free_bytes)});
  }
  return out + "\n" + table.render(style);
}

int estimate_one(const CommandLine& line, const std::string& file) {
  const auto text = read_input(file, kMaxEstimateBytes, "a stream of requests wants --format jsonl");
  const auto failed = [&](Error error) {
    EstimateResult result;
    const int code = exit_code(error);
    if (line.output().format == Format::kTable) return line.fail(error);
    result.error = std::move(error);
    return line.output().write_document(estimate_result_json(result, Accounting::kPooled), code);
  };
  if (!text) return failed(text.error());
  const std::size_t first = text->find_first_not_of(kBlanks);
  const bool json = first != std::string::npos && ((*text)[first] == '{' || (*text)[first] == '[');
  const std::string name = file == "-" ? "standard input" : file;
  auto request = json ? parse_estimate_request(*text) : parse_estimate_request_yaml(*text, name);
  if (!request) {
    Error error = std::move(request.error());
    if (!error.where.starts_with(name)) error.where = name + (error.where.empty() ? "" : "#" + error.where);
    return failed(std::move(error));
  }
  const EstimateResult result = MemoryEstimator::estimate(*request);
  const int code = result.error ? exit_code(*result.error) : result.fits ? kExitFits : kExitDoesNotFit;
  const Output& output = line.output();
  if (output.format == Format::kTable && code == kExitUsage) return line.fail(*result.error);
  if (output.format == Format::kTable) return output.write(estimate_report(result, output.style()), code);
  return output.write_document(estimate_result_json(result, request->accounting), code);
}

// Splits what arrives into lines and answers each; what was read together is written together, so a caller that
// sends one request and waits gets its answer.
class Stream {
public:
  void take(std::string_view chunk, std::string& answers) {
    while (!chunk.empty()) {
      const std::size_t end = chunk.find('\n');
      if (end == std::string_view::npos) {
        keep(chunk);
        return;
      }
      if (rest_.empty()) {
        answer(chunk.substr(0, end), answers);
      } else {
        keep(chunk.substr(0, end));
        answer(rest_, answers);
        rest_.clear();
      }
      chunk.remove_prefix(end + 1);
    }
  }
  void finish(std::string& answers) {
    if (!rest_.empty()) answer(rest_, answers);
  }

private:
  // One byte more than a request may have: the reader then says so, and no line can exhaust the memory.
  void keep(std::string_view part) { rest_.append(part.substr(0, kMaxEstimateBytes + 1 - std::min(rest_.size(), kMaxEstimateBytes + 1))); }
  static void answer(std::string_view line, std::string& answers) {
    if (line.find_first_not_of(kBlanks) == std::string_view::npos) return;
    answers += estimate_line(line);
    answers += '\n';
  }
  std::string rest_;
};

int estimate_stream(const CommandLine& line, const std::string& file) {
  const Input input(file);
  if (!input.opened()) return line.fail(Input::failure(file));
  if (!line.output().file.empty()) return line.fail({ErrorCode::kBadRequest, "a stream goes to standard output; redirect it", "-o"});
  std::string chunk(kChunkBytes, '\0'), answers;
  Stream stream;
  while (true) {
    const ssize_t got = input.read(chunk.data(), chunk.size());
    if (got < 0) return line.fail(Input::failure(file));
    if (got == 0) stream.finish(answers);
    else stream.take(std::string_view(chunk).substr(0, static_cast<std::size_t>(got)), answers);
    const int problem = answers.empty() ? 0 : write_all(STDOUT_FILENO, answers);
    if (problem == EPIPE) return kExitFits;
    if (problem != 0) {
      line.output().message(LogLevel::kError, fmt::format("cannot write: {} (standard output)", std::generic_category().message(problem)));
      return kExitInternal;
    }
    answers.clear();
    if (got == 0) return kExitFits;
  }
}

} // namespace

int run_estimate(const Arguments& arguments) {
  CommandLine line("estimate", "The estimator alone, from explicit sizes.", "plimsoll.estimate/1",
                   "Examples:\n"
                   "  plimsoll estimate request.json\n"
                   "  plimsoll estimate --format jsonl - < requests.jsonl > results.jsonl\n"
                   "With jsonl every line is a request and gives one result line, errors included; the exit code is then 0.");
  line.allow_jsonl();
  std::string file = "-";
  line.app().add_option("FILE", file, "the request, JSON or YAML; - or nothing: standard input")->type_name("");
  if (const auto code = line.parse(arguments)) return *code;
  return line.jsonl() ? estimate_stream(line, file) : estimate_one(line, file);
}

} // namespace plimsoll::cli
