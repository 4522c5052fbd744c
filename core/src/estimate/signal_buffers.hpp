// Bytes that peer-to-peer collectives pin on every device, and the policy that decides whether they exist.
// Source: the documented collectives' buffer layouts. Called by the planner and the tests. Never asks a device.
// Threads: pure functions. Example: 8 devices, newest layout: 8 x 294,387,728 = 2,355,101,824 bytes.
#pragma once

#include <cstdint>

namespace plimsoll {

// One buffer on one device. 8 = largest number of GPUs (sender and receiver), 3 sets of 4-byte flags per barrier
// block, a header of 16 bytes, 3 x 1 MiB per GPU for the low-latency path, 256 MiB of payload.
constexpr std::int64_t signal_buffer_layout_bytes(std::int64_t barrier_blocks) {
  constexpr std::int64_t kMib = 1 << 20;
  return 8 * 3 * barrier_blocks * 8 * 4 + 16 + 3 * 8 * kMib + 256 * kMib;
}
inline constexpr std::int64_t kSignalBufferBytes = signal_buffer_layout_bytes(1024);         // 294,387,728
inline constexpr std::int64_t kSignalBufferEarly2026Bytes = signal_buffer_layout_bytes(512); // 293,994,512
inline constexpr std::int64_t kSignalBufferMay2025Bytes = std::int64_t{513} << 20;           // 537,919,488

// All devices together. One device needs none unless the architecture always synchronises through them; several
// need one each per set. The documented generation held a second set for a host-offload connector whose KV state
// is (or may be) the same on every device.
constexpr std::int64_t signal_buffers_bytes(std::int64_t devices, bool always, std::int64_t sets = 1,
                                            std::int64_t buffer_bytes = kSignalBufferBytes) {
  if (devices <= 0) return 0;
  if (devices == 1) return always ? buffer_bytes : 0;
  return buffer_bytes * devices * sets;
}

} // namespace plimsoll
