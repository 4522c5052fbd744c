// NCCL, as far as ranks on GPUs need it: its types as its header has them, and its functions, which are found in libnccl.so.2 when several
// ranks share a model on GPUs. So nothing links it, and tests play it. libplimsoll_cuda.so holds these numbers against that header, where
// it is. Threads: as NCCL's own; one thread at a time per communicator.
#pragma once

#include <array>
#include <climits>
#include <cstddef>
#include <cstdint>

#include "plimsoll/result.hpp"

namespace plimsoll {

struct NcclComm; // its own

struct NcclId {
  std::array<char, 128> bytes;
};

using NcclStatus = int;
inline constexpr NcclStatus kNcclSuccess = 0, kNcclInProgress = 7;
inline constexpr int kNcclFloat32 = 7, kNcclFloat64 = 8, kNcclSum = 0;
inline constexpr int kLeastNcclVersion = 21800; // 2.18.0, which has all of this

// ncclConfig_t of 2.18; newer ones take its `version` into account.
struct NcclConfig {
  std::size_t size = sizeof(NcclConfig);
  unsigned magic = 0xcafebeef;
  unsigned version = kLeastNcclVersion;
  int blocking = INT_MIN; // INT_MIN and null: not said
  int cga_cluster_size = INT_MIN;
  int min_ctas = INT_MIN, max_ctas = INT_MIN;
  const char* net_name = nullptr;
  int split_share = INT_MIN;
};

// All there when it was loaded. `stream`: a cudaStream_t.
struct Nccl {
  NcclStatus (*get_version)(int* version) = nullptr;
  NcclStatus (*get_unique_id)(NcclId* id) = nullptr;
  NcclStatus (*comm_init_rank_config)(NcclComm** comm, int ranks, NcclId id, int rank, NcclConfig* config) = nullptr;
  NcclStatus (*comm_finalize)(NcclComm* comm) = nullptr;
  NcclStatus (*comm_destroy)(NcclComm* comm) = nullptr;
  NcclStatus (*comm_abort)(NcclComm* comm) = nullptr;
  NcclStatus (*comm_get_async_error)(NcclComm* comm, NcclStatus* status) = nullptr;
  const char* (*get_error_string)(NcclStatus status) = nullptr;
  const char* (*get_last_error)(NcclComm* comm) = nullptr;
  NcclStatus (*group_start)() = nullptr;
  NcclStatus (*group_end)() = nullptr;
  NcclStatus (*all_reduce)(const void* x, void* out, std::size_t count, int type, int op, NcclComm* comm, void* stream) = nullptr;
  NcclStatus (*all_gather)(const void* x, void* out, std::size_t count, int type, NcclComm* comm, void* stream) = nullptr;
  NcclStatus (*send)(const void* x, std::size_t count, int type, int peer, NcclComm* comm, void* stream) = nullptr;
  NcclStatus (*receive)(void* out, std::size_t count, int type, int peer, NcclComm* comm, void* stream) = nullptr;
};

inline constexpr const char* kNcclLibrary = "libnccl.so.2";

// A library's functions; it stays loaded. kBadRequest naming kNcclLibrary: it is not there or too old.
Result<Nccl> open_nccl(const char* library);
// Those of kNcclLibrary, which is opened once. kBadRequest also where the environment makes it take more than schedule/nccl_memory.hpp
// says.
Result<const Nccl*> load_nccl();

} // namespace plimsoll
