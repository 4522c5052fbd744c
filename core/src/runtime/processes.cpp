#include "runtime/processes.hpp"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <dlfcn.h>
#include <fmt/format.h>
#include <fstream>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "runtime/shared_window.hpp"

namespace plimsoll {
namespace {

enum ProcessState : std::uint32_t { kNotThere = 0, kAlive = 1, kLeft = 2 };

constexpr std::chrono::milliseconds kPulse{100}, kLeaving{10'000};
constexpr std::chrono::seconds kGrace{3};                  // for who was told that one is lost, before it is ended
constexpr std::chrono::milliseconds kAskedGrace{500};      // mpirun kills a second after it asked
constexpr std::uint64_t kSilenceNs = 8ULL * 1'000'000'000; // a process that does not run for so long counts as lost
constexpr std::uint64_t kMostTextBytes = 64U << 20;
constexpr int kSpins = 64; // others may be about to come

std::uint64_t now_ns() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time); // one clock for all processes of a machine
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(time.tv_nsec);
}

// Sleeps while it is `value`, for 50 ms at most.
void sleep_on(std::atomic<std::uint32_t>& word, std::uint32_t value) {
  const timespec most{0, 50'000'000};
  syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), FUTEX_WAIT, value, &most, nullptr, 0); // NOLINT: the kernel reads the word
}
void wake(std::atomic<std::uint32_t>& word) {
  syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0); // NOLINT
}

// Whether a process has ended and only its parent still knows of it.
bool is_zombie(std::int32_t process) {
  std::ifstream file(fmt::format("/proc/{}/stat", process));
  std::string line;
  std::getline(file, line);
  const std::size_t at = line.rfind(')'); // names may hold anything
  return at != std::string::npos && at + 2 < line.size() && (line[at + 2] == 'Z' || line[at + 2] == 'X');
}

// How many processes a launcher says it started; 1 where none does.
std::uint32_t started_together() {
  for (const char* const name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"})
    if (const char* const text = std::getenv(name)) {
      const std::uint64_t count = std::strtoull(text, nullptr, 10);
      if (count > 1) return static_cast<std::uint32_t>(std::min<std::uint64_t>(count, UINT32_MAX));
    }
  return 1;
}

// libplimsoll_mpi.so beside the library that this is in.
Result<StartSharedJob> load_mpi() {
  Dl_info here{};
  std::string path;
  if (dladdr(reinterpret_cast<void*>(&load_mpi), &here) != 0 && here.dli_fname != nullptr) path = here.dli_fname; // NOLINT
  path = path.substr(0, path.rfind('/') + 1) + "libplimsoll_mpi.so";
  void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL); // MPI's own plugins look for its names
  const char* const why = library == nullptr ? dlerror() : nullptr;
  void* const start = library == nullptr ? nullptr : dlsym(library, kStartSharedJob);
  if (start == nullptr)
    return fail(ErrorCode::kBadRequest,
                fmt::format("mpirun started several processes, and this installation was built without MPI ({}); start one, or use ranks "
                            "that are threads, as --tp alone asks for",
                            why == nullptr ? "no such function" : why),
                path);
  return reinterpret_cast<StartSharedJob>(start); // NOLINT
}

} // namespace

std::uint64_t step_hash(std::uint64_t before, std::span<const std::byte> bytes) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), before);
}

// ---- Impl -----------------------------------------------------------------------------------------------------------------

Processes::Impl::Impl(const SharedJob& job, ProcessesOptions options)
    : job_(job), options_(std::move(options)), windows_(job.size), memory_(std::make_shared<SharedWindow>()) {}

Result<std::shared_ptr<Processes>> Processes::Impl::join(const SharedJob& job, ProcessesOptions options) {
  if (job.size > kMostProcesses || job.rank >= job.size)
    return plimsoll::fail(ErrorCode::kBadRequest,
                          fmt::format("rank {} of {} processes; at most {} can be ranks", job.rank, job.size, kMostProcesses));
  auto impl = std::make_shared<Impl>(job, std::move(options));
  PLIMSOLL_TRY(impl->open());
  return std::make_shared<Processes>(std::move(impl));
}

