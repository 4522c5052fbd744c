// What a launcher of processes gives: who this one is, and memory that all of them see. libplimsoll_mpi.so fills it (core/src/mpi), and
// tests that fork. Functions, so that the runtime links no MPI. Threads: all calls from one.
#pragma once

#include <cstdint>

namespace plimsoll {

struct SharedJob {
  void* self = nullptr;
  std::uint32_t rank = 0, size = 0;
  // Together: memory of so many bytes for each, zeros at a multiple of 4096; their addresses in this process. False: there is not so much.
  bool (*share)(void* self, const std::uint64_t* bytes_of_each, void** addresses) = nullptr;
  // Together, once: all of it goes back.
  void (*finish)(void* self) = nullptr;
};

// Starts MPI; false with a message of at most `message_bytes`, its zero included. Exported by libplimsoll_mpi.so as kStartSharedJob.
using StartSharedJob = bool (*)(SharedJob* job, char* message, std::uint64_t message_bytes);
inline constexpr const char* kStartSharedJob = "plimsoll_start_mpi_job";

} // namespace plimsoll
