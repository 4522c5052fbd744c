// Reads a file from front to back through a window, or bytes in memory: what the GGUF reader moves along.
// Never reads beyond the file or beyond its limit; holds one window, whatever the file says.
// Threads: one at a time.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "base/regular_file.hpp"

namespace plimsoll {

class GgufCursor {
public:
  static constexpr std::uint64_t kWindowBytes = 1U << 18;

  // `file` outlives the cursor. Nothing beyond `limit_bytes` is read.
  GgufCursor(const RegularFile& file, std::uint64_t limit_bytes)
      : file_(&file), end_of_all_(std::min(file.file_bytes(), limit_bytes)), window_(std::make_unique_for_overwrite<char[]>(kWindowBytes)) {
  }
  GgufCursor(const char* bytes, std::uint64_t available_bytes, std::uint64_t limit_bytes)
      : end_of_all_(std::min(available_bytes, limit_bytes)), at_(bytes), end_(bytes + end_of_all_), window_end_(end_of_all_) {}

  std::uint64_t position() const { return window_end_ - static_cast<std::uint64_t>(end_ - at_); }
  std::uint64_t left_bytes() const { return end_of_all_ - position(); }
  std::optional<Error>& read_error() { return read_error_; }

  // At least `bytes` (not more than a window) lie at data() now; false at the end.
  bool need(std::uint64_t bytes) { return static_cast<std::uint64_t>(end_ - at_) >= bytes || refill(bytes); }
  const char* data() const { return at_; }

  template <class T>
  bool read(T& value) {
    if (!need(sizeof(T))) return false;
    std::memcpy(&value, at_, sizeof(T));
    at_ += sizeof(T);
    if constexpr (std::endian::native == std::endian::big && sizeof(T) > 1) {
      auto* const bytes = reinterpret_cast<unsigned char*>(&value);
      std::reverse(bytes, bytes + sizeof(T));
    }
    return true;
  }
  // The view holds until the cursor moves on.
  bool read_text(std::uint64_t bytes, std::string_view& text) {
    if (bytes > kWindowBytes || !need(bytes)) return false;
    text = {at_, static_cast<std::size_t>(bytes)};
    at_ += bytes;
    return true;
  }
  bool skip(std::uint64_t bytes) {
    if (bytes <= static_cast<std::uint64_t>(end_ - at_)) {
      at_ += bytes;
      return true;
    }
    if (bytes > left_bytes()) return false;
    window_end_ = position() + bytes;
    at_ = end_ = window_.get();
    return true;
  }
  // `count` strings, each behind its length.
  bool skip_strings(std::uint64_t count) {
    for (; count > 0; --count) {
      std::uint64_t length = 0;
      if (!read(length) || !skip(length)) return false;
    }
    return true;
  }

private:
  bool refill(std::uint64_t bytes) {
    if (file_ == nullptr || bytes > left_bytes() || bytes > kWindowBytes) return false;
    const std::uint64_t from = position();
    const std::uint64_t wanted = std::min(kWindowBytes, end_of_all_ - from);
    if (auto got = file_->read(from, {window_.get(), static_cast<std::size_t>(wanted)}); !got) {
      read_error_ = std::move(got.error());
      return false;
    }
    at_ = window_.get();
    end_ = at_ + wanted;
    window_end_ = from + wanted;
    return true;
  }

  const RegularFile* file_ = nullptr;
  std::uint64_t end_of_all_ = 0;
  std::unique_ptr<char[]> window_;
  const char* at_ = nullptr;
  const char* end_ = nullptr;
  std::uint64_t window_end_ = 0; // position of end_ in the file
  std::optional<Error> read_error_;
};

} // namespace plimsoll
