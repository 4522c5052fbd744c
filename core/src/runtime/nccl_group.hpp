// Ranks on GPUs, joined by NCCL: a communicator for the ranks of a stage, and one for those in the same place of all stages. What is asked
// for is done on the stream of each rank's device, between the ops before and behind, and in memory of that device. Who else takes part,
// who gives up and what all compute next is the matter of another group (thread_group.hpp, process_group.hpp), which this one asks. Made by
// the reference model. Threads: each rank its own; one of its own watches, and ends NCCL where a rank gives up, so that nobody waits for
// it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "backend/backend.hpp"
#include "runtime/rank_group.hpp"

namespace plimsoll {

class NcclGroup {
public:
  // Of the ranks here, in their order.
  struct Ranks {
    std::uint32_t tensor_ranks = 1, stages = 1;
    std::vector<std::uint32_t> here;
    std::vector<std::shared_ptr<Backend>> backends; // a device each
  };
  // What each process says, by the rank that it is; empty where all ranks are here.
  using Gather = std::function<Result<std::vector<std::string>>(std::string_view mine)>;

  // With all ranks, wherever they are. `meeting` outlives it. kBadRequest: there is no NCCL; kInternal: its words.
  static Result<std::unique_ptr<NcclGroup>> create(RankGroup& meeting, Ranks ranks, const Gather& gather);
  NcclGroup(RankGroup& meeting, const Nccl& nccl, Ranks ranks);
  NcclGroup(const NcclGroup&) = delete;
  NcclGroup& operator=(const NcclGroup&) = delete;
  ~NcclGroup();

  // One buffer for each rank here, in its device's memory at a multiple of 64, valid until others are given: what is joined lies there on
  // its way to where it is wanted. kBadRequest where one holds no element of each rank. Ranks that were ended come together anew, those
  // that are processes do not: the error that ended them. No rank may be running.
  Result<void> use(std::vector<std::span<std::byte>> buffers);
  // Of the rank `here[at]`.
  Communicator& communicator(std::size_t at);

private:
  struct Joined;
  class Member;

  Result<void> begin(const Gather& gather);
  Result<std::vector<NcclId>> agree_on_ids(const Gather& gather);
  Result<void> join(const std::vector<NcclId>& ids);
  Result<void> make(const std::vector<Joined*>& of, const std::vector<NcclId>& ids);
  Result<void> settle(Joined& of, const char* what, std::optional<std::chrono::seconds> most);
  Error words_of(NcclStatus status, const Joined& of, const char* what) const;
  std::optional<Error> ended() const;
  std::optional<Error> async_error();
  std::optional<Error> trouble();
  void end(const Error& error);
  void watch();
  void part();

  RankGroup& meeting_;
  const Nccl& nccl_;
  const Ranks ranks_;
  std::deque<Joined> joined_; // of each rank here its stage, then its line; those that are
  std::vector<std::unique_ptr<Member>> members_;
  bool alone_ = true;        // all ranks are here
  mutable std::mutex mutex_; // of all that follows but the thread
  std::condition_variable changed_;
  std::optional<Error> ended_;
  bool ending_ = false;
  std::thread watcher_;
};

} // namespace plimsoll
