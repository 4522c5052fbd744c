#include "property/properties.hpp"

#include <algorithm>
#include <map>

#include "cli/program.hpp"
#include "property/figures.hpp"
#include "property/relations.hpp"

namespace plimsoll::property {
namespace {

std::string rank_text(const Json& device) { return "rank " + device["rank"].dump(); }

// --- one document ---

std::string parts_and_unused_are_the_budget(const Request&, const Answer& answer) {
  if (!answer.planned() || answer.pooled()) return {};
  for (const Json& device : answer.document["devices"]) {
    const Wide sum = parts_of(device) + device["unused_bytes"].get<std::int64_t>();
    if (sum != static_cast<Wide>(count(device, "budget_bytes")))
      return rank_text(device) + ": parts and unused are not the budget: " + device.dump();
  }
  return {};
}

std::string what_holds_is_within_free_memory(const Request&, const Answer& answer) {
  if (!answer.holds() || answer.pooled()) return {};
  for (const Json& device : answer.document["devices"])
    if (const Wide free = count(device, "free_bytes"); parts_of(device) > free)
      return answer.verdict() + ", and " + rank_text(device) + " is " + std::to_string(static_cast<std::int64_t>(parts_of(device) - free)) +
             " B beyond its free memory: " + device.dump();
  return {};
}

std::string what_holds_is_within_the_budget(const Request&, const Answer& answer) {
  if (!answer.holds() || answer.pooled()) return {};
  for (const Json& device : answer.document["devices"])
    if (device["unused_bytes"].get<std::int64_t>() < 0)
      return answer.verdict() + ", and " + rank_text(device) + " lacks memory: " + device.dump();
  return {};
}

// Whether a device shows that it is short: of what its parts take, of a given figure for the KV cache, which may bind where memory does
// not, or of a budget that an engine claims before it starts.
bool is_short(const Json& device, const std::optional<std::string>& given_kv_bytes) {
  const std::uint64_t free = count(device, "free_bytes");
  return device["unused_bytes"].get<std::int64_t>() < 0 || parts_of(device) > static_cast<Wide>(free) ||
         count(device, "budget_bytes") > free || (given_kv_bytes && count(device, "kv_cache_bytes") > std::stoull(*given_kv_bytes));
}

// A plan that does not fit says where it lacks how much.
std::string a_shortfall_shows(const Request& request, const Answer& answer) {
  if (!answer.planned() || answer.holds() || answer.pooled()) return {};
  if (answer.document["limits"]["binding"].get<std::string>().empty()) return "does not fit, and nothing binds";
  if (answer.document["error"]["code"] == "bad_request") return {}; // a start that is refused for something else than memory
  const Json& devices = answer.document["devices"];
  const auto given = request.option("kv_cache_bytes");
  if (std::any_of(devices.begin(), devices.end(), [&](const Json& device) { return is_short(device, given); })) return {};
  return "does not fit (" + answer.document["error"]["message"].get<std::string>() + "), and no rank is short of memory";
}

std::string totals_are_sums(const Request&, const Answer& answer) {
  if (!answer.planned()) return {};
  for (const auto& [key, total] : answer.document["totals"].items()) {
    Wide sum = 0;
    for (const Json& device : answer.document["devices"])
      sum += device[key].is_number_unsigned() ? static_cast<Wide>(device[key].get<std::uint64_t>()) : device[key].get<std::int64_t>();
    const Wide shown = total.is_number_unsigned() ? static_cast<Wide>(total.get<std::uint64_t>()) : total.get<std::int64_t>();
    if (sum != shown) return "the total of " + key + " is not the sum of the devices";
  }
  return {};
}

std::string items_are_the_parts(const Request&, const Answer& answer) {
  if (!answer.planned()) return {};
  std::map<std::pair<std::uint64_t, std::string>, Wide> sums;
  std::map<std::string, Wide> on_host;
  for (const Json& item : answer.document["items"]) sums[{count(item, "rank"), item["category"]}] += count(item, "bytes");
  if (answer.document.contains("host_memory"))
    for (const Json& item : answer.document["host_memory"]["items"]) on_host[item["category"]] += count(item, "bytes");
  for (const Json& device : answer.document["devices"])
    if (device["kind"] == "host")
      for (const char* part : kParts)
        if (on_host[part] != static_cast<Wide>(count(device, bytes_key(part).c_str())))
          return std::string("the items of ") + part + " on the host are not its bytes";
  for (const Json& device : ranks_of(answer.document))
    for (const char* part : kParts) {
      const auto found = sums.find({count(device, "rank"), part});
      const Wide sum = found == sums.end() ? 0 : found->second;
      if (sum != static_cast<Wide>(count(device, bytes_key(part).c_str())))
        return rank_text(device) + ": the items of " + part + " are not its bytes";
      if (found != sums.end()) sums.erase(found);
    }
  return sums.empty() ? std::string() : "an item is of no rank or no part of one: " + sums.begin()->first.second;
}

const std::map<std::string, int>& codes() {
  static const std::map<std::string, int> kCodes{
      {"bad_config", PLIMSOLL_HOST_BAD_CONFIG},           {"bad_checkpoint", PLIMSOLL_HOST_BAD_CHECKPOINT},
      {"bad_request", PLIMSOLL_HOST_BAD_REQUEST},         {"unsupported_architecture", PLIMSOLL_HOST_UNSUPPORTED_ARCHITECTURE},
      {"model_too_large", PLIMSOLL_HOST_MODEL_TOO_LARGE}, {"no_room_for_kv", PLIMSOLL_HOST_NO_ROOM_FOR_KV},
      {"no_page_fits", PLIMSOLL_HOST_NO_PAGE_FITS},       {"out_of_memory", PLIMSOLL_HOST_OUT_OF_MEMORY},
      {"plugin_failed", PLIMSOLL_HOST_PLUGIN_FAILED},     {"internal", PLIMSOLL_HOST_INTERNAL}};
  return kCodes;
}

std::string verdict_and_error_agree(const Request&, const Answer& answer) {
  const Json& error = answer.document["error"];
  if (answer.holds() != error.is_null()) return "the verdict is " + answer.verdict() + " and the error " + error.dump();
  if (answer.planned() != (answer.verdict() != "error"))
    return "the code is " + std::to_string(answer.code) + " and the verdict " + answer.verdict();
  if (error.is_null()) return {};
  const auto code = codes().find(error["code"]);
  if (code == codes().end()) return "an unknown code: " + error.dump();
  if (!answer.planned() && code->second != answer.code)
    return "the function returned " + std::to_string(answer.code) + " for " + error.dump();
  if (error["message"].get<std::string>().empty()) return "an error without a message";
  if (code->second == PLIMSOLL_HOST_INTERNAL || code->second == PLIMSOLL_HOST_PLUGIN_FAILED) return "our own fault: " + error.dump();
  return {};
}

// `tight`: a device keeps less than a twentieth of its free memory outside the plan.
std::string tight_is_a_twentieth(const Request&, const Answer& answer) {
  if (!answer.holds()) return {};
  const auto& devices = answer.document["devices"];
  const bool tight = std::any_of(devices.begin(), devices.end(), [](const Json& device) {
    const Wide free = count(device, "free_bytes");
    return free - parts_of(device) < free / 20;
  });
  return unequal("the verdict", answer.verdict(), tight ? "tight" : "fits");
}

std::string getters_read_the_document(const Request& request, const Answer& answer) {
  plimsoll_plan* plan = nullptr;
  const int code = plimsoll_plan_create(context(), request.json().c_str(), &plan, nullptr);
  if (code != answer.code) return "plimsoll_plan_create and plimsoll_plan_json disagree: " + std::to_string(code);
  if (plan == nullptr) return answer.planned() ? "no plan was handed out" : "";
  const std::string wrong = getters_differ(plan, answer.document);
  plimsoll_free(plan);
  return wrong;
}

// --- limits ---

std::string full_length_batch_is_no_larger(const Request&, const Answer& answer) {
  if (!answer.planned()) return {};
  const std::uint64_t full = limit(answer, "max_batch_at_max_length"), batch = limit(answer, "max_batch_size");
  if (full <= batch) return {};
  return "more than the batch at full length: a batch of " + std::to_string(batch) + ", " + std::to_string(full) + " at full length";
}

std::string what_holds_serves_a_request(const Request&, const Answer& answer) {
  if (!answer.holds()) return {};
  for (const char* key : {"max_length", "max_batch_size", "max_supported_sequence_length"})
    if (limit(answer, key) == 0) return std::string(key) + " is 0 in a plan that holds";
  if (answer.pooled()) return {};
  if (limit(answer, "max_batch_at_max_length") == 0) return "not one request of full length fits in a plan that holds";
  return limit(answer, "max_length") > limit(answer, "max_supported_sequence_length") ? "the length is beyond the longest request" : "";
}

std::string capacity_follows_from_pages(const Request& request, const Answer& answer) {
  if (!answer.holds()) return {};
  return capacity_differs(request, answer);
}

// --- the command, and the same again ---

std::string reruns_are_identical(const Request& request, const Answer& answer) {
  const Answer again = plan(request.json());
  return again.text == answer.text && again.code == answer.code ? "" : "another document the second time";
}

int exit_code_of(const Answer& answer) {
  if (answer.holds()) return 0;
  const int code = codes().at(answer.document["error"]["code"]);
  if (code <= PLIMSOLL_HOST_UNSUPPORTED_ARCHITECTURE) return 2;
  if (code <= PLIMSOLL_HOST_OUT_OF_MEMORY) return 1;
  return code == PLIMSOLL_HOST_PLUGIN_FAILED ? 3 : 4;
}

std::string command_says_the_same(const Request& request, const Answer& answer) {
  cli_test::Invocation invocation;
  invocation.arguments = request.arguments();
  // As the library's context is made: advice tells how to come here again.
  invocation.arguments.insert(invocation.arguments.end(),
                              {"--format", "json", "--plugin-path", PLIMSOLL_BUILD_DIR "/lib/plimsoll/plugins", "--trust", "open"});
  invocation.environment = {"HF_HUB_CACHE=/nonexistent"};
  const cli_test::Outcome outcome = cli_test::run(invocation);
  if (outcome.code != exit_code_of(answer))
    return "the command ended with " + std::to_string(outcome.code) + " where the verdict is " + answer.verdict();
  const std::string said = answer.text + "\n";
  if (!answer.planned() || outcome.out == said) return "";
  const auto differs = std::mismatch(outcome.out.begin(), outcome.out.end(), said.begin(), said.end());
  const auto at = static_cast<std::size_t>(differs.first - outcome.out.begin()), from = at - std::min<std::size_t>(at, 60);
  return "the command printed another document: " + outcome.out.substr(from, 160) + "\n  in place of " + said.substr(from, 160);
}

const Property kProperties[] = {
    {"PartsAndUnusedAreTheBudget", 1, parts_and_unused_are_the_budget},
    {"WhatHoldsIsWithinFreeMemory", 1, what_holds_is_within_free_memory},
    {"WhatHoldsIsWithinTheBudget", 1, what_holds_is_within_the_budget},
    {"AShortfallShows", 1, a_shortfall_shows},
    {"TotalsAreSums", 1, totals_are_sums},
    {"ItemsAreTheParts", 1, items_are_the_parts},
    {"VerdictAndErrorAgree", 1, verdict_and_error_agree},
    {"TightIsATwentieth", 1, tight_is_a_twentieth},
    {"WhatHoldsServesARequest", 1, what_holds_serves_a_request},
    {"FullLengthBatchIsNoLarger", 1, full_length_batch_is_no_larger},
    {"CapacityFollowsFromPages", 1, capacity_follows_from_pages},
    {"GettersReadTheDocument", 7, getters_read_the_document},
    {"RerunsAreIdentical", 9, reruns_are_identical},
    {"MoreMemoryNeverFitsLess", 3, more_memory_fits_less},
    {"LongerRequestsAreNeverMore", 3, longer_requests_are_more},
    {"FrontierPointsCanBeHad", 1, frontier_points_cannot_be_had},
    {"DecodeContextDividesTp", 1, decode_context_does_not_divide_tp},
    {"PlanIsEstimate", 2, plan_is_not_estimate},
    {"CommandSaysTheSame", 200, command_says_the_same},
};

} // namespace

std::span<const Property> properties() { return kProperties; }

} // namespace plimsoll::property
