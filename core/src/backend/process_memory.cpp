#include "backend/process_memory.hpp"

#include <array>
#include <cstdlib>
#include <fcntl.h>
#include <string_view>
#include <unistd.h>

namespace plimsoll {

// The kernel's cheaper counters lag.
Result<std::uint64_t> anonymous_bytes() {
  std::array<char, 4096> text;
  const int file = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
  const ssize_t length = file < 0 ? -1 : read(file, text.data(), text.size() - 1);
  if (file >= 0) close(file);
  constexpr std::string_view kKey = "\nAnonymous:";
  const std::string_view all(text.data(), length > 0 ? static_cast<std::size_t>(length) : 0);
  const std::size_t at = all.find(kKey);
  if (at == std::string_view::npos)
    return fail(ErrorCode::kInternal, "this system does not say how much memory a process has", "/proc/self/smaps_rollup");
  text[all.size()] = '\0';
  return std::strtoull(all.data() + at + kKey.size(), nullptr, 10) * 1024;
}

} // namespace plimsoll
