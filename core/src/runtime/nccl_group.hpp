// Ranks on GPUs, joined by NCCL: a communicator for the ranks of a stage, and one for those in the same place of all stages. Values stay in
// the devices' memory, and each call waits until its device has done its part: kernels that are loaded later would wait for those of NCCL,
// which wait for other ranks. Who else takes part, who gives up and what all compute next is the matter of another group (thread_group.hpp,
// process_group.hpp), which is asked all the while, so that nobody waits for one that does not come. Made by the reference model.
// Threads: each rank its own.
#pragma once

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
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
  // its way to where it is wanted. kBadRequest where one holds no element of each rank. Ranks that gave up come together anew, those that
  // are processes do not: kInternal. No rank may be running.
  Result<void> use(std::vector<std::span<std::byte>> buffers);
  // Of the rank `here[at]`.
  Communicator& communicator(std::size_t at);

private:
  struct Joined;
  class Member;

  Result<void> begin(const Gather& gather);
  Result<std::vector<NcclId>> agree_on_ids(const Gather& gather);
  Result<void> make(const std::vector<Joined*>& of, const std::vector<NcclId>& ids);
  Result<void> wait_for(Joined& of, NcclStatus status, const char* what, std::optional<std::chrono::seconds> most);
  Error words_of(NcclStatus status, const Joined& of, const char* what) const;
  Error reason(Error heard) const;
  void abort(Joined& of);
  void part();

  RankGroup& meeting_;
  const Nccl& nccl_;
  const Ranks ranks_;
  std::deque<Joined> joined_; // of each rank here its stage, then its line; those that are
  std::vector<std::unique_ptr<Member>> members_;
  bool alone_ = true;                // all ranks are here
  std::atomic<bool> broken_ = false; // a communicator was aborted, so its others are of no use
};

} // namespace plimsoll
