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
// Rounds of all replicas are counted for themselves: they begin where the team, and end where all, have read what there was.
class RankGroup::Member final : public Communicator {
public:
  Member(RankGroup& group, std::uint32_t rank)
      : group_(group), shape_(group.shape_), rank_(rank), first_tokens_(std::size_t{group.shape_.replicas} + 1, 0) {}

  std::uint32_t rank() const override { return rank_ % shape_.tensor_ranks; }
  std::uint32_t ranks() const override { return shape_.tensor_ranks; }
  std::uint32_t replicas() const override { return shape_.replicas; }
  Result<void> all_reduce(Rows<const float> x, Rows<float> out, bool accumulate) override { return sum(x, out, accumulate); }
  Result<void> all_reduce(Rows<const double> x, Rows<double> out, bool accumulate) override { return sum(x, out, accumulate); }
  Result<void> all_gather(Rows<const float> x, Rows<float> out) override { return gather(x, out); }
  Result<void> all_gather(Rows<const double> x, Rows<double> out) override { return gather(x, out); }
  Result<void> barrier() override { return group_.meet_team(team()); }
  Result<void> send(Rows<const float> x) override { return hand_over(x); }
  Result<void> send(Rows<const double> x) override { return hand_over(x); }
  Result<void> receive(Rows<float> out) override { return take_over(out); }
  Result<void> receive(Rows<double> out) override { return take_over(out); }
  Result<std::uint64_t> begin_pass(std::uint64_t tokens) override {
    group_.pass_tokens(rank_).store(tokens, std::memory_order_relaxed); // the meeting orders it
    PLIMSOLL_TRY(meet_stage());
    for (std::uint32_t replica = 0; replica < shape_.replicas; ++replica) {
      const std::uint64_t of_replica = group_.pass_tokens(shape_.in_replica(rank_, replica)).load(std::memory_order_relaxed);
      first_tokens_[replica + 1] = first_tokens_[replica] + of_replica;
    }
    PLIMSOLL_TRY(meet_stage()); // all have read it
    return first_tokens_.back();
  }
  Result<void> gather_rows(Rows<const float> x, Rows<float> out) override { return gather_replicas(x, out); }
  Result<void> gather_rows(Rows<const double> x, Rows<double> out) override { return gather_replicas(x, out); }
  Result<void> scatter_sum(Rows<const float> x, Rows<float> out, bool accumulate) override { return sum_replicas(x, out, accumulate); }
  Result<void> scatter_sum(Rows<const double> x, Rows<double> out, bool accumulate) override { return sum_replicas(x, out, accumulate); }
  void reset() { round_ = 0; }

private:
  std::uint32_t team() const { return shape_.team_of(rank_); }
  std::uint32_t replica() const { return rank_ / shape_.replica_ranks(); }
  Result<void> meet_stage() const { return group_.meet_stage(shape_.stage_of(rank_)); }
  // The half of this round, of a rank of the team.
  template <class Real>
  Real* half(std::uint32_t rank) const {
    return half_of<Real>(team() * shape_.tensor_ranks + rank, round_);
  }
  template <class Real>
  Real* half_of(std::uint32_t rank, std::uint64_t round) const {
    std::byte* const begin = group_.buffers_[rank].data() + (round % 2) * group_.half_bytes_[shape_.team_of(rank)];
    return reinterpret_cast<Real*>(begin); // NOLINT: aligned, and written as what it is read as
  }

  // The half that nobody of the group may still be reading; it is free again when the receiver has it.
  template <class Real>
  Result<void> hand_over(Rows<const Real> x) {
    return hand(x.rows * x.width, team(), sizeof(Real), [&](std::uint64_t at, std::uint64_t n) -> Result<void> {
      std::copy_n(x.data + at, n, half_of<Real>(rank_, round_));
      group_.sent_half(rank_).store(static_cast<std::uint32_t>(round_ % 2), std::memory_order_relaxed); // the meeting orders it
      PLIMSOLL_TRY(group_.meet_link(rank_));
      return group_.meet_link(rank_);
    });
  }
  template <class Real>
  Result<void> take_over(Rows<Real> out) {
    const std::uint32_t from = rank_ - shape_.tensor_ranks;
    return hand(out.rows * out.width, team() - 1, sizeof(Real), [&](std::uint64_t at, std::uint64_t n) -> Result<void> {
      PLIMSOLL_TRY(group_.meet_link(from));
      std::copy_n(half_of<Real>(from, group_.sent_half(from).load(std::memory_order_relaxed)), n, out.data + at);
      return group_.meet_link(from);
    });
  }
  template <class Step>
  Result<void> hand(std::uint64_t elements, std::uint32_t team, std::size_t element_bytes, const Step& step) {
    const std::uint64_t of_round = group_.half_bytes_[team] / element_bytes;
    for (std::uint64_t at = 0; at < elements; at += of_round) PLIMSOLL_TRY(step(at, std::min(of_round, elements - at)));
    return {};
  }

