// NCCL as tests play it: communicators of ranks that are threads of this process, or processes that were forked from it, whose calls return
// at once and are done when all ranks have made them, as those of communicators that do not block. It notes every call, and what a real one
// would not forgive: a call before the last one was done, one on a communicator that is gone, a group that is not ended. Sums are added in
// the order of ranks. Header only. Threads: any; one PlayedNccl at a time.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <list>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <sys/mman.h>
#include <utility>
#include <vector>

#include "backend/device_backend.hpp"
#include "backend/nccl.hpp"

namespace plimsoll {

// One rank's end.
struct NcclComm {
  std::uint64_t clique = 0; // whose number it is
  int rank = 0, size = 0;
  bool finalized = false;
  std::uint64_t calls = 0; // collectives so far
  // What it waits for: the last collective, what a rank sends, or that one takes it.
  enum class Wait { kNothing, kCollective, kMessage, kTaken } wait = Wait::kNothing;
  void* out = nullptr;
  std::size_t bytes = 0;
  OpenDevice* device = nullptr;
  int peer = 0; // of a handover
};

} // namespace plimsoll

namespace plimsoll::test {

class PlayedNccl {
public:
  struct Call {
    std::string what;
    int rank = 0, size = 0;
    std::size_t count = 0;
    int type = 0;
    int peer = -1; // of a handover
  };

  PlayedNccl() {
    void* const memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    shared_ = static_cast<Shared*>(memory); // zeros are how it begins
    functions_.get_version = [](int* version) {
      *version = kLeastNcclVersion;
      return kNcclSuccess;
    };
    functions_.get_unique_id = [](NcclId* id) { return self().new_id(*id); };
    functions_.comm_init_rank_config = [](NcclComm** comm, int ranks, NcclId id, int rank, NcclConfig* config) {
      return self().init(*comm, ranks, id, rank, *config);
    };
    functions_.comm_finalize = [](NcclComm* comm) { return self().finalize(comm); };
    functions_.comm_destroy = [](NcclComm* comm) { return self().remove(comm, "ncclCommDestroy"); };
    functions_.comm_abort = [](NcclComm* comm) { return self().remove(comm, "ncclCommAbort"); };
    functions_.comm_get_async_error = [](NcclComm* comm, NcclStatus* status) { return self().look(comm, *status); };
    functions_.get_error_string = [](NcclStatus status) { return status == kRemoteError ? "remote process exited" : "played"; };
    functions_.get_last_error = [](NcclComm*) { return ""; };
    functions_.group_start = [] { return self().group(1); };
    functions_.group_end = [] { return self().group(-1); };
    functions_.all_reduce = [](const void* x, void* out, std::size_t count, int type, int op, NcclComm* comm, void* stream) {
      if (op != kNcclSum) self().wrong("another operation than a sum");
      return self().collective("ncclAllReduce", x, out, count, type, comm, stream);
    };
    functions_.all_gather = [](const void* x, void* out, std::size_t count, int type, NcclComm* comm, void* stream) {
      return self().collective("ncclAllGather", x, out, count, type, comm, stream);
    };
    functions_.send = [](const void* x, std::size_t count, int type, int peer, NcclComm* comm, void* stream) {
      return self().send(x, count, type, peer, comm, stream);
    };
    functions_.receive = [](void* out, std::size_t count, int type, int peer, NcclComm* comm, void* stream) {
      return self().receive(out, count, type, peer, comm, stream);
    };
    current() = this;
  }
  PlayedNccl(const PlayedNccl&) = delete;
  PlayedNccl& operator=(const PlayedNccl&) = delete;
  ~PlayedNccl() {
    current() = nullptr;
    munmap(shared_, sizeof(Shared));
  }

  const Nccl* functions() const { return &functions_; }

  // ---- what was seen

