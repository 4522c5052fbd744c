#include "schedule/slab.hpp"

#include <algorithm>
#include <numeric>

#include "base/checked.hpp"

namespace plimsoll {
namespace {

constexpr std::uint32_t kShort = 32; // steps; longer lives are few and looked at one by one

std::uint64_t aligned(std::uint64_t bytes) { return ceil_div(bytes, kSlabAlignmentBytes) * kSlabAlignmentBytes; }

bool meet(const Lifetime& a, const Lifetime& b) { return a.first <= b.last && b.first <= a.last; }

// Which buffers that are placed already live at the same time as another one.
class Neighbours {
public:
  explicit Neighbours(std::span<const Lifetime> buffers) : buffers_(buffers) {
    std::uint32_t steps = 0;
    for (const Lifetime& b : buffers) steps = std::max(steps, b.last + 1);
    at_step_.resize(steps);
  }
  void add(std::uint32_t index) {
    const Lifetime& b = buffers_[index];
    placed_.push_back(index);
    if (b.last - b.first >= kShort) return long_.push_back(index);
    for (std::uint32_t step = b.first; step <= b.last; ++step) at_step_[step].push_back(index);
  }
  // Into `out`, some perhaps twice.
  void of(std::uint32_t index, std::vector<std::uint32_t>& out) const {
    const Lifetime& b = buffers_[index];
    out.clear();
    const bool is_long = b.last - b.first >= kShort;
    for (const std::uint32_t other : is_long ? placed_ : long_)
      if (meet(b, buffers_[other])) out.push_back(other);
    if (is_long) return;
    for (std::uint32_t step = b.first; step <= b.last; ++step) out.insert(out.end(), at_step_[step].begin(), at_step_[step].end());
  }

private:
  std::span<const Lifetime> buffers_;
  std::vector<std::uint32_t> placed_, long_;
  std::vector<std::vector<std::uint32_t>> at_step_;
};

} // namespace

Result<Slab> place_buffers(std::span<const Lifetime> buffers) {
  Checked sum = 0;
  for (const Lifetime& b : buffers) sum += Checked(b.bytes) + kSlabAlignmentBytes;
  if (sum.overflowed() || sum.value() > INT64_MAX)
    return fail(ErrorCode::kBadConfig, "the buffers of a forward pass do not fit 63 bits; check the sizes in the configuration");

  std::vector<std::uint32_t> order(buffers.size());
  std::iota(order.begin(), order.end(), 0U);
  std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) { return buffers[a].bytes > buffers[b].bytes; });
  Slab slab;
  slab.offset_bytes.resize(buffers.size(), 0);
  Neighbours placed(buffers);
  std::vector<std::uint32_t> near;
  for (const std::uint32_t index : order) {
    const std::uint64_t bytes = aligned(buffers[index].bytes);
    placed.of(index, near);
    std::sort(near.begin(), near.end(), [&](std::uint32_t a, std::uint32_t b) { return slab.offset_bytes[a] < slab.offset_bytes[b]; });
    std::uint64_t at = 0;
    for (const std::uint32_t other : near) {
      if (slab.offset_bytes[other] >= at + bytes) break;
      at = std::max(at, slab.offset_bytes[other] + aligned(buffers[other].bytes));
    }
    slab.offset_bytes[index] = at;
    slab.bytes = std::max(slab.bytes, at + bytes);
    placed.add(index);
  }
  return slab;
}

std::uint64_t live_bytes(std::span<const Lifetime> buffers) {
  std::uint32_t steps = 0;
  for (const Lifetime& b : buffers) steps = std::max(steps, b.last + 1);
  std::vector<std::uint64_t> change(static_cast<std::size_t>(steps) + 1, 0); // wraps where more ends than begins; the sums do not
  for (const Lifetime& b : buffers) {
    change[b.first] += aligned(b.bytes);
    change[b.last + 1] -= aligned(b.bytes);
  }
  std::uint64_t now = 0, most = 0;
  for (const std::uint64_t by : change) {
    now += by;
    most = std::max(most, now);
  }
  return most;
}

} // namespace plimsoll
