// The exception wall of plimsoll/host.h: every function catches whatever could escape and answers with a code.
// The figures of a finished plan, where nothing is thrown, are in plan_getters.cpp. Never lets an exception out and never prints.
// Threads: as the header says.
#include "plimsoll/host.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <exception>
#include <iterator>
#include <memory>
#include <new>
#include <string>
#include <utility>

#include "base/json.hpp"
#include "capi/handed_out.hpp"
#include "capi/plan_getters.hpp"
#include "document/plan_json.hpp"
#include "plimsoll/compare.hpp"
#include "plimsoll/estimate_json.hpp"
#include "plimsoll/host.hpp"
#include "plimsoll/options.hpp"

struct plimsoll_context {
  plimsoll::Context context;
};

namespace plimsoll::capi {
namespace {

constexpr std::size_t kMostModelNameBytes = 4'096;

int code_number(ErrorCode code) {
  switch (code) {
  case ErrorCode::kBadConfig: return PLIMSOLL_HOST_BAD_CONFIG;
  case ErrorCode::kBadCheckpoint: return PLIMSOLL_HOST_BAD_CHECKPOINT;
  case ErrorCode::kBadRequest: return PLIMSOLL_HOST_BAD_REQUEST;
  case ErrorCode::kUnsupportedArchitecture: return PLIMSOLL_HOST_UNSUPPORTED_ARCHITECTURE;
  case ErrorCode::kModelTooLarge: return PLIMSOLL_HOST_MODEL_TOO_LARGE;
  case ErrorCode::kNoRoomForKv: return PLIMSOLL_HOST_NO_ROOM_FOR_KV;
  case ErrorCode::kNoPageFits: return PLIMSOLL_HOST_NO_PAGE_FITS;
  case ErrorCode::kOutOfMemory:
  case ErrorCode::kInsufficientBlocks: // of a running pipeline, which this interface does not offer
  case ErrorCode::kOverPlan: return PLIMSOLL_HOST_OUT_OF_MEMORY;
  case ErrorCode::kPluginFailed: return PLIMSOLL_HOST_PLUGIN_FAILED;
  case ErrorCode::kInternal: return PLIMSOLL_HOST_INTERNAL;
  }
  return PLIMSOLL_HOST_INTERNAL;
}

// Runs `body`; an exception becomes an error that `failed` reports.
template <class Body, class Failed>
int walled(Body&& body, Failed&& failed) noexcept {
  try {
    try {
      return body();
    } catch (const std::bad_alloc&) {
      return failed(Error{ErrorCode::kInternal, "no memory for the answer", ""});
    } catch (const std::exception& problem) {
      return failed(Error{ErrorCode::kInternal, problem.what(), ""});
    } catch (...) {
      return failed(Error{ErrorCode::kInternal, "an exception of unknown type", ""});
    }
  } catch (...) {
    return PLIMSOLL_HOST_INTERNAL;
  }
}

int hand_out_error(const Error& error, char** out) {
  if (out) *out = hand_out_text(dump_document(error_object(error), -1));
  return code_number(error.code);
}

int hand_out_document(std::string_view document, int code, char** out) {
  *out = hand_out_text(document);
  return *out ? code : PLIMSOLL_HOST_INTERNAL;
}

Error null_argument(const char* which) { return {ErrorCode::kBadRequest, "a NULL argument that must be given", which}; }

template <class Object>
int hand_out_object(Object object, Object** out) {
  void* room = hand_out_room(sizeof(Object), [](void* at) noexcept { std::destroy_at(static_cast<Object*>(at)); });
  if (!room) throw std::bad_alloc();
  *out = new (room) Object(std::move(object));
  return PLIMSOLL_HOST_OK;
}

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
    } else {
      return fail(ErrorCode::kBadRequest,
                  "unknown key '" + key.substr(0, 60) + "'; plugin_paths, prefer, catalogue_path and trust are known", "/" + key);
    }
  }
  return options;
}

struct Task {
  Model model;
  PlanRequest request;
};

// The model and the request that a JSON object asks for.
Result<Task> read_task(const Context& context, const char* json) {
  constexpr std::array<OptionInfo, 4> kAlso{{{.name = "model"},
                                             {.name = "config", .kind = OptionKind::kDocument},
                                             {.name = "draft"},
                                             {.name = "explain", .kind = OptionKind::kSwitch}}};
  PLIMSOLL_ASSIGN(const std::vector<OptionValue> options, read_options_json(json, kAlso));
  PlanRequest request;
  std::string model, config, draft;
  for (const OptionValue& option : options) {
    if (option.name == "model") model = option.value;
    else if (option.name == "config") config = option.value;
    else if (option.name == "draft") draft = option.value;
    else if (option.name == "explain") request.explain = option.value == "true";
    else PLIMSOLL_TRY(set_option(request, option));
  }
  if (model.size() > kMostModelNameBytes) return fail(ErrorCode::kBadRequest, "the model's name is longer than any path", "/model");
  if (model.empty() == config.empty())
    return fail(ErrorCode::kBadRequest, "give either \"model\", a name or path, or \"config\", the model's config.json", "/model");
  if (!draft.empty()) {
    PLIMSOLL_ASSIGN(request.draft, context.load(draft));
  }
  if (config.empty()) {
    PLIMSOLL_ASSIGN(Model loaded, context.load(model));
    return Task{std::move(loaded), std::move(request)};
  }
  PLIMSOLL_ASSIGN(Model loaded, context.load_config(config, "config"));
  return Task{std::move(loaded), std::move(request)};
}

Result<Plan> make_plan(const Context& context, const char* json) {
  PLIMSOLL_ASSIGN(const Task task, read_task(context, json));
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

int refuse() { return PLIMSOLL_HOST_BAD_REQUEST; }

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
  if (!out_json) return refuse();
  *out_json = nullptr;
  const auto failed = [&](const Error& problem) {
    return hand_out_document(failure_to_json("plimsoll.weights/1", problem), code_number(problem.code), out_json);
  };
  return walled(
      [&] {
        if (!context) return failed(null_argument("context"));
        if (!request_json) return failed(null_argument("request_json"));
        const auto task = read_task(context->context, request_json);
        if (!task) return failed(task.error());
        const auto report = context->context.weights(task->model, task->request);
        if (!report) return failed(report.error());
        return hand_out_document(weights_to_json(*report), PLIMSOLL_HOST_OK, out_json);
      },
      failed);
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
  if (!out_json) return refuse();
  *out_json = nullptr;
  const auto failed = [&](const Error& problem) {
    return hand_out_document(failure_to_json("plimsoll.compare/1", problem), code_number(problem.code), out_json);
  };
  return walled(
      [&] {
        if (!context) return failed(null_argument("context"));
        if (!request_json) return failed(null_argument("request_json"));
        const auto document = compare(context->context, request_json);
        if (!document) return failed(document.error());
        return hand_out_document(*document, PLIMSOLL_HOST_OK, out_json);
      },
      failed);
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
