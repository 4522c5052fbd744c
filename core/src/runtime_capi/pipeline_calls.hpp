// What the handles of pipelines have in common: how one is made of a request, and its plan as a document. Never lets an exception out.
#pragma once

#include <cstdint>
#include <utility>

#include "base/c_interface.hpp"
#include "capi/context_handle.hpp"
#include "plimsoll/plan_task.hpp"
#include "plimsoll/runtime.h"

namespace plimsoll::capi {

// A request is for our own engine where it names none.
inline Result<PlanTask> read_run_task(const Context& context, const char* request_json) {
  PlanRequest usual;
  usual.engine = "reference";
  return read_plan_task(context, request_json, std::move(usual));
}

// `load(context, progress)` is a Result of what `out` is handed.
template <class Handle, class Load>
int create_pipeline(const plimsoll_context* context, const char* request_json, plimsoll_load_progress progress, void* user, Handle** out,
                    char** error, const Load& load) {
  if (error) *error = nullptr;
  if (out) *out = nullptr;
  const auto failed = [&](const Error& problem) { return hand_out_error(problem, error); };
  return walled(
      [&] {
        if (context == nullptr || request_json == nullptr || out == nullptr)
          return failed(null_argument(context == nullptr ? "context" : request_json == nullptr ? "request_json" : "out"));
        LoadProgress told;
        if (progress != nullptr) told = [progress, user](std::uint64_t done, std::uint64_t total) { progress(user, done, total); };
        auto loaded = load(context->context, std::move(told));
        if (!loaded) return failed(loaded.error());
        return hand_out_object(std::move(*loaded), out);
      },
      failed);
}

template <class Handle>
int hand_out_plan(const Handle* handle, char** out_json) {
  if (handle == nullptr || out_json == nullptr) return PLIMSOLL_HOST_BAD_REQUEST;
  *out_json = nullptr;
  return walled([&] { return hand_out_document(plan_to_json(handle->pipeline.plan()), PLIMSOLL_HOST_OK, out_json); },
                [](const Error& problem) { return code_number(problem.code); });
}

} // namespace plimsoll::capi
