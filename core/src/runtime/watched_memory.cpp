#include "runtime/watched_memory.hpp"

#include <cstring>

namespace plimsoll {
namespace {

constexpr std::uint32_t kMark = 0x7FA5C3E1; // a signalling NaN: arithmetic makes quiet ones

} // namespace

Result<void*> WatchedMemory::take(std::uint64_t bytes, bool guarded) {
  PLIMSOLL_ASSIGN(void* memory, from_->take(bytes, guarded));
  note(memory, bytes, guarded);
  return memory;
}

Result<void*> WatchedMemory::take_shared(std::uint64_t bytes) {
  PLIMSOLL_ASSIGN(void* memory, from_->take_shared(bytes));
  note(memory, bytes, false);
  return memory;
}

void WatchedMemory::note(void* memory, std::uint64_t bytes, bool guarded) {
  const std::scoped_lock lock(mutex_);
  blocks_[static_cast<std::byte*>(memory)] = {bytes, guarded};
  live_bytes_ += bytes;
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

void WatchedMemory::mark_working_memory() {
  const std::scoped_lock lock(mutex_);
  for (const auto& [memory, block] : blocks_)
    for (std::uint64_t at = 0; block.guarded && at + sizeof(kMark) <= block.bytes; at += sizeof(kMark))
      std::memcpy(memory + at, &kMark, sizeof(kMark));
}

std::uint64_t WatchedMemory::working_bytes() const {
  const std::scoped_lock lock(mutex_);
  std::uint64_t sum = 0;
  for (const auto& [memory, block] : blocks_) sum += block.guarded ? block.bytes : 0;
  return sum;
}

std::uint64_t WatchedMemory::touched_working_bytes() const {
  const std::scoped_lock lock(mutex_);
  std::uint64_t sum = 0;
  for (const auto& [memory, block] : blocks_)
    for (std::uint64_t at = 0; block.guarded && at + sizeof(kMark) <= block.bytes; at += sizeof(kMark))
      sum += std::memcmp(memory + at, &kMark, sizeof(kMark)) == 0 ? 0 : sizeof(kMark);
  return sum;
}

} // namespace plimsoll