  std::vector<Call> calls() const {
    const std::scoped_lock lock(mutex_);
    return calls_;
  }
  std::size_t count(const std::string& what) const {
    const std::scoped_lock lock(mutex_);
    return static_cast<std::size_t>(std::count_if(calls_.begin(), calls_.end(), [&](const Call& call) { return call.what == what; }));
  }
  std::size_t live() const {
    const std::scoped_lock lock(mutex_);
    return comms_.size();
  }
  // What a real one would not have forgiven; empty: nothing.
  std::vector<std::string> wrongs() const {
    const std::scoped_lock lock(mutex_);
    return wrongs_;
  }

  // ---- what goes wrong; set before

  static constexpr NcclStatus kRemoteError = 6;
  std::optional<int> init_fails_on;         // that rank
  bool id_fails = false;                    //
  bool others_are_elsewhere = false;        // who is alone has come together, and waits for ever
  std::optional<std::size_t> fails_at_call; // of a collective, heard of behind it

private:
  static constexpr std::size_t kMostRanks = 4, kMostCliques = 64, kMostBytes = 1U << 20;
  // What a rank hands over; nobody reads it any more when the next but one comes.
  struct Part {
    std::size_t bytes = 0, count = 0;
    int type = 0;
    bool gathers = false;
    std::array<std::byte, kMostBytes> data;
  };
  struct Rank {
    std::atomic<std::uint64_t> calls;
    std::array<Part, 2> parts;
  };
  struct Message {
    std::atomic<std::uint64_t> sent, taken;
    std::size_t bytes = 0;
    std::array<std::byte, kMostBytes> data;
  };
  struct Clique {
    std::atomic<int> size, come, finalized;
    std::array<Rank, kMostRanks> ranks;
    std::array<std::array<Message, kMostRanks>, kMostRanks> messages; // [from][to]
  };
  struct Shared {
    std::atomic<std::uint64_t> ids;
    std::array<Clique, kMostCliques> cliques;
  };

  static PlayedNccl*& current() {
    static PlayedNccl* one = nullptr;
    return one;
  }
  static PlayedNccl& self() { return *current(); }
  static std::size_t width(int type) { return type == kNcclFloat32 ? sizeof(float) : type == kNcclFloat64 ? sizeof(double) : 0; }
  static int& depth() {
    thread_local int groups = 0;
    return groups;
  }
  void wrong(std::string what) { wrongs_.push_back(std::move(what)); }

