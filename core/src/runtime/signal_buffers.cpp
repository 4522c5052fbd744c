// PipelineModel::signal_buffers: memory that the collectives of several devices meet in. Size, count and whether there are any are the
// plan's, so the policy of a family (never, several ranks, always) is applied once, there. Threads: see plimsoll/pipeline_model.hpp.
#include <algorithm>
#include <fmt/format.h>

#include "plimsoll/pipeline_model.hpp"

namespace plimsoll {
namespace {

constexpr std::uint64_t kMiB = 1ULL << 20;
// One site's buffer, in this order (MAX 26.2, 294,387,728 B): three sets of flags of 8 devices x 1024 blocks and a header of 16 B; three
// generations of 8 slots of 1 MiB for small messages; 256 MiB for large ones.
constexpr std::uint64_t kFlagBytes = 8ULL * 3 * 1024 * 8 * 4 + 16;
constexpr std::uint64_t kSlotBytes = 3ULL * 8 * kMiB;
constexpr std::uint64_t kSiteBytes = kFlagBytes + kSlotBytes + 256 * kMiB;
static_assert(kSiteBytes == 294'387'728);
// A slot that nobody has written holds -0.0: +0.0 would be taken for a message.
constexpr std::uint32_t kNotWritten = 0x80000000U;

// Marks the slots of every site. Buffers of another size have another layout, of which zeros are all that is known.
void mark_slots(const Tensor& buffer, MemorySource& memory) {
  if (buffer.bytes() % kSiteBytes != 0) return;
  const std::vector<std::uint32_t> words(kMiB / 4, kNotWritten);
  for (std::uint64_t site = 0; site < buffer.bytes(); site += kSiteBytes)
    for (std::uint64_t at = 0; at < kSlotBytes; at += kMiB) memory.copy_in(buffer.data() + site + kFlagBytes + at, words.data(), kMiB);
}

Result<std::vector<Tensor>> allocate(const Plan& plan, std::span<Arena> arenas) {
  std::vector<Tensor> buffers;
  for (Arena& arena : arenas) {
    for (const Item& item : plan.items) {
      const bool due = item.category == Category::kSignalBuffer && arena.rank() < item.bytes.size() && item.bytes[arena.rank()] > 0;
      if (!due) continue;
      const std::array<std::uint64_t, 1> shape{item.bytes[arena.rank()]};
      PLIMSOLL_ASSIGN(Buffer buffer, arena.allocate_shared(Category::kSignalBuffer, item.label, ElementType::kUint8, shape));
      const bool on_host = buffer.on_host();
      buffers.push_back(Tensor::of(std::move(buffer), on_host));
      mark_slots(buffers.back(), arena.source());
    }
  }
  return buffers;
}

} // namespace

Result<std::span<const Tensor>> PipelineModel::signal_buffers() {
  const std::lock_guard lock(signal_mutex_);
  if (!signal_buffers_) {
    PLIMSOLL_ASSIGN(signal_buffers_, allocate(plan_, arenas_));
  }
  return std::span<const Tensor>(*signal_buffers_);
}

void PipelineModel::release_signal_buffers() noexcept {
  const std::lock_guard lock(signal_mutex_);
  signal_buffers_.reset();
}

} // namespace plimsoll
