// Processes behind its face: a slot of shared memory for each process, where they meet, speak, and show that they are alive; and a window
// of each for what its rank shares. Made by join, or over a job of a test's own. Threads: see plimsoll/processes.hpp; meet from any.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "plimsoll/processes.hpp"
#include "runtime/shared_job.hpp"

namespace plimsoll {

inline constexpr std::uint32_t kMostProcesses = 64;

// Where processes wait for each other, in memory that all see. Zeros are a new one.
struct SharedMeeting {
  std::atomic<std::uint32_t> waiting, round;
};

// What a process shows the others. Zeros are a slot of one that is not there yet.
struct ProcessSlot {
  static constexpr std::size_t kTextBytes = 1U << 16, kMessageBytes = 512;

  std::atomic<std::uint32_t> state; // ProcessState
  std::atomic<std::int32_t> process;
  std::atomic<std::uint64_t> beat_ns;      // when it was last alive
  std::atomic<std::uint32_t> lost, failed; // of the first slot: whose, as rank + 1
  std::atomic<std::uint32_t> speaker;      // of the first slot: who says that one is lost, likewise
  // Of everybody, and of all replicas that share experts, in the first slot; of a replica, of a stage of one or of all, in that of their
  // first rank; with the next stage.
  SharedMeeting all, replicas, replica, team, stage, link;
  std::atomic<std::uint32_t> sent_half;   // in which half of its signal buffer the last value was handed over
  std::atomic<std::uint64_t> pass_tokens; // where replicas share experts
  // Of a pass: what it computes, as a hash; where its signal buffer lies in its window. Of every pass: where its logits do, and those of
  // its draft.
  std::atomic<std::uint64_t> replicas_hash; // of a pass of all replicas
  std::atomic<std::uint64_t> step_hash, signal_offset, signal_bytes, logits_offset, draft_logits_offset;
  std::atomic<std::uint64_t> text_bytes;
  std::atomic<std::int32_t> error_code;
  std::array<char, kMessageBytes> message; // of the one that failed
  std::array<char, kTextBytes> text;       // a part of what it says
};
static_assert(std::atomic<std::uint64_t>::is_always_lock_free && std::atomic<std::uint32_t>::is_always_lock_free);

class Processes::Impl {
public:
  static Result<std::shared_ptr<Processes>> join(const SharedJob& job, ProcessesOptions options);
  Impl(const SharedJob& job, ProcessesOptions options);
  ~Impl();

  std::uint32_t rank() const { return job_.rank; }
  std::uint32_t size() const { return job_.size; }
  ProcessSlot& slot(std::uint32_t rank) const { return *slots_[rank]; }
  ProcessSlot& own() const { return *slots_[job_.rank]; }

  // Once `expected` have come; the error of whoever cannot come.
  Result<void> meet(SharedMeeting& meeting, std::uint32_t expected);
  Result<void> meet_all() { return meet(slots_.front()->all, size()); }
  // The same, before all compute `step`, of which every one says the same. kBadRequest where one does not.
  Result<void> meet_for(std::uint64_t step);
  Result<std::vector<std::string>> gather(std::string_view mine);
  void fail(const Error& error) noexcept;
  // Why none can go on: one is lost, or has failed.
  std::optional<Error> trouble() const;
  std::optional<Error> lost() const;
  bool speaks() const;
  void leave() noexcept;

  // Windows of so many bytes for each. Together. Those of before are gone, unless they are large enough.
  Result<void> share(std::span<const std::uint64_t> bytes_of_each);
  std::span<std::byte> window(std::uint32_t rank) const { return windows_[rank]; }
  // Where memory lies in this one's window; its end where it does not.
  std::uint64_t offset_of(const void* memory) const;
  const std::shared_ptr<MemorySource>& memory() const { return memory_; }

private:
  using Clock = std::chrono::steady_clock;
  Result<void> open();
  void pulse();
  bool is_gone(std::uint32_t rank) const;
  void look_for_lost();

  SharedJob job_;
  ProcessesOptions options_;
  std::vector<ProcessSlot*> slots_;
  std::vector<std::span<std::byte>> windows_;
  std::shared_ptr<MemorySource> memory_;
  std::atomic<bool> left_ = false;
  std::mutex mutex_; // of ending_
  std::condition_variable changed_;
  bool ending_ = false;
  std::thread pulse_;
};

// Of bytes, after others.
std::uint64_t step_hash(std::uint64_t before, std::span<const std::byte> bytes);

} // namespace plimsoll
