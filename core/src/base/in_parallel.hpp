// One piece of work on a few threads: workers take what is next until nothing is left.
// Called by the plugin registry and by the checkpoint scan. Where the system gives no more threads, fewer workers do it all;
// the caller's thread is always one. Threads: returns when all workers have ended.
#pragma once

#include <algorithm>
#include <system_error>
#include <thread>
#include <vector>

namespace plimsoll {

// More than two do not pay: what is read is short.
inline unsigned workers_that_pay() { return std::min(2U, std::max(1U, std::thread::hardware_concurrency())); }

// Calls work(worker) for workers 0 to `workers` - 1 at the same time; `work` must not throw, and must not rely on every worker
// being called.
template <class Work>
void in_parallel(unsigned workers, const Work& work) {
  std::vector<std::thread> others;
  for (unsigned worker = 1; worker < workers; ++worker) {
    try {
      others.emplace_back([&work, worker] { work(worker); });
    } catch (const std::system_error&) {
      break;
    }
  }
  work(0U);
  for (std::thread& other : others) other.join();
}

} // namespace plimsoll
