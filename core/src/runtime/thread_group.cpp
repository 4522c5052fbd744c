#include "runtime/thread_group.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <fmt/format.h>
#include <utility>

namespace plimsoll {
namespace {

constexpr std::size_t kBufferAlignBytes = 64;

} // namespace

Result<void> AbortableBarrier::wait() {
  std::unique_lock lock(mutex_);
  if (error_) return tl::unexpected(*error_);
  if (++waiting_ == threads_) {
    waiting_ = 0;
    ++round_;
    changed_.notify_all();
    return {};
  }
  const std::uint64_t mine = round_;
  changed_.wait(lock, [&] { return round_ != mine || error_; });
  if (round_ == mine) return tl::unexpected(*error_);
  return {};
}

void AbortableBarrier::abort(Error error) {
  const std::scoped_lock lock(mutex_);
  if (!error_) error_ = std::move(error);
  changed_.notify_all();
}

std::optional<Error> AbortableBarrier::reset() {
  const std::scoped_lock lock(mutex_);
  waiting_ = 0;
  return std::exchange(error_, std::nullopt);
}

// Rounds alternate between the halves of a buffer: whoever writes a half again has met all others behind a barrier since they read it.
class ThreadGroup::Member final : public Communicator {
public:
  Member(ThreadGroup& group, std::uint32_t rank) : group_(group), rank_(rank) {}

  std::uint32_t rank() const override { return rank_; }
  std::uint32_t ranks() const override { return static_cast<std::uint32_t>(group_.members_.size()); }
  Result<void> all_reduce(Rows<const float> x, Rows<float> out, bool accumulate) override { return sum(x, out, accumulate); }
  Result<void> all_reduce(Rows<const double> x, Rows<double> out, bool accumulate) override { return sum(x, out, accumulate); }
  Result<void> all_gather(Rows<const float> x, Rows<float> out) override { return gather(x, out); }
  Result<void> all_gather(Rows<const double> x, Rows<double> out) override { return gather(x, out); }
  Result<void> barrier() override { return group_.barrier_.wait(); }
  void reset() { round_ = 0; }

private:
  template <class Real>
  Real* half(std::uint32_t rank) const {
    std::byte* const begin = group_.buffers_[rank].data() + (round_ % 2) * group_.half_bytes_;
    return reinterpret_cast<Real*>(begin); // NOLINT: aligned, and written as what it is read as
  }

  // Shows all ranks a run of each rank's x, as long as a round holds; `take` reads them.
  template <class Real, class Take>
  Result<void> rounds(Rows<const Real> x, const Take& take) {
    const std::uint64_t elements = x.rows * x.width, of_round = group_.half_bytes_ / sizeof(Real);
    for (std::uint64_t at = 0; at < elements; at += of_round) {
      const std::uint64_t n = std::min(of_round, elements - at);
      std::copy_n(x.data + at, n, half<Real>(rank_));
      PLIMSOLL_TRY(group_.barrier_.wait());
      take(at, n);
      ++round_;
    }
    return {};
  }

  template <class Real>
  Result<void> sum(Rows<const Real> x, Rows<Real> out, bool accumulate) {
    return rounds(x, [&](std::uint64_t at, std::uint64_t n) {
      // A block at a time, so that sums stay in the processor.
      std::array<Real, 512> sums;
      for (std::uint64_t begin = 0; begin < n; begin += sums.size()) {
        const std::uint64_t block = std::min<std::uint64_t>(sums.size(), n - begin);
        std::copy_n(half<Real>(0) + begin, block, sums.begin());
        for (std::uint32_t rank = 1; rank < ranks(); ++rank) {
          const Real* const part = half<Real>(rank) + begin;
          for (std::uint64_t i = 0; i < block; ++i) sums[i] += part[i];
        }
        Real* const to = out.data + at + begin;
        if (accumulate)
          for (std::uint64_t i = 0; i < block; ++i) to[i] += sums[i];
        else std::copy_n(sums.begin(), block, to);
      }
    });
  }

  template <class Real>
  Result<void> gather(Rows<const Real> x, Rows<Real> out) {
    return rounds(x, [&](std::uint64_t at, std::uint64_t n) {
      for (std::uint32_t rank = 0; rank < ranks(); ++rank) {
        const Real* const part = half<Real>(rank);
        const std::uint64_t first_column = rank * x.width;
        for (std::uint64_t done = 0; done < n;) { // the rest of one row after another
          const std::uint64_t row = (at + done) / x.width, column = (at + done) % x.width;
          const std::uint64_t run = std::min(x.width - column, n - done), to = first_column + column;
          if (to < out.width) std::copy_n(part + done, std::min(run, out.width - to), out.row(row) + to);
          done += run;
        }
      }
    });
  }

  ThreadGroup& group_;
  std::uint32_t rank_;
  std::uint64_t round_ = 0;
};

ThreadGroup::ThreadGroup(std::uint32_t ranks) : barrier_(ranks) {
  for (std::uint32_t rank = 0; rank < ranks; ++rank) members_.push_back(std::make_unique<Member>(*this, rank));
}

ThreadGroup::~ThreadGroup() = default;

Communicator& ThreadGroup::communicator(std::uint32_t rank) { return *members_[rank]; }

Result<void> ThreadGroup::use(std::vector<std::span<std::byte>> buffers) {
  if (buffers.size() != members_.size())
    return fail(ErrorCode::kBadRequest, fmt::format("{} signal buffers for {} ranks; each has one", buffers.size(), members_.size()));
  std::size_t smallest = SIZE_MAX;
  for (const std::span<std::byte> buffer : buffers) {
    smallest = std::min(smallest, buffer.size());
    if (buffer.size() < 2 * kBufferAlignBytes || std::bit_cast<std::uintptr_t>(buffer.data()) % kBufferAlignBytes != 0)
      return fail(ErrorCode::kBadRequest, fmt::format("a signal buffer of {} B; ranks need {} B at a multiple of {} at least",
                                                      buffer.size(), 2 * kBufferAlignBytes, kBufferAlignBytes));
  }
  half_bytes_ = smallest / 2 / kBufferAlignBytes * kBufferAlignBytes;
  buffers_ = std::move(buffers);
  return {};
}

std::optional<Error> ThreadGroup::reset() {
  for (const auto& member : members_) member->reset();
  return barrier_.reset();
}

} // namespace plimsoll
