#include "runtime/process_group.hpp"

#include <fmt/format.h>
#include <utility>

namespace plimsoll {
ProcessGroup::ProcessGroup(std::shared_ptr<Processes> processes, const GroupShape& shape, std::uint32_t first)
    : RankGroup(shape), processes_(std::move(processes)), first_(first) {}

Result<void> ProcessGroup::begin(std::uint64_t step) {
  Processes::Impl& with = processes_->impl();
  with.own().step_hash.store(step);
  PLIMSOLL_TRY(meet_ranks());
  const std::uint32_t of_replica = shape().replica_ranks();
  for (std::uint32_t rank = first_; rank < first_ + shape().ranks(); ++rank)
    if (rank / of_replica == with.rank() / of_replica && with.slot(rank).step_hash.load() != step)
      return fail(ErrorCode::kBadRequest,
                  fmt::format("rank {} computes another step than rank {}: their requests or files are not the same", rank, with.rank()),
                  "mpirun");
  return {};
}

Result<void> ProcessGroup::begin(std::uint64_t step, std::span<std::byte> buffer) {
  Processes::Impl& with = processes_->impl();
  with.own().signal_offset.store(with.offset_of(buffer.data()));
  with.own().signal_bytes.store(buffer.size());
  PLIMSOLL_TRY(begin(step));
  std::vector<std::span<std::byte>> buffers;
  for (std::uint32_t rank = first_; rank < first_ + shape().ranks(); ++rank) {
    const ProcessSlot& of = with.slot(rank);
    const std::uint64_t begin = of.signal_offset.load(), bytes = of.signal_bytes.load();
    const std::span<std::byte> all = with.window(rank);
    if (bytes > 0 && (begin > all.size() || bytes > all.size() - begin))
      return fail(ErrorCode::kInternal, fmt::format("the signal buffer of rank {} is not in its window", rank));
    buffers.push_back(bytes == 0 ? std::span<std::byte>() : all.subspan(begin, bytes));
  }
  return use(buffers);
}

const std::byte* ProcessGroup::logits_of(std::uint32_t rank, bool of_draft) const {
  const std::span<const std::byte> window = processes_->impl().window(first_ + rank);
  const std::uint64_t offset = (of_draft ? slot(rank).draft_logits_offset : slot(rank).logits_offset).load();
  return offset < window.size() ? window.data() + offset : nullptr;
}

std::optional<Error> ProcessGroup::reset() {
  reset_rounds();
  if (auto met = meet_ranks(); !met) return std::move(met.error());
  return std::nullopt;
}

Result<void> ProcessGroup::meet_team(std::uint32_t team) {
  return processes_->impl().meet(slot(team * shape().tensor_ranks).team, shape().tensor_ranks);
}

Result<void> ProcessGroup::meet_stage(std::uint32_t stage) {
  return processes_->impl().meet(slot(stage * shape().tensor_ranks).stage, shape().stage_ranks());
}

Result<void> ProcessGroup::meet_link(std::uint32_t rank) { return processes_->impl().meet(slot(rank).link, 2); }

} // namespace plimsoll
