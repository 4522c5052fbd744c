// Ranks that are threads of this process, which wait for nobody who has given up. Made by the reference model. Threads: each rank its own.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <vector>

#include "runtime/rank_group.hpp"

namespace plimsoll {

// Where threads wait for each other, or for the first that gives up.
class AbortableBarrier {
public:
  explicit AbortableBarrier(std::uint32_t threads) : threads_(threads) {}
  // The error of whoever gave up.
  Result<void> wait();
  // Ends all waiting, now and from now on; the first error counts.
  void abort(Error error);
  // As new; the error that it had. Nobody may be waiting.
  std::optional<Error> reset();
  std::optional<Error> error() const;

private:
  const std::uint32_t threads_;
  mutable std::mutex mutex_; // of all that follows
  std::condition_variable changed_;
  std::uint32_t waiting_ = 0;
  std::uint64_t round_ = 0;
  std::optional<Error> error_;
};

class ThreadGroup final : public RankGroup {
public:
  explicit ThreadGroup(std::uint32_t tensor_ranks, std::uint32_t stages = 1, std::uint32_t replicas = 1);
  void abort(const Error& error) override;
  // And all is as new.
  std::optional<Error> reset() override;
  std::optional<Error> trouble() const override { return teams_.front().error(); }

protected:
  Result<void> meet_team(std::uint32_t team) override { return teams_[team].wait(); }
  Result<void> meet_link(std::uint32_t rank) override { return links_[rank].wait(); }
  Result<void> meet_stage(std::uint32_t stage) override { return stages_[stage].wait(); }
  std::atomic<std::uint32_t>& sent_half(std::uint32_t rank) override { return sent_halves_[rank]; }
  std::atomic<std::uint64_t>& pass_tokens(std::uint32_t rank) override { return pass_tokens_[rank]; }

private:
  std::deque<AbortableBarrier> teams_;  // of each stage of each replica
  std::deque<AbortableBarrier> links_;  // of each rank with its receiver, where there are several stages
  std::deque<AbortableBarrier> stages_; // of all replicas
  std::vector<std::atomic<std::uint32_t>> sent_halves_;
  std::vector<std::atomic<std::uint64_t>> pass_tokens_;
};

} // namespace plimsoll
