#include "process/child_side.hpp"

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <iterator>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <vector>

#include "process/frame.hpp"

namespace plimsoll {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true; // their shadow memory is larger than any limit
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif
#else
constexpr bool kSanitized = false;
#endif

#if defined(__x86_64__)
constexpr std::uint32_t kMachine = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr std::uint32_t kMachine = AUDIT_ARCH_AARCH64;
#else
constexpr std::uint32_t kMachine = 0;
#endif

void limit(__rlimit_resource resource, rlim_t most) {
  const rlimit both{most, most};
  ::setrlimit(resource, &both);
}

// The kernel kills this process when the host's end of the pipe closes, whatever it is doing then: of the process, and not, as with
// PR_SET_PDEATHSIG, of the thread that started it.
void die_with_host() {
  ::fcntl(ChildSide::kLife, F_SETOWN, ::getpid());
  ::fcntl(ChildSide::kLife, F_SETSIG, SIGKILL);
  ::fcntl(ChildSide::kLife, F_SETFL, O_ASYNC);
  char none = 0;
  ::fcntl(ChildSide::kLife, F_SETFL, O_ASYNC | O_NONBLOCK);
  if (::read(ChildSide::kLife, &none, 1) == 0) ::_exit(ChildSide::kNotStarted); // closed before that
}

// R-14 by the kernel: no thread, no process, no socket, no signal to anybody else. Where there are no such filters, the process group and
// the descriptors hold what is left.
void filter_calls() {
  if (kMachine == 0) return;
  std::vector<sock_filter> code;
  const auto load = [&](std::size_t offset) { code.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(offset))); };
  const auto kill = [&] { code.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)); };
  const auto allow = [&] { code.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)); };
  load(offsetof(seccomp_data, arch));
  code.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kMachine, 1, 0));
  kill();
  load(offsetof(seccomp_data, nr));
  constexpr long kForbidden[]{
#ifdef SYS_fork
      SYS_fork,
      SYS_vfork,
#endif
      SYS_clone,
      SYS_clone3,
      SYS_execve,
      SYS_execveat,
      SYS_setsid,
      SYS_setpgid,
      SYS_ptrace,
      SYS_socket,
      SYS_kill,
      SYS_tkill,
      SYS_rt_sigqueueinfo,
      SYS_rt_tgsigqueueinfo,
      SYS_pidfd_open,
      SYS_pidfd_send_signal,
      SYS_process_vm_readv,
      SYS_process_vm_writev};
  for (const long number : kForbidden) {
    code.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(number), 0, 1));
    kill();
  }
  // abort() sends one to itself.
  code.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_tgkill, 1, 0));
  allow();
  load(offsetof(seccomp_data, args));
  code.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<std::uint32_t>(::getpid()), 1, 0));
  kill();
  allow();
  const sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0) ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

// The signal that this sends is deadly; a later call moves it on.
void limit_processor_time(std::uint64_t seconds) {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const auto spent = static_cast<rlim_t>(used.ru_utime.tv_sec + used.ru_stime.tv_sec);
  const rlimit both{spent + seconds + 1, RLIM_INFINITY};
  ::setrlimit(RLIMIT_CPU, &both);
}

// An argument that is a positive number; ends the process where it is none.
std::uint64_t number(int argc, const char* const* argv, int at) {
  const std::uint64_t value = at < argc ? std::strtoull(argv[at], nullptr, 10) : 0;
  if (value == 0) ::_exit(ChildSide::kNotStarted);
  return value;
}

} // namespace

ChildSide::Identity ChildSide::identity(int descriptor) {
  struct stat info {};
  return ::fstat(descriptor, &info) == 0 ? Identity{info.st_dev, info.st_ino} : Identity{};
}
ChildSide::Identity ChildSide::folder() {
  struct stat info {};
  return ::stat(".", &info) == 0 ? Identity{info.st_dev, info.st_ino} : Identity{};
}

// Asked with no filter at all, a kernel that has them finds nothing at that address.
bool ChildSide::is_filtered() { return kMachine != 0 && ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, nullptr) != 0 && errno == EFAULT; }

ChildSide::ChildSide(int argc, const char* const* argv) {
  const std::uint64_t memory_bytes = number(argc, argv, 1);
  cpu_seconds_ = number(argc, argv, 2);
  void* const shared = ::mmap(nullptr, sizeof(CallNote), PROT_READ | PROT_WRITE, MAP_SHARED, kNote, 0);
  struct stat info {};
  if (shared == MAP_FAILED || ::fstat(kChannel, &info) != 0 || !S_ISSOCK(info.st_mode)) ::_exit(kNotStarted);
  note_ = static_cast<CallNote*>(shared);
  die_with_host();
  if (!kSanitized) limit(RLIMIT_AS, memory_bytes);
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_FSIZE, 0);
  ::prctl(PR_SET_DUMPABLE, 0); // nobody looks in, and no core is piped anywhere
  filter_calls();
  for (int i = 0; i < kDescriptors; ++i) descriptors_.at(static_cast<std::size_t>(i)) = identity(i);
  folder_ = folder();
  umask_ = ::umask(0);
  ::umask(umask_);
}

std::string ChildSide::receive() {
  for (;;) {
    if (std::optional<std::string> message = take_message(arrived_)) {
      limit_processor_time(cpu_seconds_);
      return std::move(*message);
    }
    std::array<char, 1U << 16U> buffer;
    const ssize_t n = ::recv(kChannel, buffer.data(), buffer.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) ::_exit(0);
    arrived_.append(buffer.data(), static_cast<std::size_t>(n));
  }
}

void ChildSide::send(std::string_view message) const {
  const std::string frame = framed(message);
  if (identity(kChannel) != descriptors_[kChannel]) ::_exit(kChannelLost);
  for (std::string_view rest = frame; !rest.empty();) {
    const ssize_t n = ::send(kChannel, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) ::_exit(kChannelLost);
    rest.remove_prefix(static_cast<std::size_t>(n));
  }
}

std::string ChildSide::disturbed() const {
  std::fflush(nullptr);
  for (int i = 0; i < kDescriptors; ++i)
    if (identity(i) != descriptors_.at(static_cast<std::size_t>(i))) return "closed or replaced descriptors of the process";
  int printed = 0; // the host reads nothing of it before the process ends
  if (::ioctl(STDOUT_FILENO, FIONREAD, &printed) == 0 && printed > 0) return fmt::format("printed {} bytes", printed);
  if (folder() != folder_) return "changed the working folder of the process";
  const mode_t now = ::umask(umask_);
  if (now != umask_) return "changed the umask of the process";
  return {};
}

} // namespace plimsoll
