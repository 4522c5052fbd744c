// Threads for the ranks of a model, which sleep between passes: the caller's own is rank 0. Threads: [serial].
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace plimsoll {

class RankThreads {
public:
  using Work = std::function<void(std::uint32_t rank)>;

  explicit RankThreads(std::uint32_t ranks);
  RankThreads(const RankThreads&) = delete;
  RankThreads& operator=(const RankThreads&) = delete;
  ~RankThreads();

  // Does it on every rank at the same time; returns when all have. `work` must not throw.
  void run(const Work& work);

private:
  void serve(std::uint32_t rank);

  std::mutex mutex_; // of all that follows
  std::condition_variable changed_;
  const Work* work_ = nullptr;
  std::uint64_t round_ = 0;
  std::uint32_t busy_ = 0;
  bool ending_ = false;
  std::vector<std::thread> threads_; // of ranks from 1 on
};

} // namespace plimsoll
