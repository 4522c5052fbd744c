// libplimsoll_mpi.so: starts MPI, says which rank this process is, and shares memory with the others of the machine by windows. The one
// file that sees MPI. The runtime loads it where mpirun started the process; whoever meets in that memory needs MPI no more. Threads: one.
#include <mpi.h>

#include <cstdio>
#include <cstring>
#include <vector>

#include "runtime/shared_job.hpp"

namespace plimsoll {
namespace {

constexpr std::uint64_t kPageBytes = 4096;

// Windows begin where MPI's own words end. All processes map whole pages, so the next page's begin is the same memory for each.
void* next_page(void* memory) {
  const auto at = reinterpret_cast<std::uintptr_t>(memory); // NOLINT
  return static_cast<char*>(memory) + (kPageBytes - at % kPageBytes) % kPageBytes;
}

class MpiJob {
public:
  bool start(SharedJob& out, char* message, std::uint64_t message_bytes) {
    int provided = 0, size = 0, here = 0, rank = 0;
    if (MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS)
      return say(message, message_bytes, "MPI_Init failed");
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, &machine_) != MPI_SUCCESS)
      return say(message, message_bytes, "MPI_Comm_split_type failed");
    MPI_Comm_size(machine_, &here);
    if (here != size) return say(message, message_bytes, "the processes are on several machines; ranks share the memory of one");
    out = {this, static_cast<std::uint32_t>(rank), static_cast<std::uint32_t>(size), share, finish};
    return true;
  }

private:
  static bool say(char* message, std::uint64_t bytes, const char* what) {
    std::snprintf(message, static_cast<std::size_t>(bytes), "%s", what);
    return false;
  }

  static bool share(void* self, const std::uint64_t* bytes_of_each, void** addresses) {
    auto& job = *static_cast<MpiJob*>(self);
    int rank = 0, size = 0;
    MPI_Comm_rank(job.machine_, &rank);
    MPI_Comm_size(job.machine_, &size);
    MPI_Info info = MPI_INFO_NULL;
    MPI_Info_create(&info);
    MPI_Info_set(info, "alloc_shared_noncontig", "true"); // each on pages of its own
    MPI_Win window = MPI_WIN_NULL;
    void* mine = nullptr;
    MPI_Comm_set_errhandler(job.machine_, MPI_ERRORS_RETURN);
    const bool given = MPI_Win_allocate_shared(static_cast<MPI_Aint>(bytes_of_each[rank] + kPageBytes), 1, info, job.machine_, &mine,
                                               &window) == MPI_SUCCESS;
    MPI_Info_free(&info);
    if (!given) return false;
    job.windows_.push_back(window);
    for (int other = 0; other < size; ++other) {
      MPI_Aint bytes = 0;
      int unit = 0;
      if (MPI_Win_shared_query(window, other, &bytes, &unit, &addresses[other]) != MPI_SUCCESS) return false;
      addresses[other] = next_page(addresses[other]);
    }
    std::memset(mine, 0, static_cast<std::size_t>(bytes_of_each[rank] + kPageBytes));
    return MPI_Barrier(job.machine_) == MPI_SUCCESS;
  }

  static void finish(void* self) {
    auto& job = *static_cast<MpiJob*>(self);
    for (MPI_Win& window : job.windows_) MPI_Win_free(&window);
    MPI_Comm_free(&job.machine_);
    MPI_Finalize();
  }

  MPI_Comm machine_ = MPI_COMM_NULL;
  std::vector<MPI_Win> windows_;
};

} // namespace
} // namespace plimsoll

extern "C" __attribute__((visibility("default"))) bool plimsoll_start_mpi_job(plimsoll::SharedJob* job, char* message,
                                                                              std::uint64_t message_bytes) {
  static plimsoll::MpiJob of_process; // MPI is started once
  return of_process.start(*job, message, message_bytes);
}
