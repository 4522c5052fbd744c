// How far a search is, as a line on a terminal that vanishes again; nothing where standard error is none, and nothing of what is done in
// no time. Called from one thread at a time.
#pragma once

#include <chrono>
#include <cstdint>

#include "output.hpp"

namespace plimsoll::cli {

class Progress {
public:
  explicit Progress(const Output& output);
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void show(std::uint64_t done, std::uint64_t of);
  void clear();

private:
  using Clock = std::chrono::steady_clock;
  bool wanted_ = false, shown_ = false;
  Clock::time_point next_; // not before
};

} // namespace plimsoll::cli