Result<void> Processes::Impl::open() {
  const std::vector<std::uint64_t> bytes(size(), sizeof(ProcessSlot));
  std::vector<void*> addresses(size(), nullptr);
  if (!job_.share(job_.self, bytes.data(), addresses.data()))
    return plimsoll::fail(ErrorCode::kOutOfMemory, fmt::format("there is no shared memory for the slots of {} processes", size()));
  for (void* const address : addresses) slots_.push_back(static_cast<ProcessSlot*>(address)); // zeros: see ProcessSlot
  own().process.store(getpid());
  own().beat_ns.store(now_ns());
  own().state.store(kAlive);
  pulse_ = std::thread([this] { pulse(); });
  return meet_all();
}

Processes::Impl::~Impl() {
  leave();
  {
    const std::scoped_lock lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  if (pulse_.joinable()) pulse_.join();
  if (!slots_.empty() && !lost()) job_.finish(job_.self); // the slots are gone with it
}

// Whoever comes last opens the next round. One that has left did not wait here, so it will not come: what is left unread is the round.
Result<void> Processes::Impl::meet(SharedMeeting& meeting, std::uint32_t expected) {
  const std::uint32_t mine = meeting.round.load(std::memory_order_acquire);
  if (meeting.waiting.fetch_add(1, std::memory_order_acq_rel) + 1 == expected) {
    meeting.waiting.store(0, std::memory_order_relaxed);
    meeting.round.fetch_add(1, std::memory_order_release);
    wake(meeting.round);
    return {};
  }
  for (int spin = 0;; ++spin) {
    const auto has_left = [](const ProcessSlot* slot) { return slot->state.load(std::memory_order_acquire) == kLeft; };
    const auto left = std::find_if(slots_.begin(), slots_.end(), has_left);
    std::optional<Error> error = trouble();
    if (meeting.round.load(std::memory_order_acquire) != mine) return {};
    if (error) return tl::unexpected(std::move(*error));
    if (left != slots_.end())
      return plimsoll::fail(ErrorCode::kInternal, fmt::format("rank {} has left before the work was done", left - slots_.begin()));
    if (spin < kSpins) std::this_thread::yield();
    else sleep_on(meeting.round, mine);
  }
}

Result<void> Processes::Impl::meet_for(std::uint64_t step) {
  own().replicas_hash.store(step);
  PLIMSOLL_TRY(meet_all());
  for (std::uint32_t other = 0; other < size(); ++other)
    if (slots_[other]->replicas_hash.load() != step)
      return plimsoll::fail(
          ErrorCode::kBadRequest,
          fmt::format("rank {} is about to make another step than rank {}: their requests or files are not the same", other, rank()),
          "mpirun");
  return {};
}

std::uint64_t Processes::Impl::offset_of(const void* memory) const {
  const std::span<const std::byte> window = windows_[rank()];
  const auto* const at = static_cast<const std::byte*>(memory);
  if (at == nullptr || at < window.data() || at >= window.data() + window.size()) return window.size();
  return static_cast<std::uint64_t>(at - window.data());
}

Result<std::vector<std::string>> Processes::Impl::gather(std::string_view mine) {
  own().text_bytes.store(mine.size());
  PLIMSOLL_TRY(meet_all());
  std::uint64_t longest = 0;
  for (const ProcessSlot* const of : slots_) longest = std::max(longest, of->text_bytes.load());
  if (longest > kMostTextBytes) return plimsoll::fail(ErrorCode::kInternal, fmt::format("a rank has {} B to say", longest));
  std::vector<std::string> texts(size());
  for (std::uint64_t at = 0; at < longest; at += ProcessSlot::kTextBytes) {
    if (at < mine.size()) mine.substr(at, ProcessSlot::kTextBytes).copy(own().text.data(), ProcessSlot::kTextBytes);
    PLIMSOLL_TRY(meet_all());
    for (std::size_t i = 0; i < texts.size(); ++i) {
      const std::uint64_t bytes = slots_[i]->text_bytes.load();
      if (at < bytes) texts[i].append(slots_[i]->text.data(), std::min<std::uint64_t>(bytes - at, ProcessSlot::kTextBytes));
    }
    PLIMSOLL_TRY(meet_all());
  }
  PLIMSOLL_TRY(meet_all()); // all have read how much there is
  return texts;
}

void Processes::Impl::fail(const Error& error) noexcept {
  ProcessSlot& slot = own();
  std::size_t bytes = std::min(error.message.size(), ProcessSlot::kMessageBytes - 1);
  while (bytes > 0 && bytes < error.message.size() && (static_cast<unsigned char>(error.message[bytes]) & 0xC0U) == 0x80U) --bytes;
  std::memcpy(slot.message.data(), error.message.data(), bytes);
  slot.message[bytes] = '\0';
  slot.error_code.store(static_cast<std::int32_t>(error.code));
  std::uint32_t nobody = 0;
  slots_.front()->failed.compare_exchange_strong(nobody, rank() + 1);
}

std::optional<Error> Processes::Impl::lost() const {
  const std::uint32_t number = slots_.empty() ? 0 : slots_.front()->lost.load();
  if (number == 0) return std::nullopt;
  const bool ended = is_gone(number - 1);
  return Error{ErrorCode::kInternal,
               fmt::format("rank {} (process {}) {}; all ranks end", number - 1, slots_[number - 1]->process.load(),
                           ended ? "has ended before the work was done" : "has not been heard of for 8 s"),
               fmt::format("rank {}", number - 1)};
}

std::optional<Error> Processes::Impl::trouble() const {
  if (std::optional<Error> error = lost()) return error;
  const std::uint32_t number = slots_.front()->failed.load();
  if (number == 0) return std::nullopt;
  const ProcessSlot& of = *slots_[number - 1];
  return Error{static_cast<ErrorCode>(of.error_code.load()), fmt::format("rank {}: {}", number - 1, of.message.data()), ""};
}

bool Processes::Impl::speaks() const {
  for (std::uint32_t other = 0; other < rank(); ++other)
    if (slots_[other]->state.load() == kAlive && !is_gone(other)) return false;
  std::uint32_t nobody = 0;
  return slots_.front()->speaker.compare_exchange_strong(nobody, rank() + 1) || nobody == rank() + 1;
}

bool Processes::Impl::is_gone(std::uint32_t other) const {
  const std::int32_t process = slots_[other]->process.load();
  return (kill(process, 0) != 0 && errno == ESRCH) || is_zombie(process);
}

void Processes::Impl::look_for_lost() {
  for (std::uint32_t other = 0; other < size(); ++other) {
    const ProcessSlot& slot = *slots_[other];
    if (other == rank() || slot.state.load() != kAlive) continue;
    const std::uint64_t beat = slot.beat_ns.load(), now = now_ns();
    if (!is_gone(other) && (now < beat || now - beat < kSilenceNs)) continue;
    if (slot.state.load() != kAlive) continue; // it left, then it ended
    std::uint32_t nobody = 0;
    slots_.front()->lost.compare_exchange_strong(nobody, other + 1);
    return;
  }
}

// Shows that this process lives and looks after the others. Where one is lost, or somebody wants this one to end, the main thread has
// some time to notice by itself.
void Processes::Impl::pulse() {
  std::optional<Clock::time_point> noticed, asked;
  bool given_up = false;
  std::unique_lock lock(mutex_);
  while (!ending_) {
    lock.unlock();
    own().beat_ns.store(now_ns());
    if (slots_.front()->lost.load() == 0 && !left_.load()) look_for_lost();
    const Clock::time_point now = Clock::now();
    if (!noticed && slots_.front()->lost.load() != 0) noticed = now;
    if (!asked && options_.asked_to_end && options_.asked_to_end()) asked = now;
    const bool late = (noticed && now - *noticed > kGrace) || (asked && now - *asked > kAskedGrace);
    if (late && !std::exchange(given_up, true) && options_.give_up) {
      const std::optional<Error> error = lost();
      options_.give_up(error ? &*error : nullptr);
    }
    lock.lock();
    changed_.wait_for(lock, kPulse, [this] { return ending_; });
  }
}

void Processes::Impl::leave() noexcept {
  if (slots_.empty() || left_.exchange(true)) return;
  own().state.store(kLeft, std::memory_order_release);
  for (auto waited = std::chrono::milliseconds(0); rank() != 0 && waited < kLeaving && !lost() && slots_.front()->state.load() == kAlive;
       waited += std::chrono::milliseconds(10))
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
}

Result<void> Processes::Impl::share(std::span<const std::uint64_t> bytes_of_each) {
  bool fits = true;
  for (std::uint32_t i = 0; i < size(); ++i) fits = fits && windows_[i].size() >= bytes_of_each[i];
  if (fits) return {}; // as all others find too: they have the same numbers
  std::vector<void*> addresses(size(), nullptr);
  if (!job_.share(job_.self, bytes_of_each.data(), addresses.data()))
    return plimsoll::fail(ErrorCode::kOutOfMemory, "the machine does not share so much memory; see how large /dev/shm is");
  for (std::uint32_t i = 0; i < size(); ++i) windows_[i] = {static_cast<std::byte*>(addresses[i]), bytes_of_each[i]};
  static_cast<SharedWindow&>(*memory_).use(windows_[rank()]);
  return {};
}

// ---- face -----------------------------------------------------------------------------------------------------------------

Processes::Processes(std::shared_ptr<Impl> impl) noexcept : impl_(std::move(impl)) {}
Processes::~Processes() = default;

Result<std::shared_ptr<Processes>> Processes::join(ProcessesOptions options) {
  if (started_together() == 1) return std::shared_ptr<Processes>();
  PLIMSOLL_ASSIGN(const StartSharedJob start, load_mpi());
  SharedJob job;
  std::array<char, 256> message{};
  if (!start(&job, message.data(), message.size())) return plimsoll::fail(ErrorCode::kBadRequest, message.data(), "mpirun");
  return Impl::join(job, std::move(options));
}

std::uint32_t Processes::rank() const { return impl_->rank(); }
std::uint32_t Processes::size() const { return impl_->size(); }
Result<std::vector<std::string>> Processes::gather(std::string_view mine) { return impl_->gather(mine); }
void Processes::fail(const Error& error) noexcept { impl_->fail(error); }
std::optional<Error> Processes::lost() const { return impl_->lost(); }
bool Processes::speaks() const { return impl_->speaks(); }
void Processes::leave() noexcept { impl_->leave(); }
std::shared_ptr<MemorySource> Processes::memory() const { return impl_->memory(); }

Result<void> Processes::check(const Plan& plan) {
  PLIMSOLL_TRY(agree("plan", plan_to_json(plan, -1)));
  if (plan.error) return {}; // whoever made it says so
  if (plan.devices.size() != size())
    return plimsoll::fail(
        ErrorCode::kBadRequest,
        fmt::format("the plan has {} ranks and mpirun started {} processes; each rank is one", plan.devices.size(), size()), "--devices");
  return {};
}

Result<void> Processes::agree(std::string_view what, std::string_view mine) {
  const XXH128_hash_t hash = XXH3_128bits(mine.data(), mine.size());
  PLIMSOLL_ASSIGN(const std::vector<std::string> all, gather(fmt::format("{:016x}{:016x}", hash.high64, hash.low64)));
  for (std::size_t i = 1; i < all.size(); ++i)
    if (all[i] != all[0])
      return plimsoll::fail(ErrorCode::kBadRequest,
                            fmt::format("rank {} has another {} than rank 0 ({} and {}); start all with the same command line and files", i,
                                        what, all[i].substr(0, 16), all[0].substr(0, 16)),
                            "mpirun");
  return {};
}

} // namespace plimsoll
