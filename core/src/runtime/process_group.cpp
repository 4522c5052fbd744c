#include "runtime/process_group.hpp"

#include <fmt/format.h>
#include <utility>

namespace plimsoll {
namespace {

// Where memory lies in a window; its end where it does not.
std::uint64_t offset_in(std::span<const std::byte> window, const void* memory) {
  const auto* const at = static_cast<const std::byte*>(memory);
  if (at == nullptr || at < window.data() || at >= window.data() + window.size()) return window.size();
  return static_cast<std::uint64_t>(at - window.data());
}

} // namespace

ProcessGroup::ProcessGroup(std::shared_ptr<Processes> processes, std::uint32_t tensor_ranks, std::uint32_t stages)
    : RankGroup(tensor_ranks, stages), processes_(std::move(processes)) {}

Result<void> ProcessGroup::begin(std::uint64_t step, std::span<std::byte> buffer, const void* slab) {
  Processes::Impl& with = processes_->impl();
  const std::span<const std::byte> window = with.window(with.rank());
  ProcessSlot& own = with.own();
  own.step_hash.store(step);
  own.signal_offset.store(offset_in(window, buffer.data()));
  own.signal_bytes.store(buffer.size());
  own.slab_offset.store(offset_in(window, slab));
  PLIMSOLL_TRY(with.meet_all());
  std::vector<std::span<std::byte>> buffers;
  for (std::uint32_t rank = 0; rank < with.size(); ++rank) {
    const ProcessSlot& of = with.slot(rank);
    if (of.step_hash.load() != step)
      return fail(ErrorCode::kBadRequest,
                  fmt::format("rank {} computes another step than rank {}: their requests or files are not the same", rank, with.rank()),
                  "mpirun");
    const std::uint64_t begin = of.signal_offset.load(), bytes = of.signal_bytes.load();
    const std::span<std::byte> all = with.window(rank);
    if (bytes > 0 && (begin > all.size() || bytes > all.size() - begin))
      return fail(ErrorCode::kInternal, fmt::format("the signal buffer of rank {} is not in its window", rank));
    buffers.push_back(bytes == 0 ? std::span<std::byte>() : all.subspan(begin, bytes));
  }
  return use(std::move(buffers));
}

const std::byte* ProcessGroup::slab_of(std::uint32_t rank) const {
  const std::span<const std::byte> window = processes_->impl().window(rank);
  const std::uint64_t offset = processes_->impl().slot(rank).slab_offset.load();
  return offset < window.size() ? window.data() + offset : nullptr;
}

std::optional<Error> ProcessGroup::reset() {
  reset_rounds();
  if (auto met = processes_->impl().meet_all(); !met) return std::move(met.error());
  return std::nullopt;
}

Result<void> ProcessGroup::meet_stage(std::uint32_t stage) {
  Processes::Impl& with = processes_->impl();
  return with.meet(with.slot(stage * tensor_ranks()).stage, tensor_ranks());
}

Result<void> ProcessGroup::meet_link(std::uint32_t rank) { return processes_->impl().meet(processes_->impl().slot(rank).link, 2); }

} // namespace plimsoll
