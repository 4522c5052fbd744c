#include "base/file.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/human.hpp"

namespace plimsoll {

Result<std::string> read_text_file(const std::string& path, std::uint64_t limit_bytes, ErrorCode code) {
  if (path.find('\0') != std::string::npos) return fail(code, "the path holds a NUL byte", path.c_str());
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return fail(code, fmt::format("cannot be opened: {}", std::strerror(errno)), path);
  struct Closer {
    int fd;
    ~Closer() { ::close(fd); }
  } closer{fd};
  struct stat info {};
  if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) return fail(code, "is not a regular file", path);
  const auto size = static_cast<std::uint64_t>(info.st_size);
  if (size > limit_bytes)
    return fail(code, fmt::format("is {} long; at most {} are read", human_bytes(size), human_bytes(limit_bytes)), path);
  std::string text(static_cast<std::size_t>(size), '\0');
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t n = ::read(fd, text.data() + done, text.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(code, fmt::format("cannot be read: {}", std::strerror(errno)), path);
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  text.resize(done);
  return text;
}

} // namespace plimsoll
