// The rules at the top of abi.h and the tests that prove them: every rule has one number and one enforcer, and what the host or the SDK
// enforces is named by a test. Reads text, no grammar. Threads: pure functions.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::lint {

struct AbiRule {
  int number = 0;
  std::size_t line = 0;  // of the header, from 1
  std::string text;      // all of it, without the number
  std::string enforcers; // of [host], [sdk] and [nobody] those that stand in it, in that order
};

// In the order in which they stand.
std::vector<AbiRule> rules_of(std::string_view header);

struct NamedText {
  std::string path, text;
};

// One line per fault, "path:line: what". `changes` is the ABI's change log, which says "R-07 is retired" of a number without a rule. Of
// `sources` none may cite a rule that is not there; those that are tests are what proves a rule.
std::vector<std::string> check_abi_rules(const NamedText& header, std::string_view changes, const std::vector<NamedText>& sources);

// Whether a file's citations count as proof: a test's, and not of the checks of the tree itself.
bool proves_rules(std::string_view path);

} // namespace plimsoll::lint
