// plimsoll/diff.hpp - what changed between two plans, by cause, in bytes and limits.
//
//   auto diff = plimsoll::diff_documents({"old", old_text}, {"new", new_text}).value();
//   diff.worse();           // for a check that must not get worse
//   diff_to_json(diff);
//
// Works on plan documents, so that a plan of last year and one of today compare as two of today do. Opens no file.
// Threads: functions of their arguments.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "plimsoll/export.hpp"
#include "plimsoll/host.hpp"
#include "plimsoll/result.hpp"

namespace plimsoll {

inline constexpr std::size_t kMaxPlanDocumentBytes = std::size_t{64} << 20; // of JSON; of YAML a 64th of it

// A document `plimsoll.plan/1`, in JSON or YAML.
struct PlanDocument {
  std::string name; // in messages: the file's
  std::string text;
};

using DiffValue = std::variant<std::monostate, bool, std::int64_t, double, std::string>; // monostate: there is none

// One change. Rows of bytes have `bytes`, which is `to` - `from`; those of one `what` add up to what it changed by over all devices:
//   weights_bytes and the other parts: a row an item; `cause` is its label, `from` and `to` its bytes.
//   budget_bytes: a row a cause: devices, request.device_memory_utilization, engine, request.
//   kv_cache_bytes, or unused_bytes where the KV cache stayed as it was: what every row above did to it, from the old value to the new one
//     step by step; `cause` names the row, "overhead_bytes: cuda_graphs".
//   host_memory_bytes: a row an item, beside the devices.
// Other rows are settings, `cause` "setting" (engine, model, devices, request.KEY), and figures that follow (kv_cache.KEY, limits.KEY),
// whose `cause` lists what they follow from; and `error`, with its code as the cause.
struct DiffChange {
  std::string what;
  DiffValue from, to;
  std::optional<std::int64_t> bytes;
  std::string cause;
};

struct DiffSide {
  std::string name;                   // of the document
  std::string model, engine, devices; // "vllm 0.26.1", "2xH100"; empty where no plan could be made
  std::uint64_t n_devices = 0;        // that hold ranks
  Verdict verdict = Verdict::kError;
};

struct PlanDiff {
  DiffSide from, to;
  std::vector<DiffChange> changes; // settings, then bytes, then what follows
  // fits, tight, does_not_fit, error: the later the worse.
  bool worse() const { return to.verdict > from.verdict; }
};

// What a document says that it is, "plimsoll.plan/1"; empty where it says nothing, as a request does. kBadRequest where it is neither JSON
// nor YAML.
Result<std::string> PLIMSOLL_API document_schema(const PlanDocument& document);

// kBadRequest names the document and the JSON pointer: another schema, keys that are missing or of another type, numbers beyond all
// memory (2^58 bytes on one side).
Result<PlanDiff> PLIMSOLL_API diff_documents(const PlanDocument& from, const PlanDocument& to);
// The same of plans that were made here.
Result<PlanDiff> PLIMSOLL_API diff_plans(const Plan& from, const Plan& to);

// The document `plimsoll.diff/1`.
std::string PLIMSOLL_API diff_to_json(const PlanDiff& diff, int indent = 2);

} // namespace plimsoll
