// Errors as values: what every fallible function of the library returns.
// Codes are for programs and are part of the plan document; messages are for people and say what was
// found, what was expected and what to do. No exception leaves the library. Threads: plain values.
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

#include "plimsoll/export.hpp"

namespace plimsoll {

enum class ErrorCode {
  kBadConfig,               // config.json is wrong, incomplete or contradictory
  kBadCheckpoint,           // a safetensors or GGUF header is wrong, or a shard is missing
  kBadRequest,              // an option, a pipeline file, a device list or an impossible layout
  kUnsupportedArchitecture, // no planner knows this architecture
  kModelTooLarge,           // weights, activations and buffers alone exceed the memory
  kNoRoomForKv,             // nothing is left for the KV cache
  kNoPageFits,              // something is left, but less than one page
  kOutOfMemory,             // the plan as a whole exceeds the memory
  kPluginFailed,            // a plugin could not be loaded or answered with an error of its own
  kInsufficientBlocks,      // the KV pool has fewer free pages than a request needs now; nothing was changed
  kOverPlan,                // an allocation beyond what the plan sets aside for it
  kInternal                 // a bug of ours
};

// The code's name in documents: "bad_config", "no_room_for_kv", ...
std::string_view PLIMSOLL_API error_code_name(ErrorCode code) noexcept;

struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message; // one sentence
  std::string where;   // file and JSON pointer, tensor, or option; may be empty
};

template <class T>
using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> fail(ErrorCode code, std::string message, std::string where = {}) {
  return tl::unexpected<Error>(Error{code, std::move(message), std::move(where)});
}

} // namespace plimsoll

// Returns the error of `expression`, or goes on.
#define PLIMSOLL_TRY(expression)                                                                                                           \
  do {                                                                                                                                     \
    if (auto plimsoll_try_result = (expression); !plimsoll_try_result) return tl::unexpected(std::move(plimsoll_try_result.error()));      \
  } while (false)

#define PLIMSOLL_CONCAT_INNER(a, b) a##b
#define PLIMSOLL_CONCAT(a, b)       PLIMSOLL_CONCAT_INNER(a, b)
// `declaration` = the value of `expression`, or returns its error.
#define PLIMSOLL_ASSIGN(declaration, expression)                                                                                           \
  auto PLIMSOLL_CONCAT(plimsoll_result_, __LINE__) = (expression);                                                                         \
  if (!PLIMSOLL_CONCAT(plimsoll_result_, __LINE__)) return tl::unexpected(std::move(PLIMSOLL_CONCAT(plimsoll_result_, __LINE__).error())); \
  declaration = std::move(*PLIMSOLL_CONCAT(plimsoll_result_, __LINE__))
