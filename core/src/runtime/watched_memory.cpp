#include "runtime/watched_memory.hpp"

#include <algorithm>
#include <vector>

namespace plimsoll {
namespace {

constexpr std::uint32_t kMark = 0x7FA5C3E1; // a signalling NaN: arithmetic makes quiet ones
constexpr std::uint64_t kChunkBytes = 1U << 20;

} // namespace

Result<void*> WatchedMemory::take(std::uint64_t bytes, bool guarded) {
  PLIMSOLL_ASSIGN(void* memory, from_->take(bytes, guarded));
  note(memory, {bytes, guarded, false});
  return memory;
}

Result<void*> WatchedMemory::take_shared(std::uint64_t bytes) {
  PLIMSOLL_ASSIGN(void* memory, from_->take_shared(bytes));
  note(memory, {bytes, false, false});
  return memory;
}

Result<void*> WatchedMemory::take_visible(std::uint64_t bytes) {
  PLIMSOLL_ASSIGN(void* memory, from_->take_visible(bytes));
  note(memory, {bytes, false, true});
  return memory;
}

void WatchedMemory::note(void* memory, const Block& block) {
  const std::scoped_lock lock(mutex_);
  blocks_[static_cast<std::byte*>(memory)] = block;
  live_bytes_ += block.bytes;
  ++takes_;
}

void WatchedMemory::give_back(void* memory, std::uint64_t bytes, bool guarded) noexcept {
  {
    const std::scoped_lock lock(mutex_);
    if (const auto block = blocks_.find(static_cast<std::byte*>(memory)); block != blocks_.end()) {
      live_bytes_ -= block->second.bytes;
      blocks_.erase(block);
    }
  }
  from_->give_back(memory, bytes, guarded);
}

std::uint64_t WatchedMemory::live_bytes() const {
  const std::scoped_lock lock(mutex_);
  return live_bytes_;
}

std::uint64_t WatchedMemory::takes() const {
  const std::scoped_lock lock(mutex_);
  return takes_;
}

std::uint64_t WatchedMemory::blocks() const {
  const std::scoped_lock lock(mutex_);
  return blocks_.size();
}

std::uint64_t WatchedMemory::visible_bytes() const {
  const std::scoped_lock lock(mutex_);
  std::uint64_t sum = 0;
  for (const auto& [memory, block] : blocks_) sum += block.visible ? block.bytes : 0;
  return sum;
}

void WatchedMemory::mark_working_memory() {
  const std::vector<std::uint32_t> marks(kChunkBytes / sizeof(kMark), kMark);
  for_working_chunks([&](std::byte* memory, std::uint64_t bytes) { from_->copy_in(memory, marks.data(), bytes); });
}

std::uint64_t WatchedMemory::working_bytes() const {
  const std::scoped_lock lock(mutex_);
  std::uint64_t sum = 0;
  for (const auto& [memory, block] : blocks_) sum += block.guarded ? block.bytes : 0;
  return sum;
}

std::uint64_t WatchedMemory::touched_working_bytes() const {
  std::vector<std::uint32_t> words(kChunkBytes / sizeof(kMark));
  std::uint64_t sum = 0;
  for_working_chunks([&](std::byte* memory, std::uint64_t bytes) {
    from_->copy_out(words.data(), memory, bytes);
    for (std::uint64_t i = 0; i < bytes / sizeof(kMark); ++i) sum += words[i] == kMark ? 0 : sizeof(kMark);
  });
  return sum;
}

// Calls with whole words of what was asked for with a guard, in parts.
void WatchedMemory::for_working_chunks(const std::function<void(std::byte*, std::uint64_t)>& use) const {
  const std::scoped_lock lock(mutex_);
  for (const auto& [memory, block] : blocks_)
    for (std::uint64_t at = 0; block.guarded && at + sizeof(kMark) <= block.bytes; at += kChunkBytes)
      use(memory + at, std::min(kChunkBytes, (block.bytes - at) / sizeof(kMark) * sizeof(kMark)));
}

} // namespace plimsoll
