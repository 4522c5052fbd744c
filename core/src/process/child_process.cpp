#include "process/child_process.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "process/child_side.hpp"
#include "process/frame.hpp"

extern char** environ; // NOLINT(readability-redundant-declaration): POSIX declares it nowhere

namespace plimsoll {
namespace {

constexpr std::size_t kKeptOutput = 2048;
constexpr std::chrono::milliseconds kGrace{200}; // for a process that closed its channel to be seen dead

tl::unexpected<Error> cannot(const std::string& program, std::string_view what, int number) {
  return fail(ErrorCode::kInternal, fmt::format("cannot {}: {}", what, std::generic_category().message(number)), program);
}

// Ends of a pipe or a socket above those numbers that a child has, so that none is overwritten while it is started.
Descriptor above(int number) {
  Descriptor low(number);
  return Descriptor(::fcntl(low.get(), F_DUPFD_CLOEXEC, ChildSide::kDescriptors + 1));
}

struct Ends {
  Descriptor ours, theirs;
  explicit operator bool() const { return ours && theirs; }
};
Ends channel() {
  std::array<int, 2> ends{-1, -1};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) return {};
  return {above(ends[0]), above(ends[1])};
}
Ends pipe_for(bool we_read) {
  std::array<int, 2> ends{-1, -1};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return {};
  Descriptor read = above(ends[0]), write = above(ends[1]);
  if (we_read) return {std::move(read), std::move(write)};
  return {std::move(write), std::move(read)};
}

void make_nonblocking(const Descriptor& descriptor) {
  const int flags = ::fcntl(descriptor.get(), F_GETFL);
  ::fcntl(descriptor.get(), F_SETFL, flags | O_NONBLOCK);
}

// How posix_spawn is to start a child; its parts are destroyed with it.
struct SpawnPlan {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;

  SpawnPlan() {
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawnattr_init(&attributes);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    ::posix_spawnattr_setpgroup(&attributes, 0);
    ::posix_spawnattr_setsigdefault(&attributes, &all);
    ::posix_spawnattr_setsigmask(&attributes, &none);
  }
  ~SpawnPlan() {
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
  }
  SpawnPlan(const SpawnPlan&) = delete;
  SpawnPlan& operator=(const SpawnPlan&) = delete;
};

std::string signal_name(int number) {
  const char* const name = ::sigabbrev_np(number);
  return name == nullptr ? fmt::format("signal {}", number) : fmt::format("SIG{}", name);
}

// Of shared memory: what is there up to a terminator, nothing unprintable.
std::string noted(const char* text, std::size_t capacity) {
  std::string out(text, ::strnlen(text, capacity));
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f) c = '?';
  return out;
}

} // namespace

std::string Death::words() const {
  const std::string in = what.empty() ? "" : " in " + what;
  switch (how) {
  case How::kSignal: {
    const char* const why =
        number == SIGSYS ? ": it started a thread or a process, opened a socket or sent a signal, which rule R-14 forbids" : "";
    return fmt::format("died of {}{}{}", signal_name(number), in, why);
  }
  case How::kExit: return fmt::format("ended the process with exit({}){}", number, in);
  case How::kDeadline: {
    const auto ms = deadline.count();
    const std::string time = ms % 1000 == 0 ? fmt::format("{} s", ms / 1000) : fmt::format("{} ms", ms);
    return fmt::format("did not answer within {}{}", time, in);
  }
  case How::kChannel: return fmt::format("closed or misused the descriptors of the process{}", in);
  case How::kGone: return "ended" + in;
  }
  return "ended" + in;
}

Result<std::unique_ptr<ChildProcess>> ChildProcess::start(const std::string& program, const std::vector<std::string>& arguments,
                                                          const Limits& limits) {
  std::unique_ptr<ChildProcess> child(new ChildProcess);
  child->limits_ = limits;
  Ends talk = channel(), output = pipe_for(true), life = pipe_for(false);
  make_nonblocking(output.theirs); // who prints more than it holds loses that, and does not wait
  const Descriptor memory = above(::memfd_create("plimsoll-call", MFD_CLOEXEC));
  if (!talk || !output || !life || !memory || ::ftruncate(memory.get(), sizeof(CallNote)) != 0)
    return cannot(program, "open the descriptors of a process", errno);
  void* const shared = ::mmap(nullptr, sizeof(CallNote), PROT_READ, MAP_SHARED, memory.get(), 0);
  if (shared == MAP_FAILED) return cannot(program, "map the memory that a process shares", errno);
  child->note_ = static_cast<const CallNote*>(shared);

  SpawnPlan plan;
  ::posix_spawn_file_actions_addopen(&plan.actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  const std::array<std::pair<int, int>, 5> moved{{{output.theirs.get(), STDOUT_FILENO},
                                                  {output.theirs.get(), STDERR_FILENO},
                                                  {talk.theirs.get(), ChildSide::kChannel},
                                                  {memory.get(), ChildSide::kNote},
                                                  {life.theirs.get(), ChildSide::kLife}}};
  for (const auto& [from, to] : moved) ::posix_spawn_file_actions_adddup2(&plan.actions, from, to);
  ::posix_spawn_file_actions_addclosefrom_np(&plan.actions, ChildSide::kDescriptors);

  const auto seconds = std::chrono::ceil<std::chrono::seconds>(limits.answer).count();
  std::vector<std::string> words{program, std::to_string(limits.memory_bytes), std::to_string(seconds)};
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  if (const int failed = ::posix_spawn(&child->pid_, program.c_str(), &plan.actions, &plan.attributes, argv.data(), environ); failed != 0) {
    child->pid_ = -1;
    return cannot(program, "start the process that plugins run in", failed);
  }
  child->channel_ = std::move(talk.ours);
  child->output_pipe_ = std::move(output.ours);
  child->life_ = std::move(life.ours);
  child->pidfd_ = Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, child->pid_, 0)));
  make_nonblocking(child->channel_);
  make_nonblocking(child->output_pipe_);
  child->begin();
  return child;
}

