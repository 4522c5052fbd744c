// Ranks that are threads, a played device each, joined by the played NCCL. Header only. Threads: of each, one.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "runtime/nccl_group.hpp"
#include "runtime/rank_threads.hpp"
#include "runtime/thread_group.hpp"
#include "support/emulated_device.hpp"
#include "support/played_nccl.hpp"

namespace plimsoll::test {

// Memory of a device, with values.
template <class Real>
class OnDevice {
public:
  OnDevice(Backend& device, std::vector<Real> values) : device_(device), values_(std::move(values)) {
    data_ = static_cast<Real*>(device_.take(values_.size() * sizeof(Real), false).value());
    device_.copy_in(data_, values_.data(), values_.size() * sizeof(Real));
  }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;
  ~OnDevice() { device_.give_back(data_, values_.size() * sizeof(Real), false); }
  Rows<Real> rows(std::uint64_t width) { return {data_, values_.size() / width, width}; }
  Rows<const Real> read(std::uint64_t width) { return {data_, values_.size() / width, width}; }
  const std::vector<Real>& values() {
    device_.copy_out(values_.data(), data_, values_.size() * sizeof(Real));
    return values_;
  }

private:
  Backend& device_;
  std::vector<Real> values_;
  Real* data_ = nullptr;
};

// Ranks that are threads, a device each.
struct DeviceRanks {
  DeviceRanks(const PlayedNccl& nccl, std::uint32_t tensor_ranks, std::uint32_t n_stages = 1, std::uint64_t buffer_bytes = 1024)
      : size(tensor_ranks * n_stages), meeting(tensor_ranks, n_stages), threads(size) {
    NcclGroup::Ranks ranks{tensor_ranks, n_stages, {}, {}};
    for (std::uint32_t rank = 0; rank < size; ++rank) {
      ranks.here.push_back(rank);
      ranks.backends.push_back(emulated_backend(false, nccl.functions()));
    }
    devices = ranks.backends;
    for (const auto& device : devices)
      buffers.emplace_back(static_cast<std::byte*>(device->take(buffer_bytes, false).value()), buffer_bytes);
    made = NcclGroup::create(meeting, std::move(ranks), {});
    if (made) used = (*made)->use(buffers);
  }
  Communicator& of(std::uint32_t rank) { return (*made)->communicator(rank); }

  std::uint32_t size;
  ThreadGroup meeting;
  RankThreads threads;
  std::vector<std::shared_ptr<Backend>> devices;
  std::vector<std::span<std::byte>> buffers;
  Result<std::unique_ptr<NcclGroup>> made;
  Result<void> used;
};

} // namespace plimsoll::test
