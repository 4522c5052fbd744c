// The command line of `plimsoll verify`, which two programs read: without --run the planner alone, with it plimsoll-run. Threads: one.
#pragma once

#include <cstdint>
#include <string>

#include "command.hpp"

namespace plimsoll::cli {

struct VerifyAsked {
  bool run = false;
  std::string inject;
  std::string device_backend; // --device-backend
  std::uint64_t seed = 0;
};

// Options of plans and of verification. `asked` outlives the line.
void add_verify_options(CommandLine& line, VerifyAsked& asked);

inline constexpr std::string_view kVerifySchema = "plimsoll.verify/1";
inline constexpr std::string_view kVerifyDescription =
    "Holds a plan against what really happens. Without --run the plan's caches are allocated on this machine's GPUs and given back; with "
    "--run the model is loaded into this machine's memory and driven through the worst that the plan promises.";
inline constexpr std::string_view kVerifyFooter =
    "Examples:\n  plimsoll verify meta-llama/Llama-3.1-8B --kv-cache-bytes 20GiB\n"
    "  plimsoll verify ./model --run --devices 64MiB --max-batch-size 4\n"
    "  plimsoll verify ./model --run --inject leak     (must end with 1)\n"
    "Exit codes: 0 it holds, 1 it does not or the plan does not fit, 2 wrong usage or no GPU, 3 a plugin failed, 4 internal.";

} // namespace plimsoll::cli
