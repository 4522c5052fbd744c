// The exception wall of plimsoll/host.h: every function catches whatever could escape and answers with a code.
// The figures of a finished plan, where nothing is thrown, are in plan_getters.cpp. Never lets an exception out and never prints.
// Threads: as the header says.
#include "plimsoll/host.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <iterator>
#include <string>
#include <utility>

#include "base/c_interface.hpp"
#include "base/document_text.hpp"
#include "base/json.hpp"
#include "capi/context_handle.hpp"
#include "capi/fit_request.hpp"
#include "capi/plan_getters.hpp"
#include "document/plan_json.hpp"
#include "plimsoll/compare.hpp"
#include "plimsoll/estimate_json.hpp"
#include "plimsoll/host.hpp"
#include "plimsoll/options.hpp"
#include "plimsoll/plan_task.hpp"

namespace plimsoll::capi {
namespace {

Result<ContextOptions> read_context_options(const char* json) {
  ContextOptions options;
  if (!json) return options;
  PLIMSOLL_ASSIGN(const Json document, parse_json(json, "", ErrorCode::kBadRequest));
  if (!document.is_object()) return fail(ErrorCode::kBadRequest, "the options are no JSON object", "");
  const auto bad = [](const std::string& key, const char* expected) {
    return fail(ErrorCode::kBadRequest, key + " takes " + expected, "/" + key);
  };
  for (const auto& [key, value] : document.items()) {
    if (key == "plugin_paths" || key == "prefer") {
      const bool paths = key == "plugin_paths";
      const char* expected = paths ? "a list of folders" : "a list of ids of plugins";
      if (!value.is_array()) return bad(key, expected);
      for (const Json& text : value) {
        if (!text.is_string()) return bad(key, expected);
        (paths ? options.plugin_paths : options.prefer).push_back(text.get<std::string>());
      }
    } else if (key == "catalogue_path") {
      if (!value.is_string()) return bad(key, "a folder");
      options.catalogue_path = value.get<std::string>();
    } else if (key == "trust") {
      if (value == "open") options.trust = Trust::kOpen;
      else if (value != "checked") return bad(key, "\"checked\" or \"open\"");
    } else if (key == "isolation") {
      if (value == "all") options.isolation = Isolation::kAll;
      else if (value == "off") options.isolation = Isolation::kOff;
      else if (value != "strangers") return bad(key, "\"strangers\", \"all\" or \"off\"");
    } else if (key == "plugin_timeout") {
      const auto timeout = plugin_timeout_of(value.is_number() ? value.get<double>() : 0);
      if (!timeout) return bad(key, "seconds from 0.001 to 86400");
      options.plugin_timeout = *timeout;
    } else if (key == "online") {
      if (!value.is_boolean()) return bad(key, "true or false");
      options.online = value.get<bool>();
    } else if (key == "fetch_timeout") {
      const auto timeout = plugin_timeout_of(value.is_number() ? value.get<double>() : 0);
      if (!timeout) return bad(key, "seconds from 0.001 to 86400");
      options.fetch_timeout = *timeout;
    } else {
      return fail(ErrorCode::kBadRequest,
                  "unknown key '" + key.substr(0, 60) +
                      "'; plugin_paths, prefer, catalogue_path, trust, isolation, plugin_timeout, online and fetch_timeout are known",
                  "/" + key);
    }
  }
  return options;
}

Result<Plan> make_plan(const Context& context, const char* json) {
  PLIMSOLL_ASSIGN(const PlanTask task, read_plan_task(context, json));
  return context.plan(task.model, task.request);
}

// The document of the comparisons that a JSON object asks for.
Result<std::string> compare(const Context& context, const char* json) {
  constexpr std::array<OptionInfo, 4> kAlso{{{.name = "logs", .kind = OptionKind::kTexts, .repeats = true},
                                             {.name = "records"},
                                             {.name = "model"},
                                             {.name = "tolerance", .kind = OptionKind::kNumber}}};
  PLIMSOLL_ASSIGN(const std::vector<OptionValue> options, read_options_json(json, kAlso));
  CompareRequest request;
  std::vector<EngineLog> logs;
  for (const OptionValue& option : options) {
    if (option.name == "logs") logs.push_back({"log " + std::to_string(logs.size() + 1), option.value});
    else if (option.name == "model") request.model = option.value;
    else if (option.name == "tolerance") request.tolerance = std::strtod(option.value.c_str(), nullptr);
    else if (option.name != "records") request.options.push_back(option);
  }
  bool records = false;
  for (const OptionValue& option : options)
    if (option.name == "records") {
      logs.push_back({"records", option.value, true});
      records = true;
    }
  if (logs.empty()) return fail(ErrorCode::kBadRequest, "no log; give {\"logs\": [\"what the engine printed\"], ...}", "/logs");
  std::vector<EngineStart> starts;
  for (const EngineLog& log : logs) {
    PLIMSOLL_ASSIGN(std::vector<EngineStart> read, read_starts(context, log));
    std::move(read.begin(), read.end(), std::back_inserter(starts));
  }
  PLIMSOLL_ASSIGN(const std::vector<Comparison> comparisons, compare_starts(context, starts, request));
  return compare_to_json(comparisons, records);
}

// The document of the weights that a JSON object asks for.
Result<std::string> weights(const Context& context, const char* json) {
  PLIMSOLL_ASSIGN(const PlanTask task, read_plan_task(context, json));
  PLIMSOLL_ASSIGN(const WeightsReport report, context.weights(task.model, task.request));
  return weights_to_json(report);
}

int refuse() { return PLIMSOLL_HOST_BAD_REQUEST; }

// What a function answers that takes a request and hands out a document of `schema`, made by `make`; an error is a document too.
int answer(const plimsoll_context* context, const char* request_json, char** out_json, std::string_view schema,
           Result<std::string> (*make)(const Context&, const char*)) {
  if (!out_json) return refuse();
  *out_json = nullptr;
  const auto failed = [&](const Error& problem) {
    return hand_out_document(failure_to_json(schema, problem), code_number(problem.code), out_json);
  };
  return walled(
      [&] {
        if (!context) return failed(null_argument("context"));
        if (!request_json) return failed(null_argument("request_json"));
        const auto document = make(context->context, request_json);
        if (!document) return failed(document.error());
        return hand_out_document(*document, PLIMSOLL_HOST_OK, out_json);
      },
      failed);
}

} // namespace
} // namespace plimsoll::capi

