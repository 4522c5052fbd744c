// What engines print: any text is a start with settings and figures, or an error with a message; any line a record or an error.
// Every figure is a number that was read somewhere.
#include "fuzz/fuzz.hpp"
#include "fuzz/plan_rules.hpp"
#include "fuzz/seed_files.hpp"

#include <cmath>
#include <sstream>

#include "compare/log_reader.hpp"
#include "compare/start_record.hpp"
#include "support/built_context.hpp"

namespace plimsoll::fuzz {
namespace {

constexpr std::size_t kRecords = 4; // lines of an input that are read as records

const std::vector<Wording>& wordings() {
  static const std::vector<Wording> kAll = read_wordings(test::built_context().catalogue_path()).value();
  return kAll;
}

void must_be_sound(const Result<EngineStart>& start) {
  if (!start) return must_speak(start.error());
  if (start->engine.empty()) std::abort();
  for (const auto& [name, printed] : start->printed)
    if (!std::isfinite(printed.value) || !std::isfinite(printed.step) || printed.step < 0 || printed.place.empty()) std::abort();
  for (const auto& [name, setting] : start->settings)
    if (name.empty() || setting.place.empty()) std::abort();
}

} // namespace

std::vector<std::string> seeds() {
  std::vector<std::string> out;
  for (const auto& file : seed_files(PLIMSOLL_TEST_DATA "/logs", ".log", 1U << 16)) out.push_back(read_seed(file));
  std::istringstream records(read_seed(PLIMSOLL_TEST_DATA "/engine_starts.jsonl"));
  for (std::string line; std::getline(records, line);)
    if (line.starts_with('{')) out.push_back(line);
  return out;
}

void fuzz_one(std::string_view input) {
  must_be_sound(read_log(input, "server.log", wordings()));
  std::istringstream lines{std::string(input)};
  std::string line;
  for (std::size_t i = 0; i < kRecords && std::getline(lines, line); ++i) must_be_sound(read_record(line, "starts.jsonl:1", wordings()));
}

} // namespace plimsoll::fuzz
