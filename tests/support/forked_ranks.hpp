// Ranks that are processes, forked by a test in place of mpirun, in memory that was mapped before. Header only. Threads: one.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include "runtime/processes.hpp"

namespace plimsoll::test {

inline constexpr std::uint64_t kRoomBytes = 8U << 20; // of each process

// Memory that was mapped before the fork. Each call of share takes the next part of it.
struct ForkedJob {
  std::byte* memory = nullptr;
  std::uint32_t size = 0;
  std::uint64_t used = 0;

  static bool share(void* self, const std::uint64_t* bytes_of_each, void** addresses) {
    auto& job = *static_cast<ForkedJob*>(self);
    std::uint64_t most = 0;
    for (std::uint32_t i = 0; i < job.size; ++i) most = std::max(most, (bytes_of_each[i] + 4095) / 4096 * 4096);
    if (job.used + most > kRoomBytes) return false;
    for (std::uint32_t i = 0; i < job.size; ++i) addresses[i] = job.memory + i * kRoomBytes + job.used;
    job.used += most;
    return true;
  }
  static void finish(void*) {}
};

using OfRank = std::function<int(Processes&)>;

// Runs it in so many processes; their exit codes, or less than 0 for a signal.
inline std::vector<int> forked(std::uint32_t size, const OfRank& work) {
  void* const memory = mmap(nullptr, size * kRoomBytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  EXPECT_NE(memory, MAP_FAILED);
  std::vector<pid_t> children;
  for (std::uint32_t rank = 0; rank < size; ++rank) {
    const pid_t child = fork();
    if (child == 0) {
      ForkedJob job{static_cast<std::byte*>(memory), size, 0};
      auto joined = Processes::Impl::join({&job, rank, size, ForkedJob::share, ForkedJob::finish}, {});
      int code = 99;
      if (joined) code = work(**joined);
      if (joined && !(*joined)->lost()) joined->reset();
      _exit(code);
    }
    children.push_back(child);
  }
  std::vector<int> codes;
  for (const pid_t child : children) {
    int status = 0;
    waitpid(child, &status, 0);
    codes.push_back(WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
  }
  munmap(memory, size * kRoomBytes);
  return codes;
}

} // namespace plimsoll::test
