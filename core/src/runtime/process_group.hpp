// Ranks of one plan that are processes: this one is the rank that its number says, the others are met in shared memory. All make the same
// steps; that they do is compared before each. A rank that gives up ends them all for good. Made by the reference model.
// Threads: that of the pipeline.
#pragma once

#include <memory>

#include "runtime/processes.hpp"
#include "runtime/rank_group.hpp"

namespace plimsoll {

class ProcessGroup final : public RankGroup {
public:
  // The processes from `first` on, as many as ranks.
  ProcessGroup(std::shared_ptr<Processes> processes, const GroupShape& shape, std::uint32_t first = 0);

  // All ranks are about to compute `step` (a hash of it): nobody reads the logits of the one before any more. kBadRequest where ranks of a
  // replica are about to compute different things.
  Result<void> begin(std::uint64_t step);
  // The same, for ranks that meet in buffers of the windows.
  Result<void> begin(std::uint64_t step, std::span<std::byte> buffer);
  // The logits of a rank, or of its draft, as this process sees them, once it has computed; null: they are in no window.
  const std::byte* logits_of(std::uint32_t rank, bool of_draft) const;

  void abort(const Error& error) override { processes_->fail(error); }
  // Waits for all: what they computed may be read then.
  std::optional<Error> reset() override;
  std::optional<Error> trouble() const override { return processes_->impl().trouble(); }

protected:
  Result<void> meet_team(std::uint32_t team) override;
  Result<void> meet_link(std::uint32_t rank) override;
  Result<void> meet_stage(std::uint32_t stage) override;
  std::atomic<std::uint32_t>& sent_half(std::uint32_t rank) override { return slot(rank).sent_half; }
  std::atomic<std::uint64_t>& pass_tokens(std::uint32_t rank) override { return slot(rank).pass_tokens; }

private:
  ProcessSlot& slot(std::uint32_t rank) const { return processes_->impl().slot(first_ + rank); }
  Result<void> meet_ranks() { return processes_->impl().meet(shape().replicas > 1 ? slot(0).replicas : slot(0).replica, shape().ranks()); }

  std::shared_ptr<Processes> processes_;
  std::uint32_t first_;
};

} // namespace plimsoll
