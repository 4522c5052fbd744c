// A process of ours that runs code which is not: started without fork, in a group of its own, with no descriptors but those of
// process/child_side.hpp, its output caught, killed with the host. Messages go through one socket, each a length and its bytes; whatever
// comes back is bounded and comes in time, or the process is dead. Threads: one at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

#include "plimsoll/result.hpp"
#include "process/call_note.hpp"
#include "process/descriptor.hpp"

namespace plimsoll {

// A message of a child has at most so many bytes.
inline constexpr std::uint32_t kMaxMessageBytes = 64U << 20U;

// How a child ended, and in what.
struct Death {
  enum class How {
    kSignal,   // number: which
    kExit,     // number: the status
    kDeadline, // it was killed because it did not answer in time
    kChannel,  // it closed the socket, or sent what is no message, and was killed
    kGone,     // nobody knows: somebody else waited for it
  };
  How how = How::kGone;
  int number = 0;
  std::chrono::milliseconds deadline{0};
  std::string who, where, what; // of its call note; empty: in none
  std::string said;             // the first of its output

  // "died of SIGSEGV in weights()", "did not answer within 10 s".
  std::string words() const;
};

class ChildProcess {
public:
  struct Limits {
    std::uint64_t memory_bytes = 1ULL << 30U; // of address space
    std::chrono::milliseconds answer{10'000}; // for each answer
  };

  // kInternal where it cannot be started. The program is ours: it makes a ChildSide first, of its arguments, `arguments`
  // being those from the third on.
  static Result<std::unique_ptr<ChildProcess>> start(const std::string& program, const std::vector<std::string>& arguments,
                                                     const Limits& limits);
  ~ChildProcess(); // kills the group
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  // The time for the next answer begins.
  void begin() { deadline_ = std::chrono::steady_clock::now() + limits_.answer; }
  // Both end the child where they fail: `death` says how.
  bool send(std::string_view message);
  std::optional<std::string> receive();

  bool alive() const { return !death_; }
  const std::optional<Death>& death() const { return death_; }
  // Kills it for something that it sent.
  void give_up() {
    if (!death_) end(Death::How::kChannel);
  }
  // The first of what it wrote to its standard output and error. For after the last answer: until then the child may ask how much that is.
  const std::string& output();

private:
  ChildProcess() = default;
  bool wait(short events);
  void end(Death::How how);
  void read_more();

  Limits limits_;
  pid_t pid_ = -1;
  Descriptor channel_, output_pipe_, life_, pidfd_;
  const CallNote* note_ = nullptr;
  std::chrono::steady_clock::time_point deadline_;
  std::string output_;
  std::optional<Death> death_;
  std::string arrived_; // and not yet handed out
};

} // namespace plimsoll
