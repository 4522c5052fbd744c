// What a process is like apart from its memory: files, folder, umask, signals, locale, the rounding of numbers. Threads: the one that
// looks.
#pragma once

#include <array>
#include <csignal>
#include <cstddef>
#include <string>
#include <sys/types.h>

namespace plimsoll::check {

struct ProcessState {
  static ProcessState now();
  // What is not as it was, in words; empty: nothing. Open files are counted apart.
  std::string change_to(const ProcessState& later) const;

  std::size_t files = 0, mappings = 0;

private:
  static constexpr int kSignals = 32;
  std::string folder_, locale_;
  mode_t umask_ = 0;
  int rounding_ = 0;
  std::array<void (*)(int), kSignals> handlers_{};
};

} // namespace plimsoll::check