  // Shows all ranks a run of each rank's x, as long as a round holds; `take` reads them.
  template <class Real, class Take>
  Result<void> rounds(Rows<const Real> x, const Take& take) {
    const std::uint64_t elements = x.rows * x.width, of_round = group_.half_bytes_[team()] / sizeof(Real);
    for (std::uint64_t at = 0; at < elements; at += of_round) {
      const std::uint64_t n = std::min(of_round, elements - at);
      std::copy_n(x.data + at, n, half<Real>(Member::rank()));
      PLIMSOLL_TRY(group_.meet_team(team()));
      take(at, n);
      ++round_;
    }
    return {};
  }

  template <class Real>
  Result<void> sum(Rows<const Real> x, Rows<Real> out, bool accumulate) {
    const auto part = [&](std::uint32_t rank) { return half<Real>(rank); };
    return rounds(x, [&](std::uint64_t at, std::uint64_t n) { add_up<Real>(ranks(), part, n, accumulate, out.data + at); });
  }
  // The first n elements of so many parts. A block at a time, so that sums stay in the processor.
  template <class Real, class Part>
  static void add_up(std::uint32_t parts, const Part& part, std::uint64_t n, bool accumulate, Real* to) {
    std::array<Real, 512> sums;
    for (std::uint64_t begin = 0; begin < n; begin += sums.size()) {
      const std::uint64_t block = std::min<std::uint64_t>(sums.size(), n - begin);
      std::copy_n(part(0) + begin, block, sums.begin());
      for (std::uint32_t number = 1; number < parts; ++number) {
        const Real* const more = part(number) + begin;
        for (std::uint64_t i = 0; i < block; ++i) sums[i] += more[i];
      }
      if (accumulate)
        for (std::uint64_t i = 0; i < block; ++i) to[begin + i] += sums[i];
      else std::copy_n(sums.begin(), block, to + begin);
    }
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

  // ---- all replicas

  // Shows all ranks of the stage a run of this one's elements, of which there are `own`, as long as a round holds, until `most` were shown;
  // `take` reads those of a round.
  template <class Real, class Take>
  Result<void> rounds_of_replicas(const Real* own_elements, std::uint64_t own, std::uint64_t most, const Take& take) {
    std::uint64_t half_bytes = SIZE_MAX;
    PLIMSOLL_TRY(group_.meet_team(team())); // which has read the rounds before
    for (std::uint32_t replica = 0; replica < shape_.replicas; ++replica)
      half_bytes = std::min<std::uint64_t>(half_bytes, group_.half_bytes_[shape_.team_of(shape_.in_replica(rank_, replica))]);
    const std::uint64_t of_round = half_bytes / sizeof(Real);
    std::uint64_t round = 0;
    for (std::uint64_t at = 0; at < most; at += of_round, ++round) {
      if (at < own) std::copy_n(own_elements + at, std::min(of_round, own - at), half_of<Real>(rank_, round));
      PLIMSOLL_TRY(meet_stage());
      take(at, std::min(of_round, most - at), round);
    }
    return meet_stage();
  }

  template <class Real>
  Result<void> gather_replicas(Rows<const Real> x, Rows<Real> out) {
    std::uint64_t most = 0;
    const auto elements = [&](std::uint32_t of) { return (first_tokens_[of + 1] - first_tokens_[of]) * x.width; };
    for (std::uint32_t replica = 0; replica < shape_.replicas; ++replica) most = std::max(most, elements(replica));
    return rounds_of_replicas(x.data, x.rows * x.width, most, [&](std::uint64_t at, std::uint64_t n, std::uint64_t round) {
      for (std::uint32_t replica = 0; replica < shape_.replicas; ++replica) {
        const std::uint64_t all = elements(replica);
        if (at >= all) continue;
        std::copy_n(half_of<Real>(shape_.in_replica(rank_, replica), round), std::min(n, all - at), out.row(first_tokens_[replica]) + at);
      }
    });
  }

  template <class Real>
  Result<void> sum_replicas(Rows<const Real> x, Rows<Real> out, bool accumulate) {
    const std::uint64_t first = first_tokens_[replica()] * x.width, end = first_tokens_[replica() + 1] * x.width, all = x.rows * x.width;
    return rounds_of_replicas(x.data, all, all, [&](std::uint64_t at, std::uint64_t n, std::uint64_t round) {
      const std::uint64_t from = std::max(at, first), to = std::min(at + n, end);
      if (from >= to) return;
      const auto part = [&](std::uint32_t number) {
        const std::uint32_t in_stage = shape_.stage_of(rank_) * shape_.tensor_ranks + number % shape_.tensor_ranks;
        return half_of<Real>(shape_.in_replica(in_stage, number / shape_.tensor_ranks), round) + (from - at);
      };
      add_up<Real>(shape_.stage_ranks(), part, to - from, accumulate, out.data + (from - first));
    });
  }

  RankGroup& group_;
  const GroupShape shape_;
  std::uint32_t rank_;
  std::uint64_t round_ = 0;
  std::vector<std::uint64_t> first_tokens_; // of each replica in the rows of all, and their end
};

namespace {
tl::unexpected<Error> no_other_replicas() {
  return fail(ErrorCode::kInternal, "ranks of one replica are asked to share experts with others");
}
} // namespace

Result<std::uint64_t> Communicator::begin_pass(std::uint64_t) { return no_other_replicas(); }
Result<void> Communicator::gather_rows(Rows<const float>, Rows<float>) { return no_other_replicas(); }
Result<void> Communicator::gather_rows(Rows<const double>, Rows<double>) { return no_other_replicas(); }
Result<void> Communicator::scatter_sum(Rows<const float>, Rows<float>, bool) { return no_other_replicas(); }
Result<void> Communicator::scatter_sum(Rows<const double>, Rows<double>, bool) { return no_other_replicas(); }

RankGroup::RankGroup(const GroupShape& shape)
    : shape_(shape), buffers_(shape.ranks()), half_bytes_(std::size_t{shape.stages} * shape.replicas, 0) {
  for (std::uint32_t rank = 0; rank < shape.ranks(); ++rank) members_.push_back(std::make_unique<Member>(*this, rank));
}

RankGroup::~RankGroup() = default;

Communicator& RankGroup::communicator(std::uint32_t rank) { return *members_[rank]; }

void RankGroup::reset_rounds() {
  for (const auto& member : members_) member->reset();
}

Result<void> RankGroup::use(const std::vector<std::span<std::byte>>& buffers, std::uint32_t first) {
  if (first > shape_.ranks() || buffers.size() > shape_.ranks() - first || buffers.size() % shape_.replica_ranks() != 0 ||
      first % shape_.replica_ranks() != 0 || buffers.empty())
    return fail(ErrorCode::kBadRequest, fmt::format("{} signal buffers for {} ranks; each has one", buffers.size(), shape_.ranks()));
  for (std::uint32_t team = shape_.team_of(first); team < shape_.team_of(first + static_cast<std::uint32_t>(buffers.size())); ++team) {
    std::size_t smallest = SIZE_MAX;
    for (std::uint32_t rank = team * shape_.tensor_ranks; rank < (team + 1) * shape_.tensor_ranks; ++rank) {
      const std::span<std::byte> buffer = buffers[rank - first];
      smallest = std::min(smallest, buffer.size());
      const bool only_receives = shape_.stage_ranks() == 1 && rank + 1 == shape_.ranks();
      if (only_receives) continue;
      if (buffer.size() < 2 * kBufferAlignBytes || std::bit_cast<std::uintptr_t>(buffer.data()) % kBufferAlignBytes != 0)
        return fail(ErrorCode::kBadRequest, fmt::format("a signal buffer of {} B; ranks need {} B at a multiple of {} at least",
                                                        buffer.size(), 2 * kBufferAlignBytes, kBufferAlignBytes));
    }
    half_bytes_[team] = smallest / 2 / kBufferAlignBytes * kBufferAlignBytes;
  }
  std::copy(buffers.begin(), buffers.end(), buffers_.begin() + first);
  return {};
}

} // namespace plimsoll
