// The program of one case: what plimsoll-worker is when it is asked for the role "case". One message comes, with the rule and its inputs;
// progress and the finding go back. Threads: those of a case that has some are there before the process is closed off.
#pragma once

#include <string_view>

namespace plimsoll::check {

inline constexpr std::string_view kCaseRole = "case", kWithThreads = "threads", kWithoutThreads = "alone";
// With which a case ends a process as a host does.
inline constexpr int kHostsStatus = 7;

// `argv`: as ChildSide has it, then the role and kWithThreads or kWithoutThreads. Does not return.
[[noreturn]] void case_main(int argc, const char* const* argv);

} // namespace plimsoll::check
