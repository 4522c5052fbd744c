// The memory that NCCL takes for itself on a GPU whose rank shares a model, as a bound: the plan sets it aside as an item of its own, and
// the runtime makes communicators that keep to it. Header only: both libraries have it. Threads: constants.
//
// Read in NCCL 2.28 and its successor (computeBuffSizes of init.cc, p2pSendSetup and p2pRecvSetup of transport/p2p.cc, nvls.cc,
// connect.cc):
//   - each channel has for each peer a buffer to receive in, LL 512 KiB, LL128 4.7 MiB and Simple 4 MiB (NCCL_BUFFSIZE) in granules of
//     2 MiB: 10 MiB; and one to send from, a granule: 12 MiB together, however the Simple part is divided between the two;
//   - rings and trees of one machine have five peers at most on a channel, and never more than there are;
//   - where switches add up (NVLS), each channel has two Simple buffers for every rank;
//   - channels are at most as many as the communicator's configuration says (maxCTAs), NVLS's and those of a handover too.
// The rest are its kernels and what the driver keeps for them: a pair of A100s takes 544 MB with 24 channels (NVIDIA/nccl#964), so about
// 256 MiB without these buffers; half as much again makes the bound.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/checked.hpp"

namespace plimsoll {

inline constexpr const char* kCollectivesLabel = "overhead.collectives";
inline constexpr std::uint64_t kNcclChannels = 4; // maxCTAs: what a rank hands over is small
inline constexpr std::uint64_t kNcclConnectionBytes = 12U << 20;
inline constexpr std::uint64_t kNcclMostPeers = 5;
inline constexpr std::uint64_t kNcclSwitchBytes = 2 * (4U << 20); // of a channel, for each rank
inline constexpr std::uint64_t kNcclKernelBytes = 384U << 20;

// Of a rank of that many tensor-parallel ones on each of that many stages; 0 where it shares the model with nobody. One communicator joins
// the ranks of a stage, one those in the same place of all stages, who hand to the next and take from the one before.
constexpr Checked nccl_bound_bytes(std::uint64_t tensor_ranks, std::uint64_t stages) {
  Checked sum = tensor_ranks > 1 || stages > 1 ? kNcclKernelBytes : 0;
  if (tensor_ranks > 1) {
    const Checked connections = Checked(std::min(tensor_ranks - 1, kNcclMostPeers)) * kNcclConnectionBytes;
    sum += (connections + Checked(tensor_ranks) * kNcclSwitchBytes) * kNcclChannels;
  }
  if (stages > 1) sum += Checked(std::min<std::uint64_t>(stages - 1, 2)) * kNcclConnectionBytes * kNcclChannels;
  return sum;
}

} // namespace plimsoll
