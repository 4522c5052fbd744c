#include "runtime/nccl_group.hpp"

#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <thread>
#include <type_traits>
#include <utility>

#include "schedule/nccl_memory.hpp"

namespace plimsoll {
namespace {

using NcclClock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kAsksAgain{20};
constexpr std::chrono::seconds kWhoWasLost{2}; // NCCL hears of a lost process before its rank is known
constexpr std::chrono::seconds kComesTogether{120}, kParts{5};
constexpr int kQuickLooks = 2000;

// Others may be about to come, the device may be about to be done.
void pause_after(int looks) {
  if (looks < kQuickLooks) std::this_thread::yield();
  else std::this_thread::sleep_for(std::chrono::microseconds(50));
}

template <class Real>
constexpr int nccl_type() {
  return std::is_same_v<Real, float> ? kNcclFloat32 : kNcclFloat64;
}

} // namespace

// A communicator as a rank has it.
struct NcclGroup::Joined {
  Joined(Backend& of, std::uint32_t number, std::uint32_t of_size, std::uint32_t at, std::size_t in)
      : device(of), rank(number), size(of_size), place(at), id(in) {}

  Backend& device;
  const std::uint32_t rank, size, place;
  const std::size_t id; // which group of ranks it is of: those of a stage, by its number, then those of a line, by its place
  NcclComm* comm = nullptr;
};

class NcclGroup::Member final : public Communicator {
public:
  Member(NcclGroup& group, Backend& device, std::uint32_t rank) : group_(group), device_(device), rank_(rank) {}

  std::uint32_t rank() const override { return rank_ % group_.ranks_.tensor_ranks; }
  std::uint32_t ranks() const override { return group_.ranks_.tensor_ranks; }
  Result<void> all_reduce(Rows<const float> x, Rows<float> out, bool accumulate) override { return sum(x, out, accumulate); }
  Result<void> all_reduce(Rows<const double> x, Rows<double> out, bool accumulate) override { return sum(x, out, accumulate); }
  Result<void> all_gather(Rows<const float> x, Rows<float> out) override { return gather(x, out); }
  Result<void> all_gather(Rows<const double> x, Rows<double> out) override { return gather(x, out); }
  Result<void> barrier() override { return group_.meeting_.communicator(rank_).barrier(); }
  Result<void> send(Rows<const float> x) override { return hand_over(x); }
  Result<void> send(Rows<const double> x) override { return hand_over(x); }
  Result<void> receive(Rows<float> out) override { return take_over(out); }
  Result<void> receive(Rows<double> out) override { return take_over(out); }

  Joined* stage = nullptr; // null where it is alone there
  Joined* line = nullptr;
  std::span<std::byte> buffer;

private:
  template <class Real>
  std::uint64_t room() const {
    return buffer.size() / sizeof(Real);
  }
  template <class Real>
  Real* on_the_way() const {
    return reinterpret_cast<Real*>(buffer.data()); // NOLINT: aligned, and written as what it is read as
  }

  // Returns when the device has done its part.
  template <class Call>
  Result<void> ask(Joined& of, const char* what, const Call& call) {
    if (of.comm == nullptr) return fail(ErrorCode::kInternal, fmt::format("rank {}: {}: its communicator was ended", rank_, what));
    Result<void> done = group_.wait_for(of, call(of.comm, device_.stream()), what, std::nullopt);
    if (done) return done;
    for (Joined* const one : {stage, line})
      if (one != nullptr) group_.abort(*one);
    return done;
  }

  template <class Real>
  Result<void> sum(Rows<const Real> x, Rows<Real> out, bool accumulate) {
    const std::uint64_t elements = x.rows * x.width, together = accumulate ? room<Real>() : elements;
    for (std::uint64_t at = 0; at < elements; at += together) {
      const std::uint64_t n = std::min(together, elements - at);
      Real* const to = accumulate ? on_the_way<Real>() : out.data;
      PLIMSOLL_TRY(ask(*stage, "ncclAllReduce", [&](NcclComm* comm, void* stream) {
        return group_.nccl_.all_reduce(x.data + at, to, n, nccl_type<Real>(), kNcclSum, comm, stream);
      }));
      if (accumulate) device_.ops(Real{}).add({Rows<const Real>{to, 1, n}, Rows<Real>{out.data + at, 1, n}, 1, true});
    }
    return {};
  }

