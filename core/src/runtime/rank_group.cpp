#include "runtime/rank_group.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <fmt/format.h>
#include <utility>

namespace plimsoll {
namespace {

constexpr std::size_t kBufferAlignBytes = 64;

} // namespace

// Rounds alternate between the halves of a buffer: whoever writes a half again has met all others behind a barrier since they read it.
class RankGroup::Member final : public Communicator {
public:
  Member(RankGroup& group, std::uint32_t rank) : group_(group), rank_(rank) {}

  std::uint32_t rank() const override { return rank_ % group_.tensor_ranks_; }
  std::uint32_t ranks() const override { return group_.tensor_ranks_; }
  Result<void> all_reduce(Rows<const float> x, Rows<float> out, bool accumulate) override { return sum(x, out, accumulate); }
  Result<void> all_reduce(Rows<const double> x, Rows<double> out, bool accumulate) override { return sum(x, out, accumulate); }
  Result<void> all_gather(Rows<const float> x, Rows<float> out) override { return gather(x, out); }
  Result<void> all_gather(Rows<const double> x, Rows<double> out) override { return gather(x, out); }
  Result<void> barrier() override { return group_.meet_stage(stage()); }
  Result<void> send(Rows<const float> x) override { return hand_over(x); }
  Result<void> send(Rows<const double> x) override { return hand_over(x); }
  Result<void> receive(Rows<float> out) override { return take_over(out); }
  Result<void> receive(Rows<double> out) override { return take_over(out); }
  void reset() { round_ = 0; }

private:
  std::uint32_t stage() const { return rank_ / group_.tensor_ranks_; }
  // The half of this round, of a rank of the group.
  template <class Real>
  Real* half(std::uint32_t rank) const {
    return half_of<Real>(stage() * group_.tensor_ranks_ + rank, round_);
  }
  template <class Real>
  Real* half_of(std::uint32_t rank, std::uint64_t round) const {
    std::byte* const begin = group_.buffers_[rank].data() + (round % 2) * group_.half_bytes_[rank / group_.tensor_ranks_];
    return reinterpret_cast<Real*>(begin); // NOLINT: aligned, and written as what it is read as
  }

  // The half that nobody of the group may still be reading; it is free again when the receiver has it.
  template <class Real>
  Result<void> hand_over(Rows<const Real> x) {
    return hand(x.rows * x.width, stage(), sizeof(Real), [&](std::uint64_t at, std::uint64_t n) -> Result<void> {
      std::copy_n(x.data + at, n, half_of<Real>(rank_, round_));
      group_.sent_half(rank_).store(static_cast<std::uint32_t>(round_ % 2), std::memory_order_relaxed); // the meeting orders it
      PLIMSOLL_TRY(group_.meet_link(rank_));
      return group_.meet_link(rank_);
    });
  }
  template <class Real>
  Result<void> take_over(Rows<Real> out) {
    const std::uint32_t from = rank_ - group_.tensor_ranks_;
    return hand(out.rows * out.width, stage() - 1, sizeof(Real), [&](std::uint64_t at, std::uint64_t n) -> Result<void> {
      PLIMSOLL_TRY(group_.meet_link(from));
      std::copy_n(half_of<Real>(from, group_.sent_half(from).load(std::memory_order_relaxed)), n, out.data + at);
      return group_.meet_link(from);
    });
  }
  template <class Step>
  Result<void> hand(std::uint64_t elements, std::uint32_t stage, std::size_t element_bytes, const Step& step) {
    const std::uint64_t of_round = group_.half_bytes_[stage] / element_bytes;
    for (std::uint64_t at = 0; at < elements; at += of_round) PLIMSOLL_TRY(step(at, std::min(of_round, elements - at)));
    return {};
  }

  // Shows all ranks a run of each rank's x, as long as a round holds; `take` reads them.
  template <class Real, class Take>
  Result<void> rounds(Rows<const Real> x, const Take& take) {
    const std::uint64_t elements = x.rows * x.width, of_round = group_.half_bytes_[stage()] / sizeof(Real);
    for (std::uint64_t at = 0; at < elements; at += of_round) {
      const std::uint64_t n = std::min(of_round, elements - at);
      std::copy_n(x.data + at, n, half<Real>(Member::rank()));
      PLIMSOLL_TRY(group_.meet_stage(stage()));
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

  RankGroup& group_;
  std::uint32_t rank_;
  std::uint64_t round_ = 0;
};

RankGroup::RankGroup(std::uint32_t tensor_ranks, std::uint32_t stages)
    : tensor_ranks_(tensor_ranks), stages_(stages), half_bytes_(stages, 0) {
  for (std::uint32_t rank = 0; rank < tensor_ranks * stages; ++rank) members_.push_back(std::make_unique<Member>(*this, rank));
}

RankGroup::~RankGroup() = default;

Communicator& RankGroup::communicator(std::uint32_t rank) { return *members_[rank]; }

void RankGroup::reset_rounds() {
  for (const auto& member : members_) member->reset();
}

Result<void> RankGroup::use(std::vector<std::span<std::byte>> buffers) {
  if (buffers.size() != members_.size())
    return fail(ErrorCode::kBadRequest, fmt::format("{} signal buffers for {} ranks; each has one", buffers.size(), members_.size()));
  std::vector<std::size_t> smallest(stages_, SIZE_MAX);
  for (std::size_t rank = 0; rank < buffers.size(); ++rank) {
    const std::span<std::byte> buffer = buffers[rank];
    std::size_t& of_stage = smallest[rank / tensor_ranks_];
    of_stage = std::min(of_stage, buffer.size());
    const bool only_receives = tensor_ranks_ == 1 && rank + 1 == buffers.size();
    if (only_receives) continue;
    if (buffer.size() < 2 * kBufferAlignBytes || std::bit_cast<std::uintptr_t>(buffer.data()) % kBufferAlignBytes != 0)
      return fail(ErrorCode::kBadRequest, fmt::format("a signal buffer of {} B; ranks need {} B at a multiple of {} at least",
                                                      buffer.size(), 2 * kBufferAlignBytes, kBufferAlignBytes));
  }
  for (std::uint32_t stage = 0; stage < stages_; ++stage) half_bytes_[stage] = smallest[stage] / 2 / kBufferAlignBytes * kBufferAlignBytes;
  buffers_ = std::move(buffers);
  return {};
}

} // namespace plimsoll
