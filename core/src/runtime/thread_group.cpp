#include "runtime/thread_group.hpp"

#include <utility>

namespace plimsoll {

Result<void> AbortableBarrier::wait() {
  std::unique_lock lock(mutex_);
  if (error_) return tl::unexpected(*error_);
  if (++waiting_ == threads_) {
    waiting_ = 0;
    ++round_;
    changed_.notify_all();
    return {};
  }
  const std::uint64_t mine = round_;
  changed_.wait(lock, [&] { return round_ != mine || error_; });
  if (round_ == mine) return tl::unexpected(*error_);
  return {};
}

void AbortableBarrier::abort(Error error) {
  const std::scoped_lock lock(mutex_);
  if (!error_) error_ = std::move(error);
  changed_.notify_all();
}

std::optional<Error> AbortableBarrier::error() const {
  const std::scoped_lock lock(mutex_);
  return error_;
}

std::optional<Error> AbortableBarrier::reset() {
  const std::scoped_lock lock(mutex_);
  waiting_ = 0;
  return std::exchange(error_, std::nullopt);
}

ThreadGroup::ThreadGroup(std::uint32_t tensor_ranks, std::uint32_t stages)
    : RankGroup(tensor_ranks, stages), sent_halves_(std::size_t{tensor_ranks} * stages) {
  for (std::uint32_t stage = 0; stage < stages; ++stage) barriers_.emplace_back(tensor_ranks);
  for (std::uint32_t rank = 0; rank < tensor_ranks * (stages - 1); ++rank) links_.emplace_back(2U);
}

void ThreadGroup::abort(const Error& error) {
  for (AbortableBarrier& barrier : barriers_) barrier.abort(error);
  for (AbortableBarrier& link : links_) link.abort(error);
}

std::optional<Error> ThreadGroup::reset() {
  reset_rounds();
  std::optional<Error> first;
  for (std::deque<AbortableBarrier>* const waits : {&barriers_, &links_})
    for (AbortableBarrier& barrier : *waits)
      if (std::optional<Error> error = barrier.reset(); error && !first) first = std::move(error);
  return first;
}

} // namespace plimsoll
