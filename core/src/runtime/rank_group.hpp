// Ranks that meet in signal buffers: what one hands the others lies in its buffer, which they read, a round at a time. How they wait for
// one another is their own matter: threads of a process (thread_group.hpp), or processes (process_group.hpp). Made by the reference model,
// for the memory that its plan sets aside, or for all replicas of a plan that share experts; takes none itself. Threads: each rank its own;
// each replica gives its own buffers.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "runtime/communicator.hpp"

namespace plimsoll {

// `tensor_ranks` on each of `stages` of each of `replicas`, numbered as a plan's ranks are.
struct GroupShape {
  std::uint32_t tensor_ranks = 1, stages = 1, replicas = 1;
  std::uint32_t ranks() const { return tensor_ranks * stages * replicas; }
  std::uint32_t replica_ranks() const { return tensor_ranks * stages; }
  std::uint32_t stage_ranks() const { return tensor_ranks * replicas; } // of all replicas
  std::uint32_t team_of(std::uint32_t rank) const { return rank / tensor_ranks; }
  std::uint32_t stage_of(std::uint32_t rank) const { return team_of(rank) % stages; }
  // The one in the same place of another replica.
  std::uint32_t in_replica(std::uint32_t rank, std::uint32_t replica) const { return replica * replica_ranks() + rank % replica_ranks(); }
};

class RankGroup {
public:
  explicit RankGroup(const GroupShape& shape);
  RankGroup(const RankGroup&) = delete;
  RankGroup& operator=(const RankGroup&) = delete;
  virtual ~RankGroup();

  // One buffer for each rank from `first` on, those of whole replicas, at a multiple of 64, valid until others are given. kBadRequest where
  // one is too small for two rounds; a rank that only receives needs none. No rank of these replicas may be running.
  Result<void> use(const std::vector<std::span<std::byte>>& buffers, std::uint32_t first = 0);
  Communicator& communicator(std::uint32_t rank);
  // A rank cannot go on, so none can: who waits for it gets its error.
  virtual void abort(const Error& error) = 0;
  // Once the ranks have stopped: the error that ended them.
  virtual std::optional<Error> reset() = 0;
  // Why none can go on, until then. Threads: [any].
  virtual std::optional<Error> trouble() const = 0;

protected:
  // The tensor-parallel ranks of one stage of one replica, which are a team; a rank and the one in its place on the next stage; all ranks
  // of a stage, of every replica.
  virtual Result<void> meet_team(std::uint32_t team) = 0;
  virtual Result<void> meet_link(std::uint32_t rank) = 0;
  virtual Result<void> meet_stage(std::uint32_t stage) = 0;
  // In which half of its buffer a rank handed its last value over; tokens of its pass, where replicas share experts.
  virtual std::atomic<std::uint32_t>& sent_half(std::uint32_t rank) = 0;
  virtual std::atomic<std::uint64_t>& pass_tokens(std::uint32_t rank) = 0;
  void reset_rounds();
  const GroupShape& shape() const { return shape_; }

private:
  class Member;

  GroupShape shape_;
  std::vector<std::span<std::byte>> buffers_;
  std::vector<std::size_t> half_bytes_; // of the smallest buffer of each team: one round
  std::vector<std::unique_ptr<Member>> members_;
};

} // namespace plimsoll
