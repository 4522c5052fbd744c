#include "runtime/rank_threads.hpp"

namespace plimsoll {

RankThreads::RankThreads(std::uint32_t ranks) {
  for (std::uint32_t rank = 1; rank < ranks; ++rank) threads_.emplace_back([this, rank] { serve(rank); });
}

RankThreads::~RankThreads() {
  {
    const std::scoped_lock lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void RankThreads::run(const Work& work) {
  {
    const std::scoped_lock lock(mutex_);
    work_ = &work;
    busy_ = static_cast<std::uint32_t>(threads_.size());
    ++round_;
  }
  changed_.notify_all();
  work(0);
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return busy_ == 0; });
}

void RankThreads::serve(std::uint32_t rank) {
  std::uint64_t done = 0;
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return ending_ || round_ != done; });
    if (ending_) return;
    done = round_;
    const Work& work = *work_;
    lock.unlock();
    work(rank);
    lock.lock();
    if (--busy_ == 0) changed_.notify_all();
  }
}

} // namespace plimsoll
