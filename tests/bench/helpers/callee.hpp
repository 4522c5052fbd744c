// The class behind the virtual call that calls across the ABI are measured against. Called by call_bench.
// Never holds more than one number. Threads: plain values.
#pragma once

#include <cstdint>

#include "plimsoll/abi.h"

namespace plimsoll::bench {

class Callee {
public:
  virtual int max_batch(const plimsoll_request& request, std::uint64_t& out) const = 0;
  virtual void destroy() = 0;

protected:
  ~Callee() = default;
};

} // namespace plimsoll::bench