  NcclStatus new_id(NcclId& id) {
    const std::scoped_lock lock(mutex_);
    if (id_fails) return 2;
    id = {};
    const std::uint64_t number = ++shared_->ids;
    std::memcpy(id.bytes.data(), &number, sizeof(number));
    return kNcclSuccess;
  }
  NcclStatus group(int by) {
    depth() += by;
    const std::scoped_lock lock(mutex_);
    if (depth() < 0) wrong("a group that was not begun");
    calls_.push_back({by > 0 ? "ncclGroupStart" : "ncclGroupEnd"});
    return by > 0 ? kNcclSuccess : kNcclInProgress;
  }
  NcclStatus init(NcclComm*& out, int ranks, const NcclId& id, int rank, const NcclConfig& config) {
    const std::scoped_lock lock(mutex_);
    calls_.push_back({"ncclCommInitRankConfig", rank, ranks});
    if (depth() != 1) wrong("a communicator beyond a group");
    if (config.blocking != 0 || config.max_ctas < 1 || config.size != sizeof(NcclConfig)) wrong("a configuration");
    if (init_fails_on == rank) return 1;
    std::uint64_t number = 0;
    std::memcpy(&number, id.bytes.data(), sizeof(number));
    Clique& clique = clique_of(number);
    const int before = clique.size.exchange(ranks);
    if (number == 0 || rank >= ranks || ranks > static_cast<int>(kMostRanks) || (before != 0 && before != ranks))
      wrong("a communicator of others");
    ++clique.come;
    NcclComm& comm = comms_.emplace_back();
    comm.clique = number;
    comm.rank = rank;
    comm.size = ranks;
    out = &comm;
    return kNcclInProgress;
  }
  // Whether the communicator may be asked for something.
  bool check(NcclComm* comm, const char* what) {
    if (!is_live(comm)) {
      wrong(std::string(what) + " on a communicator that is gone");
      return false;
    }
    if (comm->wait != NcclComm::Wait::kNothing || comm->finalized) wrong(std::string(what) + " before the last call was done");
    return true;
  }
  bool is_live(const NcclComm* comm) const {
    return std::any_of(comms_.begin(), comms_.end(), [&](const NcclComm& live) { return &live == comm; });
  }
  NcclStatus finalize(NcclComm* comm) {
    const std::scoped_lock lock(mutex_);
    if (!check(comm, "ncclCommFinalize")) return 4;
    calls_.push_back({"ncclCommFinalize", comm->rank, comm->size});
    comm->finalized = true;
    ++clique_of(comm->clique).finalized;
    return kNcclInProgress;
  }
  NcclStatus remove(NcclComm* comm, const char* what) {
    const std::scoped_lock lock(mutex_);
    if (!is_live(comm)) {
      wrong(std::string(what) + " on a communicator that is gone");
      return 4;
    }
    if (std::string(what) == "ncclCommDestroy" && !comm->finalized) wrong("a communicator that is destroyed before its end");
    calls_.push_back({what, comm->rank, comm->size});
    comms_.remove_if([&](const NcclComm& live) { return &live == comm; });
    return kNcclSuccess;
  }
  NcclStatus look(NcclComm* comm, NcclStatus& status) {
    const std::scoped_lock lock(mutex_);
    if (!is_live(comm)) {
      wrong("a look at a communicator that is gone");
      return 4;
    }
    Clique& clique = clique_of(comm->clique);
    status = kNcclInProgress;
    if (fails_at_call && comm->calls > *fails_at_call) status = kRemoteError;
    else if (clique.come < clique.size && !others_are_elsewhere) return kNcclSuccess;
    else if (comm->finalized ? clique.finalized == clique.size || others_are_elsewhere : is_done(clique, *comm)) status = kNcclSuccess;
    return kNcclSuccess;
  }
  Clique& clique_of(std::uint64_t number) const { return shared_->cliques[number % kMostCliques]; }

  // What it waits for goes to where it is wanted, once it is there.
  bool is_done(Clique& clique, NcclComm& comm) {
    if (comm.wait == NcclComm::Wait::kNothing) return true;
    std::vector<std::byte> result;
    const auto own = static_cast<std::size_t>(comm.rank), peer = static_cast<std::size_t>(comm.peer);
    if (comm.wait == NcclComm::Wait::kTaken) {
      if (clique.messages[own][peer].sent != clique.messages[own][peer].taken) return false;
      comm.wait = NcclComm::Wait::kNothing;
      return true;
    }
    if (comm.wait == NcclComm::Wait::kMessage) {
      Message& message = clique.messages[peer][own];
      if (message.sent == message.taken) return false;
      result.assign(message.data.begin(), message.data.begin() + static_cast<std::ptrdiff_t>(message.bytes));
      ++message.taken;
    } else {
      for (int rank = 0; rank < comm.size; ++rank)
        if (clique.ranks[static_cast<std::size_t>(rank)].calls < comm.calls) return false;
      result = joined(clique, comm);
    }
    if (result.size() == comm.bytes) comm.device->copy_in(comm.out, result.data(), result.size());
    else wrong("values of another size than what was sent");
    comm.wait = NcclComm::Wait::kNothing;
    return true;
  }
  std::vector<std::byte> joined(const Clique& clique, const NcclComm& comm) {
    std::vector<std::byte> out;
    const auto part_of = [&](int rank) -> const Part& { return clique.ranks[static_cast<std::size_t>(rank)].parts[(comm.calls - 1) % 2]; };
    const Part& own = part_of(comm.rank);
    for (int rank = 0; rank < comm.size; ++rank) {
      const Part& part = part_of(rank);
      if (part.count != own.count || part.type != own.type || part.gathers != own.gathers) wrong("ranks that make different calls");
      const auto end = part.data.begin() + static_cast<std::ptrdiff_t>(part.bytes);
      if (rank == 0 || own.gathers) out.insert(out.end(), part.data.begin(), end);
      else if (own.type == kNcclFloat32) add<float>(part, out);
      else add<double>(part, out);
    }
    return out;
  }
  template <class Real>
  static void add(const Part& part, std::vector<std::byte>& out) {
    for (std::size_t at = 0; at + sizeof(Real) <= out.size(); at += sizeof(Real)) {
      Real sum = 0, more = 0;
      std::memcpy(&sum, out.data() + at, sizeof(Real));
      std::memcpy(&more, part.data.data() + at, sizeof(Real));
      sum += more;
      std::memcpy(out.data() + at, &sum, sizeof(Real));
    }
  }
  static std::vector<std::byte> read(const void* x, std::size_t bytes, void* stream) {
    std::vector<std::byte> out(bytes);
    static_cast<OpenDevice*>(stream)->copy_out(out.data(), x, bytes);
    return out;
  }

