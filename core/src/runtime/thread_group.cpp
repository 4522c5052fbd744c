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

ThreadGroup::ThreadGroup(std::uint32_t tensor_ranks, std::uint32_t stages, std::uint32_t replicas)
    : RankGroup({tensor_ranks, stages, replicas}), sent_halves_(shape().ranks()), pass_tokens_(shape().ranks()) {
  for (std::uint32_t team = 0; team < stages * replicas; ++team) teams_.emplace_back(tensor_ranks);
  for (std::uint32_t rank = 0; stages > 1 && rank < shape().ranks(); ++rank) links_.emplace_back(2U);
  for (std::uint32_t stage = 0; stage < stages; ++stage) stages_.emplace_back(shape().stage_ranks());
}

void ThreadGroup::abort(const Error& error) {
  for (std::deque<AbortableBarrier>* const waits : {&teams_, &links_, &stages_})
    for (AbortableBarrier& barrier : *waits) barrier.abort(error);
}

std::optional<Error> ThreadGroup::reset() {
  reset_rounds();
  std::optional<Error> first;
  for (std::deque<AbortableBarrier>* const waits : {&teams_, &links_, &stages_})
    for (AbortableBarrier& barrier : *waits)
      if (std::optional<Error> error = barrier.reset(); error && !first) first = std::move(error);
  return first;
}

} // namespace plimsoll
