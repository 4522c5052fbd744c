#include "runtime/shared_window.hpp"

#include <cstring>
#include <fmt/format.h>

#include "base/checked.hpp"

namespace plimsoll {

void SharedWindow::use(std::span<std::byte> window) {
  const std::scoped_lock lock(mutex_);
  window_ = window;
}

// The first gap that is large enough.
Result<void*> SharedWindow::take_shared(std::uint64_t bytes) {
  const std::scoped_lock lock(mutex_);
  if (bytes > window_.size())
    return fail(ErrorCode::kOutOfMemory, fmt::format("{} B are to be shared; the window has {} B", bytes, window_.size()));
  const std::uint64_t rounded = ceil_div(bytes, kWindowAlignBytes) * kWindowAlignBytes;
  std::uint64_t begin = 0;
  for (const auto& [at, taken] : taken_) {
    if (at - begin >= rounded) break;
    begin = at + taken;
  }
  if (window_.size() - begin < bytes)
    return fail(ErrorCode::kOutOfMemory, fmt::format("{} B are to be shared; the window has {} B left", bytes, window_.size() - begin));
  taken_[begin] = rounded;
  std::memset(window_.data() + begin, 0, bytes);
  return window_.data() + begin;
}

void SharedWindow::give_back(void* memory, std::uint64_t bytes, bool guarded) noexcept {
  {
    const std::scoped_lock lock(mutex_);
    const auto* const at = static_cast<std::byte*>(memory);
    if (!window_.empty() && at >= window_.data() && at < window_.data() + window_.size()) {
      taken_.erase(static_cast<std::uint64_t>(at - window_.data()));
      return;
    }
  }
  host_memory()->give_back(memory, bytes, guarded);
}

} // namespace plimsoll
