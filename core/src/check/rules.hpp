// The rules of a planner plugin that are checked, one row each: what is required, why, what breaks otherwise. Numbers are for ever; the
// page sdk/docs/contract.md is made from this table. Threads: constants.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "plimsoll/check.hpp"

namespace plimsoll::check {

struct Rule {
  CheckRule says;
  std::string_view needs; // the rule without which this one cannot be asked; empty: none
  std::string_view abi;   // rules of plimsoll/abi.h that it checks: "R-01 R-03"
  bool in_host = false;   // reads files alone, in the process of who asks
  bool threads = false;   // its case has threads
};
std::span<const Rule> rules();
const Rule* find_rule(std::string_view id);

// A number that was given and is not checked, and why.
struct LeftOut {
  std::string_view id, reason;
};
std::span<const LeftOut> left_out();

// The tables of sdk/docs/contract.md.
std::string contract_tables();

} // namespace plimsoll::check
