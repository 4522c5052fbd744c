// Configurations and requests that nobody meant, from a number: the same number makes the same one everywhere. Threads: pure functions.
#pragma once

#include <cstdint>

#include "base/json.hpp"
#include "plimsoll/abi.h"

namespace plimsoll::check {

// One value anywhere becomes any value.
Json with_any_value(const Json& config, std::uint64_t seed, std::uint64_t step);
// Several changes: numbers, keys that go, move or come twice under other names, values of another kind.
Json mutated(const Json& config, std::uint64_t seed, std::uint64_t step);
// A layout and sizes of any kind: ranks that agree with each other, as a host has them, and nothing else that does.
struct AnyRequest {
  std::uint32_t tp, pp, dp, ep;
  std::uint64_t max_length, max_batch_size, max_batch_input_tokens, free_bytes;
  std::uint32_t compute_bits, kv_bits, phase, num_draft_tokens;
};
AnyRequest any_request(std::uint64_t seed, std::uint64_t step);

} // namespace plimsoll::check
