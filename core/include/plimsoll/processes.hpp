// plimsoll/processes.hpp - ranks of a plan that are processes of this machine, as `mpirun -np N` starts them. Each makes the same plan and
// the same decisions, loads and takes what is its own rank's, and meets the others in memory that all see: signal buffers as planned, and a
// slot each for what is said. One that ends too early, or is silent, is noticed by all others within seconds. Given to pipelines and
// verifications as an option; needs nothing of MPI but to be started by it (libplimsoll_mpi.so is loaded then). Linux.
// Threads: rank, size, lost and speaks from any; the rest from the one thread that made it, in the same order on all processes.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "plimsoll/arena.hpp"
#include "plimsoll/export.hpp"
#include "plimsoll/host.hpp"
#include "plimsoll/result.hpp"

namespace plimsoll {

struct ProcessesOptions {
  // Asked from a thread of the library's own, ten times a second: whether somebody wants this process to end, as mpirun does of all
  // ranks when one was killed. May be empty.
  std::function<bool()> asked_to_end;
  // Called once on that thread where a process was lost, or this one is asked to end, and it has not left by itself within seconds: it may
  // be anywhere. Must end the process. Null: nobody was lost. May be empty.
  std::function<void(const Error* lost)> give_up;
};

class PLIMSOLL_API Processes {
public:
  // Those that this process was started with; null where it was started alone. kBadRequest: this build has no MPI, MPI does not start, or
  // they are on several machines.
  static Result<std::shared_ptr<Processes>> join(ProcessesOptions options = {});
  // Leaves.
  ~Processes();

  std::uint32_t rank() const;
  std::uint32_t size() const;
  // What each of them gives, in the order of ranks. Together. The error of whoever cannot go on.
  Result<std::vector<std::string>> gather(std::string_view mine);
  // kBadRequest naming two ranks where they give different texts of what is called `what`. Together.
  Result<void> agree(std::string_view what, std::string_view mine);
  // Whether all made this plan, and it has a rank for each. Together. kBadRequest.
  Result<void> check(const Plan& plan);
  // This one cannot go on, so none can: who waits for it gets its error.
  void fail(const Error& error) noexcept;
  // Who has ended before its time, by rank and process.
  std::optional<Error> lost() const;
  // Whether this one is to say so: the first that is left, and none has yet.
  bool speaks() const;
  // Done. All others leave before the first one's exit code is the job's: they wait for it, for some seconds.
  void leave() noexcept;
  // Memory of this process; what is shared lies where the others see it.
  std::shared_ptr<MemorySource> memory() const;

  class Impl; // the library's own
  explicit Processes(std::shared_ptr<Impl> impl) noexcept;
  Impl& impl() const { return *impl_; }

private:
  std::shared_ptr<Impl> impl_;
};

} // namespace plimsoll
