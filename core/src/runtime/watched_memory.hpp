// A source of memory that counts what it gave by itself, so that an arena's figures have a witness. Used by verification. Threads: [any].
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <mutex>

#include "plimsoll/arena.hpp"

namespace plimsoll {

class WatchedMemory final : public MemorySource {
public:
  explicit WatchedMemory(std::shared_ptr<MemorySource> from) : from_(std::move(from)) {}

  Result<void*> take(std::uint64_t bytes, bool guarded) override;
  Result<void*> take_shared(std::uint64_t bytes) override;
  void give_back(void* memory, std::uint64_t bytes, bool guarded) noexcept override;
  bool on_host() const noexcept override { return from_->on_host(); }
  void copy_in(void* memory, const void* host, std::uint64_t bytes) override { from_->copy_in(memory, host, bytes); }
  void copy_out(void* host, const void* memory, std::uint64_t bytes) override { from_->copy_out(host, memory, bytes); }
  Result<void*> take_visible(std::uint64_t bytes) override;
  std::optional<std::uint64_t> free_bytes() override { return from_->free_bytes(); }

  std::uint64_t live_bytes() const;
  std::uint64_t takes() const;  // so far
  std::uint64_t blocks() const; // that are taken
  std::uint64_t visible_bytes() const;
  // Working memory is what was asked for with a guard. Fills it with a mark that no computation leaves; then, how many of its bytes do not
  // have it any more.
  void mark_working_memory();
  std::uint64_t working_bytes() const;
  std::uint64_t touched_working_bytes() const;

private:
  struct Block {
    std::uint64_t bytes = 0;
    bool guarded = false, visible = false;
  };
  void for_working_chunks(const std::function<void(std::byte* memory, std::uint64_t bytes)>& use) const;
  void note(void* memory, const Block& block);

  const std::shared_ptr<MemorySource> from_;
  mutable std::mutex mutex_; // of all that follows
  std::map<std::byte*, Block> blocks_;
  std::uint64_t live_bytes_ = 0, takes_ = 0;
};

} // namespace plimsoll
