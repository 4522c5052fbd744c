// Runs the built program as a user does: arguments, standard input, environment; gives back what it wrote and how it ended.
// Called by the tests of the command line only. Never uses a shell. Threads: one run at a time per Program.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace plimsoll::cli_test {

// A program that is built with sanitizers takes half a second to start: tables of many rows try some of them there, all elsewhere.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif
inline constexpr bool is_tried(std::size_t row) { return !kSanitized || row % 4 == 0; }

struct Outcome {
  int code = -1; // exit code, or -signal
  std::string out, err;
  std::uint64_t peak_bytes = 0; // of resident memory; at least what this process had at its peak
};

struct Invocation {
  std::vector<std::string> arguments;
  std::string program = {}; // another one than ours, found by PATH
  std::string input = {};
  std::vector<std::string> environment = {}; // "NAME=value"; only PATH, HOME and settings of the tests are inherited
  std::string out_path = {};                 // where standard output goes instead of Outcome::out
  bool closed_pipe = false;                  // standard output is a pipe that nobody reads
  std::uint64_t most_file_bytes = 0;         // a limit on every file that it writes; 0: none
};

Outcome run(const Invocation& run);
Outcome run(std::vector<std::string> arguments);

// A folder of this test process, removed at its end.
const std::string& scratch_folder();
std::string write_scratch(const std::string& name, const std::string& text);
std::string read_text(const std::string& path);
// tests/data/cli/NAME
std::string data_path(const std::string& name);

} // namespace plimsoll::cli_test
