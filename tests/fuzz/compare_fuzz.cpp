// What engines print: any text is a start with settings and figures that can be compared with a plan, or an error with a message; any
// line a record or an error; any YAML a list of wordings or an error. Every figure is a number that was read somewhere.
#include "fuzz/fuzz.hpp"
#include "fuzz/plan_rules.hpp"
#include "fuzz/seed_files.hpp"

#include <cmath>
#include <sstream>

#include "compare/log_wording.hpp"
#include "plimsoll/compare.hpp"
#include "support/built_context.hpp"
#include "support/sparse_checkpoint.hpp"

namespace plimsoll::fuzz {
namespace {

constexpr std::size_t kCompared = 2; // starts of an input that are planned

void must_be_sound(const EngineStart& start) {
  if (start.engine.empty() || start.place.empty()) std::abort();
  for (const auto& [name, printed] : start.printed)
    if (!std::isfinite(printed.value) || !std::isfinite(printed.step) || printed.step < 0 || printed.place.empty()) std::abort();
  for (const auto& [name, setting] : start.settings)
    if (name.empty() || setting.place.empty()) std::abort();
}

void compare(const EngineLog& log) {
  auto starts = read_starts(test::built_context(), log);
  if (!starts) return must_speak(starts.error());
  for (const EngineStart& start : *starts) must_be_sound(start);
  if (starts->size() > kCompared) starts->resize(kCompared);
  for (EngineStart& start : *starts)
    if (const std::string* devices = start.find("devices"); devices != nullptr && *devices == "auto") return; // this machine's own
  const auto comparisons = compare_starts(test::built_context(), *starts, {});
  if (!comparisons) return must_speak(comparisons.error());
  for (const Comparison& comparison : *comparisons)
    if (comparison.error) must_speak(*comparison.error);
  if (comparisons->size() != starts->size() || compare_to_json(*comparisons, true).empty()) std::abort();
}

} // namespace

std::vector<std::string> seeds() {
  std::vector<std::string> out;
  for (const auto& file : seed_files(PLIMSOLL_TEST_DATA "/logs", ".log", 1U << 16)) out.push_back(read_seed(file));
  std::istringstream records(read_seed(PLIMSOLL_TEST_DATA "/engine_starts.jsonl"));
  for (std::string line; std::getline(records, line);)
    if (line.starts_with('{')) out.push_back(line);
  for (const auto& file : seed_files(PLIMSOLL_SOURCE_DIR "/core/catalogue/logs", ".yaml", 1U << 16)) out.push_back(read_seed(file));
  return out;
}

void fuzz_one(std::string_view input) {
  static const test::TemporaryDirectory catalogue;
  static const bool made = std::filesystem::create_directory(catalogue / "logs");
  if (!made) std::abort();
  compare({"server.log", std::string(input), false});
  compare({"starts.jsonl", std::string(input), true});
  test::write_text(catalogue / "logs/engine.yaml", input);
  if (const auto wordings = read_wordings(catalogue.path()); !wordings) must_speak(wordings.error());
}

} // namespace plimsoll::fuzz
