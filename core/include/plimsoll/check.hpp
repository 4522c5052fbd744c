// plimsoll/check.hpp - proves that a planner plugin keeps the contract of plimsoll/abi.h, and that its figures are right.
//
//   plimsoll::CheckOptions options;
//   options.models = {"config.json"};
//   auto report = plimsoll::check_plugin("com.acme.vlm", options).value();
//   plimsoll::check_exit_code(report, false); // and check_to_json(report), check_to_junit(report)
//
// Every case runs in a process of its own: whatever the plugin does there, the report says so and the host lives. The rules are
// numbered; a number never changes its meaning. Threads: any number of checks at once.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "plimsoll/export.hpp"
#include "plimsoll/result.hpp"

namespace plimsoll {

// What became of a case. kWarn: nothing is broken, but somebody should look. kCrash, kHang: the process of the case did not end as it
// should; both are failures.
enum class CheckStatus : std::uint8_t { kPass, kFail, kCrash, kHang, kWarn, kSkip };
constexpr std::string_view check_status_name(CheckStatus status) noexcept {
  switch (status) {
  case CheckStatus::kPass: return "pass";
  case CheckStatus::kFail: return "fail";
  case CheckStatus::kCrash: return "crash";
  case CheckStatus::kHang: return "hang";
  case CheckStatus::kWarn: return "warn";
  case CheckStatus::kSkip: return "skip";
  }
  return "skip";
}
constexpr bool is_failure(CheckStatus status) noexcept {
  return status == CheckStatus::kFail || status == CheckStatus::kCrash || status == CheckStatus::kHang;
}

// A rule that is checked.
struct CheckRule {
  std::string_view id; // "P-05"
  int level = 1;       // 1: the ABI, for every build; 2: the model, the default; 3: mutations and injected faults, for the night
  std::string_view title, requirement, reason, breaks;
};
// All of them, in the order of the report.
PLIMSOLL_API const std::vector<CheckRule>& check_rules();

struct CheckCase {
  std::string rule;
  CheckStatus status = CheckStatus::kSkip;
  std::string detail; // what was found and what was expected; empty where it passed
  std::string repro;  // a command that shows it again; empty where it passed
  std::string title;
  std::string input; // the configuration that showed it, where one did
  std::uint64_t ms = 0;
};

struct CheckReport {
  std::string plugin; // its id, or the folder where it has none
  std::string directory;
  int level = 2;
  std::vector<std::string> inputs; // the configurations that were used
  std::vector<CheckCase> cases;
  bool loadable = true; // false: the rest could not be tested
};

struct CheckOptions {
  int level = 2;
  std::string only, skip;                     // regular expressions over ids of rules, matched anywhere; empty: none
  std::vector<std::string> models;            // config.json files; empty: the plugin's own, of its folder
  std::optional<std::uint64_t> seed;          // of what is random; absent: 1
  std::string headers;                        // a safetensors file, an index or a folder: what is stored is held against what is declared
  std::optional<std::uint64_t> parameters;    // of the first model: what is published
  std::chrono::milliseconds deadline{10'000}; // of a case
  std::string catalogue_path;                 // as ContextOptions
  std::function<void(const CheckCase&)> done; // told of every case, in the order of the report; may be empty
};

// kBadRequest where the folder, an option or a model is none; kInternal where no process can be started. A plugin that breaks a rule is
// a report.
Result<CheckReport> PLIMSOLL_API check_plugin(const std::string& directory, const CheckOptions& options);

// 0 it conforms, 1 a rule is broken (with `strict` a warning counts), 3 it cannot be loaded.
int PLIMSOLL_API check_exit_code(const CheckReport& report, bool strict) noexcept;

// The document `plimsoll.check/1`: {"schema", "plugin", "level", "cases": [{"rule", "status", "detail", "repro", "title", "input", "ms"}]}.
std::string PLIMSOLL_API check_to_json(const CheckReport& report, int indent = 2);
// The same as JUnit's XML, a test suite for each group of rules.
std::string PLIMSOLL_API check_to_junit(const CheckReport& report);
// The document `plimsoll.check_rules/1` of all rules.
std::string PLIMSOLL_API check_rules_to_json(int indent = 2);

} // namespace plimsoll
