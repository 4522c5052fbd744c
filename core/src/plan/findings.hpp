// What the steps of a plan have to say beside numbers: warnings, the first thing that does not fit, what binds. Each step
// is handed one to add to; none reads what another said but for `error`. Threads: one plan, one thread.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "plimsoll/host.hpp"

namespace plimsoll {

struct Findings {
  std::vector<Warning> warnings;
  std::optional<Error> error;
  std::string binding;
  std::vector<std::vector<BrokenLimit>> broken; // per rank, of a plan that does not fit

  void warn(WarningCode code, std::string message) { warnings.push_back({code, std::move(message)}); }
  // The first thing that does not fit is the plan's error, and what it names binds.
  void does_not_fit(ErrorCode code, std::string message, std::string where, std::string binds = {}) {
    if (error) return;
    error = Error{code, std::move(message), std::move(where)};
    if (binding.empty()) binding = std::move(binds);
  }
};

} // namespace plimsoll