  // Whole rows, or a part of one; each rank's part goes from where it arrived into its columns.
  template <class Real>
  Result<void> gather(Rows<const Real> x, Rows<Real> out) {
    const std::uint64_t room_each = room<Real>() / ranks();
    const std::uint64_t most_rows = std::max<std::uint64_t>(1, room_each / x.width), most_columns = std::min(x.width, room_each);
    for (std::uint64_t row = 0; row < x.rows; row += most_rows)
      for (std::uint64_t column = 0; column < x.width; column += most_columns) {
        const std::uint64_t rows = std::min(most_rows, x.rows - row), columns = std::min(most_columns, x.width - column);
        PLIMSOLL_TRY(ask(*stage, "ncclAllGather", [&](NcclComm* comm, void* stream) {
          return group_.nccl_.all_gather(x.row(row) + column, on_the_way<Real>(), rows * columns, nccl_type<Real>(), comm, stream);
        }));
        for (std::uint64_t rank = 0; rank < ranks(); ++rank)
          place(on_the_way<Real>() + rank * rows * columns, {out.row(row), rows, out.width}, rank * x.width + column, columns);
      }
    return {};
  }
  template <class Real>
  void place(const Real* from, Rows<Real> out, std::uint64_t column, std::uint64_t columns) {
    if (column >= out.width) return;
    device_.copy_rows(out.data + column, out.width * sizeof(Real), from, columns * sizeof(Real),
                      std::min(columns, out.width - column) * sizeof(Real), out.rows);
  }

  template <class Real>
  Result<void> hand_over(Rows<const Real> x) {
    if (x.rows * x.width == 0) return {};
    return ask(*line, "ncclSend", [&](NcclComm* comm, void* stream) {
      return group_.nccl_.send(x.data, x.rows * x.width, nccl_type<Real>(), static_cast<int>(line->place) + 1, comm, stream);
    });
  }
  template <class Real>
  Result<void> take_over(Rows<Real> out) {
    if (out.rows * out.width == 0) return {};
    return ask(*line, "ncclRecv", [&](NcclComm* comm, void* stream) {
      return group_.nccl_.receive(out.data, out.rows * out.width, nccl_type<Real>(), static_cast<int>(line->place) - 1, comm, stream);
    });
  }