  NcclStatus collective(const char* what, const void* x, void* out, std::size_t count, int type, NcclComm* comm, void* stream) {
    std::vector<std::byte> part = read(x, count * width(type), stream);
    const std::scoped_lock lock(mutex_);
    if (!check(comm, what)) return 4;
    calls_.push_back({what, comm->rank, comm->size, count, type});
    if (width(type) == 0 || part.size() > kMostBytes) {
      wrong("a value that is not played");
      return 4;
    }
    const bool gathers = std::string(what) == "ncclAllGather";
    Rank& own = clique_of(comm->clique).ranks[static_cast<std::size_t>(comm->rank)];
    Part& to = own.parts[comm->calls % 2];
    to.bytes = part.size();
    to.count = count;
    to.type = type;
    to.gathers = gathers;
    std::copy(part.begin(), part.end(), to.data.begin());
    ++comm->calls;
    own.calls = comm->calls;
    comm->wait = NcclComm::Wait::kCollective;
    comm->out = out;
    comm->bytes = part.size() * (gathers ? static_cast<std::size_t>(comm->size) : 1);
    comm->device = static_cast<OpenDevice*>(stream);
    return kNcclInProgress;
  }
  NcclStatus send(const void* x, std::size_t count, int type, int peer, NcclComm* comm, void* stream) {
    std::vector<std::byte> part = read(x, count * width(type), stream);
    const std::scoped_lock lock(mutex_);
    if (!check(comm, "ncclSend")) return 4;
    calls_.push_back({"ncclSend", comm->rank, comm->size, count, type, peer});
    Message& to = clique_of(comm->clique).messages[static_cast<std::size_t>(comm->rank)][static_cast<std::size_t>(peer)];
    if (part.size() > kMostBytes) {
      wrong("a value that is not played");
      return 4;
    }
    to.bytes = part.size();
    std::copy(part.begin(), part.end(), to.data.begin());
    ++to.sent;
    comm->wait = NcclComm::Wait::kTaken;
    comm->peer = peer;
    return kNcclInProgress;
  }
  NcclStatus receive(void* out, std::size_t count, int type, int peer, NcclComm* comm, void* stream) {
    const std::scoped_lock lock(mutex_);
    if (!check(comm, "ncclRecv")) return 4;
    calls_.push_back({"ncclRecv", comm->rank, comm->size, count, type, peer});
    comm->wait = NcclComm::Wait::kMessage;
    comm->peer = peer;
    comm->out = out;
    comm->bytes = count * width(type);
    comm->device = static_cast<OpenDevice*>(stream);
    return kNcclInProgress;
  }

  Nccl functions_;
  Shared* shared_ = nullptr; // by all ranks, also those in other processes
  mutable std::mutex mutex_; // of all that follows
  std::list<NcclComm> comms_;
  std::vector<Call> calls_;
  std::vector<std::string> wrongs_;
};

} // namespace plimsoll::test
