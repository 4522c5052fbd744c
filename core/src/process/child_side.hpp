// The other end of process/child_process.hpp: what a process does before it runs code that is not ours, so that nothing which that code
// does reaches beyond it. No files of its own, no core dump, no more memory than it may have; no threads, processes, sockets or signals to
// others (the kernel ends it); dead when the host is. Threads: the one that the process has.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>

#include "process/call_note.hpp"

namespace plimsoll {

class ChildSide {
public:
  // Beside standard input, which is empty, and output and error, which the host catches.
  static constexpr int kChannel = 3, kNote = 4, kLife = 5, kDescriptors = 6;
  // Statuses with which the process ends by itself.
  static constexpr int kNotStarted = 70, kChannelLost = 71, kDisturbed = 72;

  // Whether the kernel here ends who starts a process, sends a signal and so on. Where it does not, what is left is the process group,
  // the limits and the descriptors.
  static bool is_filtered();

  // What a ChildProcess gives its program as the first two arguments: bytes of address space, and seconds of processor time from one
  // message to the next. Ends the process where they are not there, or it was started otherwise.
  ChildSide(int argc, const char* const* argv);
  ChildSide(const ChildSide&) = delete;
  ChildSide& operator=(const ChildSide&) = delete;

  CallNote& note() const { return *note_; }
  // The next message; the process ends where the host is gone.
  std::string receive();
  // Ends the process where its channel was taken away.
  void send(std::string_view message) const;
  // What is no longer as it was when the process began: "changed the umask of the process", "printed 12 bytes". Empty where all is. What
  // was printed and not written is written first.
  std::string disturbed() const;

private:
  struct Identity {
    dev_t device = 0;
    ino_t inode = 0;
    bool operator==(const Identity&) const = default;
  };
  static Identity identity(int descriptor);
  static Identity folder();

  CallNote* note_ = nullptr;
  std::array<Identity, kDescriptors> descriptors_;
  Identity folder_;
  mode_t umask_ = 0;
  std::uint64_t cpu_seconds_ = 0;
  std::string arrived_; // and not yet handed out
};

} // namespace plimsoll
