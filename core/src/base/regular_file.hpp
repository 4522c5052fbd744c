// A regular file opened for reading at offsets: the only way the readers of this room touch the disk.
// Never blocks on a FIFO, never follows into a device or a
// directory, never reads more than asked. Threads: const functions may be called from any thread at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "plimsoll/result.hpp"

namespace plimsoll {

class RegularFile {
public:
  // kBadCheckpoint (or `code`) for anything that is not a readable regular file; the message says what it is instead.
  static Result<RegularFile> open(const std::string& path, ErrorCode code = ErrorCode::kBadCheckpoint);

  RegularFile(RegularFile&& other) noexcept;
  RegularFile& operator=(RegularFile&& other) noexcept;
  RegularFile(const RegularFile&) = delete;
  RegularFile& operator=(const RegularFile&) = delete;
  ~RegularFile();

  const std::string& path() const { return path_; }
  // The length when the file was opened.
  std::uint64_t file_bytes() const { return file_bytes_; }
  // Fills `to` from `offset_bytes`; an error where the file ends before that.
  Result<void> read(std::uint64_t offset_bytes, std::span<char> to) const;

private:
  RegularFile(int descriptor, std::string path, std::uint64_t file_bytes, ErrorCode code)
      : descriptor_(descriptor), path_(std::move(path)), file_bytes_(file_bytes), code_(code) {}

  int descriptor_ = -1;
  std::string path_;
  std::uint64_t file_bytes_ = 0;
  ErrorCode code_ = ErrorCode::kBadCheckpoint;
};

enum class PathKind { kMissing, kFile, kDirectory, kOther };

// What lies at `path`, symbolic links followed; an error for a loop of links or a path that may not be looked at.
Result<PathKind> path_kind(const std::string& path);

// A whole text file, at most `limit_bytes` long.
Result<std::string> read_text_file(const std::string& path, std::uint64_t limit_bytes, ErrorCode code);

} // namespace plimsoll
