// Where results and messages go: standard output or a file written at once, and standard error.
// A full disk or a closed pipe is reported or respected, never ignored. Threads: one.
#pragma once

#include <string>
#include <string_view>

#include "plimsoll/host.hpp"
#include "plimsoll/result.hpp"
#include "terminal.hpp"

namespace plimsoll::cli {

enum class Format { kTable, kJson, kYaml };

// The contract of exit codes.
constexpr int kExitFits = 0, kExitDoesNotFit = 1, kExitUsage = 2, kExitPluginFailed = 3, kExitInternal = 4;
int exit_code(const Error& error);
int exit_code(const Plan& plan);

struct Output {
  Format format = Format::kTable;
  std::string file; // empty: standard output
  ColourChoice colour = ColourChoice::kAuto;
  bool quiet = false, verbose = false;

  Style style() const { return output_style(colour, !file.empty()); }
  // Writes the text and gives `code`, or the exit code of what went wrong. A reader that has gone away is no failure.
  int write(std::string_view text, int code) const;
  // The same for a JSON document in the chosen format, which is not kTable.
  int write_document(std::string json, int code) const;
  // Reports an error: as a document of `schema` in the chosen format, or as a line on standard error.
  int fail(const Error& error, std::string_view schema) const;
  // "plimsoll: warning: ..." on standard error.
  void message(LogLevel level, std::string_view text) const;
};

// `text` to a file that is complete or as it was; `option` names it in the error.
Result<void> write_whole_file(const std::string& path, std::string_view text, std::string_view option);

// All of `text` to a descriptor; 0, or the errno.
int write_all(int descriptor, std::string_view text);

} // namespace plimsoll::cli