using namespace plimsoll;       // NOLINT: the C functions below are this file's only content
using namespace plimsoll::capi; // NOLINT

const char* plimsoll_version(void) { return PLIMSOLL_VERSION; }

void plimsoll_free(void* handed_out) { release(handed_out); }

int plimsoll_context_create(const char* options_json, plimsoll_host_log log, void* user, plimsoll_context** out, char** error) {
  if (error) *error = nullptr;
  if (out) *out = nullptr;
  const auto failed = [&](const Error& problem) { return hand_out_error(problem, error); };
  return walled(
      [&] {
        if (!out) return failed(null_argument("out"));
        auto options = read_context_options(options_json);
        if (!options) return failed(options.error());
        if (log)
          options->log = [log, user](LogLevel level, std::string_view text) {
            log(user, static_cast<int>(level), std::string(text).c_str());
          };
        auto context = Context::create(std::move(*options));
        if (!context) return failed(context.error());
        return hand_out_object(plimsoll_context{std::move(*context)}, out);
      },
      failed);
}

int plimsoll_plan_json(const plimsoll_context* context, const char* request_json, char** out_json) {
  if (!out_json) return refuse();
  *out_json = nullptr;
  const auto failed = [&](const Error& problem) { return hand_out_document(error_to_json(problem), code_number(problem.code), out_json); };
  return walled(
      [&] {
        if (!context) return failed(null_argument("context"));
        if (!request_json) return failed(null_argument("request_json"));
        const auto plan = make_plan(context->context, request_json);
        if (!plan) return failed(plan.error());
        return hand_out_document(plan_to_json(*plan), PLIMSOLL_HOST_OK, out_json);
      },
      failed);
}

int plimsoll_weights_json(const plimsoll_context* context, const char* request_json, char** out_json) {
  return answer(context, request_json, out_json, "plimsoll.weights/1", weights);
}

int plimsoll_estimate_json(const char* request_json, char** out_json) {
  if (!out_json) return refuse();
  *out_json = nullptr;
  const auto failed = [&](Error problem) {
    const int code = code_number(problem.code);
    EstimateResult result;
    result.error = std::move(problem);
    return hand_out_document(estimate_result_json(result, Accounting::kPooled), code, out_json);
  };
  return walled(
      [&] {
        if (!request_json) return failed(null_argument("request_json"));
        auto request = parse_estimate_request(request_json);
        if (!request) return failed(std::move(request.error()));
        const EstimateResult result = MemoryEstimator::estimate(*request);
        const int code = result.error ? code_number(result.error->code) : PLIMSOLL_HOST_OK;
        return hand_out_document(estimate_result_json(result, request->accounting), code, out_json);
      },
      failed);
}

int plimsoll_compare_json(const plimsoll_context* context, const char* request_json, char** out_json) {
  return answer(context, request_json, out_json, "plimsoll.compare/1", compare);
}

int plimsoll_fit_json(const plimsoll_context* context, const char* request_json, char** out_json) {
  return answer(context, request_json, out_json, "plimsoll.fit/1", fit_document_of);
}

int plimsoll_plan_create(const plimsoll_context* context, const char* request_json, plimsoll_plan** out, char** error) {
  if (error) *error = nullptr;
  if (out) *out = nullptr;
  const auto failed = [&](const Error& problem) { return hand_out_error(problem, error); };
  return walled(
      [&] {
        if (!context) return failed(null_argument("context"));
        if (!request_json) return failed(null_argument("request_json"));
        if (!out) return failed(null_argument("out"));
        auto plan = make_plan(context->context, request_json);
        if (!plan) return failed(plan.error());
        return hand_out_object(plimsoll_plan{std::move(*plan)}, out);
      },
      failed);
}

int plimsoll_plan_document(const plimsoll_plan* plan, int indent, char** out_json) {
  if (!plan || !out_json) return refuse();
  *out_json = nullptr;
  return walled(
      [&] { return hand_out_document(plan_to_json(plan->plan, indent < 0 ? -1 : std::min(indent, 8)), PLIMSOLL_HOST_OK, out_json); },
      [&](const Error& problem) { return code_number(problem.code); });
}
