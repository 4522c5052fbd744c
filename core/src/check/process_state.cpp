#include "check/process_state.hpp"

#include <algorithm>
#include <cfenv>
#include <climits>
#include <clocale>
#include <dirent.h>
#include <fmt/format.h>
#include <fstream>
#include <iterator>
#include <sys/stat.h>
#include <unistd.h>

namespace plimsoll::check {

ProcessState ProcessState::now() {
  ProcessState out;
  if (DIR* const folder = ::opendir("/proc/self/fd"); folder != nullptr) {
    while (::readdir(folder) != nullptr) ++out.files;
    ::closedir(folder);
  }
  std::ifstream maps("/proc/self/maps");
  out.mappings = static_cast<std::size_t>(std::count(std::istreambuf_iterator<char>(maps), {}, '\n'));
  std::array<char, PATH_MAX> folder{};
  if (::getcwd(folder.data(), folder.size()) != nullptr) out.folder_ = folder.data();
  out.umask_ = ::umask(0);
  ::umask(out.umask_);
  if (const char* const locale = ::setlocale(LC_ALL, nullptr)) out.locale_ = locale; // NOLINT(concurrency-mt-unsafe)
  out.rounding_ = std::fegetround();
  for (int number = 1; number < kSignals; ++number) {
    struct sigaction action {};
    if (::sigaction(number, nullptr, &action) == 0) out.handlers_.at(static_cast<std::size_t>(number)) = action.sa_handler;
  }
  return out;
}

std::string ProcessState::change_to(const ProcessState& later) const {
  if (folder_ != later.folder_) return fmt::format("changed the working folder from {} to {}", folder_, later.folder_);
  if (umask_ != later.umask_) return fmt::format("changed the umask from {:o} to {:o}", umask_, later.umask_);
  if (locale_ != later.locale_) return fmt::format("changed the locale from {} to {}", locale_, later.locale_);
  if (rounding_ != later.rounding_) return "changed how floating-point numbers are rounded";
  for (int number = 1; number < kSignals; ++number)
    if (handlers_.at(static_cast<std::size_t>(number)) != later.handlers_.at(static_cast<std::size_t>(number)))
      return fmt::format("changed what happens at SIG{}", ::sigabbrev_np(number) == nullptr ? "?" : ::sigabbrev_np(number));
  return {};
}

} // namespace plimsoll::check
