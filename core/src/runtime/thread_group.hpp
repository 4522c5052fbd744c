// Ranks that are threads of this process: what one hands the others lies in its signal buffer, which they read. Made by the reference
// model, for the memory that its plan sets aside. Takes none itself, and waits for nobody who has given up. Threads: each rank its own.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "runtime/communicator.hpp"

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

private:
  const std::uint32_t threads_;
  std::mutex mutex_; // of all that follows
  std::condition_variable changed_;
  std::uint32_t waiting_ = 0;
  std::uint64_t round_ = 0;
  std::optional<Error> error_;
};

class ThreadGroup {
public:
  // `tensor_ranks` on each of `stages`, numbered as a plan's ranks are.
  explicit ThreadGroup(std::uint32_t tensor_ranks, std::uint32_t stages = 1);
  ~ThreadGroup();

  // One buffer for each rank, at a multiple of 64, valid until others are given. kBadRequest where one is too small for two rounds; a rank
  // that only receives needs none. No rank may be running.
  Result<void> use(std::vector<std::span<std::byte>> buffers);
  Communicator& communicator(std::uint32_t rank);
  // A rank cannot go on, so none can: who waits for it gets its error.
  void abort(const Error& error);
  // As new, once all ranks have stopped; the error that ended them.
  std::optional<Error> reset();

private:
  class Member;

  std::vector<std::span<std::byte>> buffers_;
  std::uint32_t tensor_ranks_, stages_;
  std::vector<std::size_t> half_bytes_;   // of the smallest buffer of each stage: one round
  std::deque<AbortableBarrier> barriers_; // of each stage
  std::deque<AbortableBarrier> links_;    // of each rank that has a next stage, with its receiver
  std::vector<std::unique_ptr<Member>> members_;
};

} // namespace plimsoll
