// Memory for a rank that is a process: what is asked for as shared lies in a window that the other processes see, the rest is this
// process's own. Given to arenas. Threads: [any]; `use` while nothing of the window is taken.
#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <span>

#include "plimsoll/arena.hpp"

namespace plimsoll {

class SharedWindow final : public MemorySource {
public:
  void use(std::span<std::byte> window);

  Result<void*> take(std::uint64_t bytes, bool guarded) override { return host_memory()->take(bytes, guarded); }
  Result<void*> take_shared(std::uint64_t bytes) override;
  void give_back(void* memory, std::uint64_t bytes, bool guarded) noexcept override;

private:
  std::mutex mutex_; // of all that follows
  std::span<std::byte> window_;
  std::map<std::uint64_t, std::uint64_t> taken_; // bytes by where they begin
};

inline constexpr std::uint64_t kWindowAlignBytes = 64;

} // namespace plimsoll
