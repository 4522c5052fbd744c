// The same work for many numbers, on all cores: the caller's thread and as many more as the machine has cores, each taking the next number.
// For searches over plans. Never lets an exception out of a thread: the first is thrown where it was called. Threads: joined on return.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace plimsoll {

// Calls work(i) for every i below n, in no order; `least_for_threads`: below, starting a thread costs more than it saves.
template <class Work>
void on_all_cores(std::size_t n, Work&& work, std::size_t least_for_threads = 2) {
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  std::exception_ptr failed;
  const auto take = [&] {
    try {
      for (std::size_t i = next++; i < n; i = next++) work(i);
    } catch (...) {
      next = n;
      const std::lock_guard lock(mutex);
      if (!failed) failed = std::current_exception();
    }
  };
  std::vector<std::thread> others;
  const std::size_t cores = n < least_for_threads ? 1 : std::max(1U, std::thread::hardware_concurrency());
  try {
    for (std::size_t other = 1; other < std::min(cores, n); ++other) others.emplace_back(take);
  } catch (const std::exception&) { // no more threads to be had: these do the rest
  }
  take();
  for (std::thread& other : others) other.join();
  if (failed) std::rethrow_exception(failed);
}

} // namespace plimsoll
