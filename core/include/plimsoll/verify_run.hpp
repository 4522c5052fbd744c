// plimsoll/verify_run.hpp - a plan held against what really happens: a model is loaded into what its plan sets aside and driven through
// the worst that the plan promises (longest request, full batch, full passes, shared prefixes, every page), twice, and what each category
// took is compared with what was planned. Nothing is taken on trust: arenas only count here, and another counter stands behind them.
// `plimsoll verify MODEL --run` and hosts with models of their own call it. sdk/docs/verify.md describes checks and document.
// Threads: [any]; each call makes models of its own.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "plimsoll/arena.hpp"
#include "plimsoll/export.hpp"
#include "plimsoll/host.hpp"
#include "plimsoll/pipeline_model.hpp"
#include "plimsoll/result.hpp"

namespace plimsoll {

// What can be made to go wrong, through the same arenas and the same KV manager that a model uses, to see that it is found.
enum class Fault : std::uint8_t {
  kNone,
  kOversize, // the KV cache is made one page (or row) larger than planned
  kLeak,     // a request that has ended keeps its claim, and so its pages
  kDouble    // the largest buffer of the activations is taken a second time
};
std::string_view PLIMSOLL_API fault_name(Fault fault) noexcept; // "none", "oversize", "leak", "double"
std::optional<Fault> PLIMSOLL_API find_fault(std::string_view name) noexcept;

// Of a line (a category and label on one rank), and of a category.
enum class MemoryVerdict : std::uint8_t {
  kWithin,
  kOver,      // more was taken than planned, or something was never given back
  kWasted,    // less than 95 % of what is planned was taken; only where the plan is this runtime's own, and not of overheads
  kNotPlanned // a line that the plan of another engine does not have: what this runtime takes and that engine does not
};
std::string_view PLIMSOLL_API memory_verdict_name(MemoryVerdict verdict) noexcept; // "within", "over", "wasted", "not_planned"

struct LineVerdict {
  std::string label;
  std::uint64_t planned_bytes = 0, peak_bytes = 0, left_bytes = 0; // left: not given back at the end
  MemoryVerdict verdict = MemoryVerdict::kWithin;
};
struct CategoryVerdict {
  Category category = Category::kWeights;
  Basis basis = Basis::kExact; // the least sure one of the plan's items
  std::uint64_t planned_bytes = 0, peak_bytes = 0, left_bytes = 0;
  std::uint64_t driver_bytes = 0;                 // by how much the devices' driver had less; 0 for host memory
  std::uint64_t not_planned_bytes = 0;            // peaks of the lines that are kNotPlanned; not in peak_bytes
  MemoryVerdict verdict = MemoryVerdict::kWithin; // never kNotPlanned
  std::string reason;                             // of another verdict than kWithin: names the line; else empty
  std::vector<LineVerdict> lines;                 // by label
};
struct RankVerdict {
  std::uint32_t rank = 0;
  std::string name;                        // of the device
  std::vector<CategoryVerdict> categories; // all, in their order
};

enum class CheckResult : std::uint8_t { kPass, kFail, kSkip };
std::string_view PLIMSOLL_API check_result_name(CheckResult result) noexcept; // "pass", "fail", "skip"

// One of the twelve. What it is about stands in sdk/docs/verify.md.
struct VerifyCheck {
  std::uint32_t number = 0;
  std::string name;
  CheckResult result = CheckResult::kPass;
  std::string message;              // what was found; why it was skipped
  std::optional<Category> category; // that a failure is about
  std::string label;                // within it
  std::vector<std::pair<std::string, std::uint64_t>> figures;
};

enum class RunVerdict : std::uint8_t { kWithinPlan, kOverPlan, kCheckFailed, kWasted, kDoesNotFit };
// "within_plan", "over_plan", "check_failed", "wasted", "does_not_fit"
std::string_view PLIMSOLL_API run_verdict_name(RunVerdict verdict) noexcept;

struct VerifyRunReport {
  RunVerdict verdict = RunVerdict::kWithinPlan;
  std::string model;
  EngineInfo engine;
  std::vector<RankVerdict> ranks; // none where nothing was run
  std::vector<VerifyCheck> checks;
  std::uint64_t seed = 0;
  Fault injected = Fault::kNone;
  std::string memory = "host"; // whose: "host", or the kind of the devices, such as "cuda"
  std::optional<Error> error;  // why nothing was run: kDoesNotFit
};

struct VerifyRunOptions {
  std::uint64_t seed = 0; // of the tokens
  Fault inject = Fault::kNone;
  std::optional<std::uint64_t> available_bytes; // that this machine has now; absent: not checked
  // "loading" in bytes, then "computing" in tokens; may be empty.
  std::function<void(std::string_view what, std::uint64_t done, std::uint64_t total)> progress;
  // Each is a rank of the plan, as PipelineOptions has it: all verify together, and the report of each is that of all ranks.
  std::shared_ptr<Processes> processes = nullptr;
  OpenBackend backend = {}; // what ranks compute on; empty: the processors
};

// Makes the model that is verified, with an arena for each rank of the plan; called twice. Replicas are verified together, each exercised
// in a thread: it makes one after the other then, the plan in the options being that of the replica (replica_plan).
using ModelMaker = std::function<Result<std::unique_ptr<PipelineModel>>(PipelineModelOptions options, const LoadProgress& progress)>;

// Verifies any model: one that a host derives by itself, or the reference model. A plan that does not fit is not verified: the report
// says kDoesNotFit and why. Errors are those of making and of stepping the model.
Result<VerifyRunReport> PLIMSOLL_API verify_model(const Plan& plan, const ModelMaker& make, const VerifyRunOptions& options = {});
// Plans, and verifies the reference model in this process's memory.
Result<VerifyRunReport> PLIMSOLL_API verify_run(const Context& context, const Model& model, const PlanRequest& request,
                                                const VerifyRunOptions& options = {});

// The document plimsoll.verify/1 of an execution.
std::string PLIMSOLL_API verify_run_to_json(const VerifyRunReport& report, int indent = 2);

} // namespace plimsoll