ChildProcess::~ChildProcess() {
  if (pid_ > 0 && !death_) end(Death::How::kGone);
  if (note_ != nullptr) ::munmap(const_cast<CallNote*>(note_), sizeof(CallNote));
}

const std::string& ChildProcess::output() {
  std::array<char, kKeptOutput> buffer;
  if (output_pipe_ && output_.empty())
    if (const ssize_t n = ::read(output_pipe_.get(), buffer.data(), buffer.size()); n > 0)
      output_ = noted(buffer.data(), static_cast<std::size_t>(n));
  return output_;
}

// Until the channel is ready; false where the child is dead or late.
bool ChildProcess::wait(short events) {
  while (!death_) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline_ - std::chrono::steady_clock::now());
    if (left.count() <= 0) {
      end(Death::How::kDeadline);
      break;
    }
    std::array<pollfd, 2> watched{{{channel_.get(), events, 0}, {pidfd_.get(), POLLIN, 0}}};
    const int ready = ::poll(watched.data(), watched.size(), static_cast<int>(std::min<std::int64_t>(left.count() + 1, 60'000)));
    if (ready < 0 && errno != EINTR) {
      end(Death::How::kGone);
      break;
    }
    if (ready <= 0) continue;
    if ((watched[0].revents & events) != 0) return true; // what it sent before it died counts
    if (watched[0].revents != 0 || watched[1].revents != 0) end(Death::How::kChannel);
  }
  return false;
}

bool ChildProcess::send(std::string_view message) {
  if (death_) return false;
  const std::string frame = framed(message);
  for (std::string_view rest = frame; !rest.empty();) {
    const ssize_t n = ::send(channel_.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
    if (n > 0) {
      rest.remove_prefix(static_cast<std::size_t>(n));
      continue;
    }
    const bool full = n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR);
    if (!full) end(Death::How::kChannel);
    if (!full || !wait(POLLOUT)) return false;
  }
  return true;
}

void ChildProcess::read_more() {
  if (!wait(POLLIN)) return;
  std::array<char, 1U << 16U> buffer;
  const ssize_t n = ::recv(channel_.get(), buffer.data(), buffer.size(), 0);
  if (n > 0)
    arrived_.append(buffer.data(), static_cast<std::size_t>(n)); // memory follows what really comes, not the length that is promised
  else if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) end(Death::How::kChannel);
}

std::optional<std::string> ChildProcess::receive() {
  while (!death_) {
    if (first_length(arrived_).value_or(0) > kMaxMessageBytes) end(Death::How::kChannel);
    else if (std::optional<std::string> message = take_message(arrived_)) return message;
    else read_more();
  }
  return std::nullopt;
}

// Notes how it ended, or ends it; nothing of its group is left.
void ChildProcess::end(Death::How how) {
  Death death;
  siginfo_t info{};
  const auto look = [&](int options) {
    info.si_pid = 0;
    int answer = -1;
    do answer = ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | options);
    while (answer != 0 && errno == EINTR);
    return answer == 0 && info.si_pid != 0;
  };
  bool ended = false;
  if (how == Death::How::kChannel) { // dead, or only deaf
    pollfd watched{pidfd_.get(), POLLIN, 0};
    if (pidfd_) ::poll(&watched, 1, static_cast<int>(kGrace.count()));
    ended = look(WNOHANG | WNOWAIT);
  }
  ::kill(-pid_, SIGKILL);
  const bool known = look(0);
  death.how = how;
  if (ended && known) {
    death.number = info.si_status;
    death.how = info.si_code == CLD_EXITED ? Death::How::kExit : Death::How::kSignal;
    if (death.how == Death::How::kExit && death.number == ChildSide::kChannelLost) death.how = Death::How::kChannel;
  }
  death.deadline = limits_.answer;
  if (note_ != nullptr) {
    death.who = noted(note_->who, sizeof note_->who);
    death.where = noted(note_->where, sizeof note_->where);
    death.what = noted(note_->what, sizeof note_->what);
  }
  death.said = output();
  channel_.reset();
  life_.reset();
  death_ = std::move(death);
}

} // namespace plimsoll
