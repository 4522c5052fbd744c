// What goes over the channel between a host and a worker. One end is worker/isolated_planners.hpp, the other worker/worker.hpp.
//
// The host asks, one thing at a time: kMake a model's planners of its configuration and let them declare, kPrice a request, kDescribe a
// part of the forward pass, kOpen a plugin. The worker answers with kDone or kFailed, and meanwhile may kLog, ask for the kTensors that are
// stored, or, while it describes, hand over kSteps, whose last one may want an answer. A part of a part is asked for while the
// worker waits for that answer.
#pragma once

#include <cstdint>
#include <string_view>

#include "plimsoll/result.hpp"
#include "worker/wire.hpp"

namespace plimsoll::wire {

enum class Ask : std::uint8_t { kMake = 1, kPrice, kDescribe, kOpen, kTensors, kStepped };
enum class Answer : std::uint8_t { kDone = 1, kFailed, kLog, kTensors, kSteps };
enum class Price : std::uint8_t { kActivations = 1, kSignalBuffers, kMaxBatch };
enum class Step : std::uint8_t { kOp = 1, kValue, kRope, kPart, kShared };

inline WireWriter message(Ask kind) {
  WireWriter out;
  out(static_cast<std::uint8_t>(kind));
  return out;
}
inline WireWriter message(Answer kind) {
  WireWriter out;
  out(static_cast<std::uint8_t>(kind));
  return out;
}

inline void write_error(WireWriter& out, const Error& error) {
  out(static_cast<std::uint32_t>(error.code)), out(error.message), out(error.where);
}

} // namespace plimsoll::wire
