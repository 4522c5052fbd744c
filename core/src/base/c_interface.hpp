// The exception wall of the C interfaces (plimsoll/host.h, plimsoll/runtime.h): what every function of theirs does alike.
// Never lets an exception out. Threads: pure functions.
#pragma once

#include <exception>
#include <memory>
#include <new>
#include <string_view>
#include <utility>

#include "base/handed_out.hpp"
#include "plimsoll/host.h"
#include "plimsoll/result.hpp"

namespace plimsoll::capi {

// PLIMSOLL_HOST_...
int code_number(ErrorCode code);

Error null_argument(const char* which);

// The error as a JSON text in *out, where that is asked for; returns its number.
int hand_out_error(const Error& error, char** out);

// `code`, or INTERNAL where there is no memory for the text.
int hand_out_document(std::string_view document, int code, char** out);

// Moves an object to where plimsoll_free finds it.
template <class Object>
int hand_out_object(Object object, Object** out) {
  void* room = hand_out_room(sizeof(Object), [](void* at) noexcept { std::destroy_at(static_cast<Object*>(at)); });
  if (!room) throw std::bad_alloc();
  *out = new (room) Object(std::move(object));
  return PLIMSOLL_HOST_OK;
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

} // namespace plimsoll::capi
