// The cases: each asks one rule of a plugin, in a process of its own. A case says what it found; that the process died, hung or printed is
// said by who started it. One file for each group of rules. Threads: as the case says.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "check/subject.hpp"
#include "plimsoll/check.hpp"
#include "plugin/stored_tensors.hpp"

namespace plimsoll::check {

struct Finding {
  CheckStatus status = CheckStatus::kPass;
  std::string detail, input;
};
inline Finding passed() { return {}; }
inline Finding failed(std::string detail, std::string input = {}) { return {CheckStatus::kFail, std::move(detail), std::move(input)}; }
inline Finding warned(std::string detail, std::string input = {}) { return {CheckStatus::kWarn, std::move(detail), std::move(input)}; }
inline Finding skipped(std::string detail) { return {CheckStatus::kSkip, std::move(detail), {}}; }

// Threads that were there before the process was closed off; `run` is called on all of them at once, with their numbers.
class Threads {
public:
  virtual ~Threads() = default;
  virtual std::size_t count() const = 0;
  virtual void run(const std::function<void(std::size_t)>& work) = 0;
  // On a thread with a stack of 256 KiB.
  virtual void run_small(const std::function<void()>& work) = 0;
};

struct CaseContext {
  std::string directory, catalogue, moved; // moved: a copy of the folder elsewhere, for LOAD-02
  std::vector<Input> inputs;
  std::uint64_t seed = 1, variant = 0; // variant: DET-02 runs twice
  std::uint64_t steps = 0;             // of FUZZ cases
  std::optional<std::uint64_t> parameters;
  std::vector<StoredTensor> stored;
  bool has_stored = false;

  // Tells who started the process with what it is busy, before that may be the end of it.
  std::function<void(const std::string& input)> at;
  std::function<void(std::string_view plugin, std::string_view call)> note;
  std::function<std::string()> disturbed; // what of the process is no longer as it was
  Threads* threads = nullptr;
  // What a case says beside its finding.
  std::vector<bool> usable;         // LIFE-02: of each input
  std::vector<std::string> digests; // DET-02: of each input
  std::function<void()> exit_now;   // LIFE-07: ends the process as a host does
};

using CaseFunction = Finding (*)(CaseContext&);
struct Case {
  std::string_view rule;
  CaseFunction run;
};
const std::vector<Case>& manifest_cases();
const std::vector<Case>& load_cases();
const std::vector<Case>& abi_cases();
const std::vector<Case>& life_cases();
const std::vector<Case>& error_cases();
const std::vector<Case>& determinism_cases();
const std::vector<Case>& law_cases();
const std::vector<Case>& composition_cases();
const std::vector<Case>& process_cases(); // THR, RES, BOX
const std::vector<Case>& pipeline_cases();
const std::vector<Case>& fuzz_cases();
CaseFunction find_case(std::string_view rule); // nullptr: none

// ---- what several groups need ----------------------------------------------------------------------------

// Calls `each` for every input with a fresh view of what was seen; the first finding that is not a pass.
Finding for_each_input(CaseContext& context, const std::function<Finding(Subject&, const Input&)>& each);

// Whether an error is the plugin's fault, and not the configuration's.
bool is_plugin_fault(const Error& error);

// The configuration with a value in that place, or without it. Pointers are RFC 6901; what is not there stays so.
Json with_value(const Json& config, const std::string& pointer, Json value);
Json without_key(const Json& config, const std::string& pointer);
// Of what was looked up, what the configuration itself has as a member of an object; the architecture's names are left out.
std::vector<std::string> own_keys(const Subject& subject, const Json& config);
std::string last_part(const std::string& pointer);
std::string shown(const Json& value);

} // namespace plimsoll::check
