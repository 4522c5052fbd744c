// Ranks that meet in signal buffers: what one hands the others lies in its buffer, which they read, a round at a time. How they wait for
// one another is their own matter: threads of a process (thread_group.hpp), or processes (process_group.hpp). Made by the reference model,
// for the memory that its plan sets aside; takes none itself. Threads: each rank its own.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "runtime/communicator.hpp"

namespace plimsoll {

class RankGroup {
public:
  // `tensor_ranks` on each of `stages`, numbered as a plan's ranks are.
  RankGroup(std::uint32_t tensor_ranks, std::uint32_t stages);
  RankGroup(const RankGroup&) = delete;
  RankGroup& operator=(const RankGroup&) = delete;
  virtual ~RankGroup();

  // One buffer for each rank, at a multiple of 64, valid until others are given. kBadRequest where one is too small for two rounds; a rank
  // that only receives needs none. No rank may be running.
  Result<void> use(std::vector<std::span<std::byte>> buffers);
  Communicator& communicator(std::uint32_t rank);
  // A rank cannot go on, so none can: who waits for it gets its error.
  virtual void abort(const Error& error) = 0;
  // Once the ranks have stopped: the error that ended them.
  virtual std::optional<Error> reset() = 0;
  // Why none can go on, until then. Threads: [any].
  virtual std::optional<Error> trouble() const = 0;

protected:
  // All ranks of a stage; a rank and the one in its place on the next stage.
  virtual Result<void> meet_stage(std::uint32_t stage) = 0;
  virtual Result<void> meet_link(std::uint32_t rank) = 0;
  // In which half of its buffer a rank handed its last value over.
  virtual std::atomic<std::uint32_t>& sent_half(std::uint32_t rank) = 0;
  void reset_rounds();
  std::uint32_t tensor_ranks() const { return tensor_ranks_; }
  std::uint32_t ranks() const { return static_cast<std::uint32_t>(members_.size()); }

private:
  class Member;

  std::vector<std::span<std::byte>> buffers_;
  std::uint32_t tensor_ranks_, stages_;
  std::vector<std::size_t> half_bytes_; // of the smallest buffer of each stage: one round
  std::vector<std::unique_ptr<Member>> members_;
};

} // namespace plimsoll