  NcclGroup& group_;
  Backend& device_;
  const std::uint32_t rank_;
};

NcclGroup::NcclGroup(RankGroup& meeting, const Nccl& nccl, Ranks ranks) : meeting_(meeting), nccl_(nccl), ranks_(std::move(ranks)) {
  for (std::size_t i = 0; i < ranks_.here.size(); ++i) {
    const std::uint32_t rank = ranks_.here[i], place = rank % ranks_.tensor_ranks, stage = rank / ranks_.tensor_ranks;
    Backend& device = *ranks_.backends[i];
    Member& member = *members_.emplace_back(std::make_unique<Member>(*this, device, rank));
    if (ranks_.tensor_ranks > 1) member.stage = &joined_.emplace_back(device, rank, ranks_.tensor_ranks, place, stage);
    if (ranks_.stages > 1) member.line = &joined_.emplace_back(device, rank, ranks_.stages, stage, ranks_.stages + place);
  }
}

NcclGroup::~NcclGroup() { part(); }

Result<std::unique_ptr<NcclGroup>> NcclGroup::create(RankGroup& meeting, Ranks ranks, const Gather& gather) {
  PLIMSOLL_ASSIGN(const Nccl* const nccl, ranks.backends.front()->nccl());
  auto group = std::make_unique<NcclGroup>(meeting, *nccl, std::move(ranks));
  PLIMSOLL_TRY(group->begin(gather));
  return group;
}

// Those of stages, then those of lines: in this order on all ranks, since each call waits for its group.
Result<void> NcclGroup::begin(const Gather& gather) {
  alone_ = !gather;
  broken_ = false;
  PLIMSOLL_ASSIGN(const std::vector<NcclId> ids, agree_on_ids(gather));
  for (const bool lines : {false, true}) {
    std::vector<Joined*> of;
    for (const auto& member : members_)
      if (Joined* const one = lines ? member->line : member->stage; one != nullptr) of.push_back(one);
    if (of.empty()) continue;
    if (auto made = make(of, ids); !made) {
      for (Joined& one : joined_) abort(one);
      return made;
    }
  }
  return {};
}

Communicator& NcclGroup::communicator(std::size_t at) { return *members_[at]; }

Result<void> NcclGroup::use(std::vector<std::span<std::byte>> buffers) {
  for (std::size_t i = 0; i < members_.size(); ++i) {
    const std::uint64_t needed = ranks_.tensor_ranks > 1 ? ranks_.tensor_ranks * sizeof(double) : 0;
    if (buffers.size() != members_.size() || buffers[i].size() < needed)
      return fail(ErrorCode::kBadRequest,
                  fmt::format("{} signal buffers for {} ranks here, or one of less than the {} B that {} ranks need", buffers.size(),
                              members_.size(), needed, ranks_.tensor_ranks));
    members_[i]->buffer = buffers[i];
  }
  if (!broken_) return {};
  for (Joined& one : joined_) abort(one); // of ranks that had nothing to wait for
  if (!alone_) return fail(ErrorCode::kInternal, "the ranks' communicators were ended by an error before; start them anew", "NCCL");
  return begin({});
}

// By the number of each group of ranks; the first rank of each makes its id.
Result<std::vector<NcclId>> NcclGroup::agree_on_ids(const Gather& gather) {
  constexpr std::size_t kBytes = sizeof(NcclId);
  std::vector<NcclId> ids(ranks_.stages + ranks_.tensor_ranks);
  const auto first_of = [&](std::size_t id) { return id < ranks_.stages ? id * ranks_.tensor_ranks : id - ranks_.stages; };
  std::string mine(ids.size() * kBytes, '\0');
  for (std::size_t id = 0; id < ids.size(); ++id) {
    if ((id < ranks_.stages ? ranks_.tensor_ranks : ranks_.stages) == 1) continue;
    if (std::find(ranks_.here.begin(), ranks_.here.end(), first_of(id)) == ranks_.here.end()) continue;
    if (const NcclStatus status = nccl_.get_unique_id(&ids[id]); status != kNcclSuccess)
      return fail(ErrorCode::kInternal, fmt::format("NCCL gives no id for ranks to meet by ({})", nccl_.get_error_string(status)));
    std::copy(ids[id].bytes.begin(), ids[id].bytes.end(), mine.begin() + static_cast<std::ptrdiff_t>(id * kBytes));
  }
  if (!gather) return ids;
  PLIMSOLL_ASSIGN(const std::vector<std::string> all, gather(mine));
  for (std::size_t id = 0; id < ids.size(); ++id) {
    const std::string& text = all.at(first_of(id));
    if (text.size() != mine.size())
      return fail(ErrorCode::kInternal, fmt::format("rank {} says {} B where NCCL's ids were expected", first_of(id), text.size()));
    text.copy(ids[id].bytes.data(), kBytes, id * kBytes);
  }
  return ids;
}

Result<void> NcclGroup::make(const std::vector<Joined*>& of, const std::vector<NcclId>& ids) {
  const auto wrong = [](NcclStatus status) { return status != kNcclSuccess && status != kNcclInProgress; };
  if (const NcclStatus status = nccl_.group_start(); wrong(status)) return tl::unexpected(words_of(status, *of.front(), "ncclGroupStart"));
  std::optional<Error> error;
  for (Joined* const one : of) {
    one->device.stream(); // NCCL takes the current device
    NcclConfig config;
    config.blocking = 0; // so that who waits can be ended
    config.min_ctas = 1;
    config.max_ctas = static_cast<int>(kNcclChannels);
    const NcclStatus status =
        nccl_.comm_init_rank_config(&one->comm, static_cast<int>(one->size), ids[one->id], static_cast<int>(one->place), &config);
    if (wrong(status) && !error) error = words_of(status, *one, "ncclCommInitRankConfig");
  }
  const NcclStatus status = nccl_.group_end();
  if (wrong(status) && !error) error = words_of(status, *of.front(), "ncclCommInitRankConfig");
  if (error) return tl::unexpected(std::move(*error));
  for (Joined* const one : of) PLIMSOLL_TRY(wait_for(*one, kNcclInProgress, "ncclCommInitRankConfig", kComesTogether));
  return {};
}

// Until what was asked for has been taken up and the device has done it, or for so long; or until one cannot go on.
Result<void> NcclGroup::wait_for(Joined& of, NcclStatus status, const char* what, std::optional<std::chrono::seconds> most) {
  const NcclClock::time_point begin = NcclClock::now();
  for (int looks = 0;; ++looks) {
    if (status == kNcclSuccess) {
      Result<bool> done = of.device.is_done();
      if (!done) return tl::unexpected(reason(std::move(done.error())));
      if (*done) return {};
    } else if (status != kNcclInProgress) {
      return tl::unexpected(reason(words_of(status, of, what)));
    }
    if (std::optional<Error> error = meeting_.trouble()) return tl::unexpected(std::move(*error));
    if (most && NcclClock::now() - begin > *most)
      return fail(ErrorCode::kInternal, fmt::format("rank {}: {}: the ranks did not come together in {} s", of.rank, what, most->count()));
    pause_after(looks);
    if (const NcclStatus asked = nccl_.comm_get_async_error(of.comm, &status); asked != kNcclSuccess) status = asked;
  }
}

// Who was lost counts for more than what NCCL or the device hears of it.
Error NcclGroup::reason(Error heard) const {
  for (const NcclClock::time_point begin = NcclClock::now(); !alone_ && NcclClock::now() - begin < kWhoWasLost;
       std::this_thread::sleep_for(kAsksAgain))
    if (std::optional<Error> error = meeting_.trouble()) return std::move(*error);
  return heard;
}

Error NcclGroup::words_of(NcclStatus status, const Joined& of, const char* what) const {
  const char* const words = nccl_.get_error_string(status);
  const char* const last = of.comm == nullptr ? nullptr : nccl_.get_last_error(of.comm);
  return Error{ErrorCode::kInternal,
               fmt::format("rank {}: {}: {}{}{}", of.rank, what, words == nullptr ? "unknown error" : words,
                           last == nullptr || *last == '\0' ? "" : "; ", last == nullptr ? "" : last),
               "NCCL"};
}

void NcclGroup::abort(Joined& of) {
  if (of.comm == nullptr) return;
  broken_ = true;
  nccl_.comm_abort(std::exchange(of.comm, nullptr));
}

// All ranks do, at their end; who has not heard of the others in some seconds goes without them.
void NcclGroup::part() {
  const NcclClock::time_point begin = NcclClock::now();
  for (Joined& of : joined_)
    if (of.comm != nullptr && !broken_) nccl_.comm_finalize(of.comm);
  for (Joined& of : joined_) {
    NcclStatus status = kNcclInProgress;
    for (int looks = 0; of.comm != nullptr && !broken_ && status == kNcclInProgress; ++looks) {
      if (NcclClock::now() - begin > kParts || meeting_.trouble()) break;
      if (nccl_.comm_get_async_error(of.comm, &status) != kNcclSuccess) break;
      pause_after(looks);
    }
    if (status == kNcclSuccess) nccl_.comm_destroy(std::exchange(of.comm, nullptr));
    else abort(of);
  }
}

} // namespace plimsoll
