// See progress.hpp.
#include "progress.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <unistd.h>

namespace plimsoll::cli {
namespace {

constexpr std::chrono::milliseconds kPatience{300}, kStep{100};
constexpr std::uint64_t kBarColumns = 30;

} // namespace

Progress::Progress(const Output& output) : wanted_(!output.quiet && isatty(STDERR_FILENO) == 1), next_(Clock::now() + kPatience) {}

void Progress::show(std::uint64_t done, std::uint64_t of) {
  if (!wanted_ || of == 0 || Clock::now() < next_) return;
  next_ = Clock::now() + kStep;
  const std::uint64_t full = std::min(kBarColumns, done * kBarColumns / of);
  write_all(STDERR_FILENO, fmt::format("\r[{}{}] {} of {} tried", std::string(full, '#'), std::string(kBarColumns - full, '.'), done, of));
  shown_ = true;
}

void Progress::clear() {
  if (shown_) write_all(STDERR_FILENO, "\r\x1b[K");
  shown_ = false;
}

} // namespace plimsoll::cli
