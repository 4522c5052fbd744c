#include "base/regular_file.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace plimsoll {
namespace {

std::string reason(int error) { return std::error_code(error, std::generic_category()).message(); }

std::string_view kind_of(mode_t mode) {
  if (S_ISDIR(mode)) return "a directory";
  if (S_ISFIFO(mode)) return "a named pipe";
  if (S_ISSOCK(mode)) return "a socket";
  if (S_ISCHR(mode) || S_ISBLK(mode)) return "a device";
  return "no regular file";
}

// What Git leaves where a large file was not fetched: a few lines of text that name it.
Result<void> refuse_lfs_pointer(const RegularFile& file, ErrorCode code) {
  constexpr std::string_view kBegins = "version https://git-lfs.github.com/spec/";
  constexpr std::uint64_t kMostPointerBytes = 1024;
  if (file.file_bytes() < kBegins.size() || file.file_bytes() >= kMostPointerBytes) return {};
  std::array<char, kBegins.size()> start{};
  PLIMSOLL_TRY(file.read(0, start));
  if (std::string_view(start.data(), start.size()) != kBegins) return {};
  return fail(code, "this is the pointer that Git LFS leaves for the file and not the file; run `git lfs pull` in its repository",
              file.path());
}

} // namespace

Result<RegularFile> RegularFile::open(const std::string& path, ErrorCode code) {
  // A look before opening: opening some devices has effects even when nothing is read.
  struct stat before = {};
  if (::stat(path.c_str(), &before) != 0) return fail(code, fmt::format("cannot open the file: {}", reason(errno)), path);
  if (!S_ISREG(before.st_mode)) return fail(code, fmt::format("expected a file, found {}", kind_of(before.st_mode)), path);
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (descriptor < 0) return fail(code, fmt::format("cannot open the file: {}", reason(errno)), path);
  struct stat after = {};
  if (::fstat(descriptor, &after) != 0 || !S_ISREG(after.st_mode)) {
    ::close(descriptor);
    return fail(code, fmt::format("expected a file, found {}", kind_of(after.st_mode)), path);
  }
  RegularFile file(descriptor, path, static_cast<std::uint64_t>(after.st_size), code);
  PLIMSOLL_TRY(refuse_lfs_pointer(file, code));
  return file;
}

RegularFile::RegularFile(RegularFile&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), path_(std::move(other.path_)), file_bytes_(other.file_bytes_), code_(other.code_) {
}

RegularFile& RegularFile::operator=(RegularFile&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  std::swap(path_, other.path_);
  std::swap(file_bytes_, other.file_bytes_);
  std::swap(code_, other.code_);
  return *this;
}

RegularFile::~RegularFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<void> RegularFile::read(std::uint64_t offset_bytes, std::span<char> to) const {
  std::size_t done_bytes = 0;
  while (done_bytes < to.size()) {
    const ssize_t got = ::pread(descriptor_, to.data() + done_bytes, to.size() - done_bytes, static_cast<off_t>(offset_bytes + done_bytes));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail(code_, fmt::format("cannot read the file: {}", reason(errno)), path_);
    if (got == 0)
      return fail(code_, fmt::format("the file ends at byte {}, expected {} more", offset_bytes + done_bytes, to.size() - done_bytes),
                  path_);
    done_bytes += static_cast<std::size_t>(got);
  }
  return {};
}

Result<PathKind> path_kind(const std::string& path) {
  struct stat found = {};
  if (::stat(path.c_str(), &found) != 0) {
    if (errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG) return PathKind::kMissing;
    return fail(ErrorCode::kBadCheckpoint, fmt::format("cannot look at the path: {}", reason(errno)), path);
  }
  if (S_ISREG(found.st_mode)) return PathKind::kFile;
  return S_ISDIR(found.st_mode) ? PathKind::kDirectory : PathKind::kOther;
}

Result<std::string> read_text_file(const std::string& path, std::uint64_t limit_bytes, ErrorCode code) {
  PLIMSOLL_ASSIGN(const RegularFile file, RegularFile::open(path, code));
  if (file.file_bytes() > limit_bytes)
    return fail(code, fmt::format("the file has {} bytes, expected at most {}", file.file_bytes(), limit_bytes), path);
  std::string text(file.file_bytes(), '\0');
  PLIMSOLL_TRY(file.read(0, text));
  return text;
}

} // namespace plimsoll
