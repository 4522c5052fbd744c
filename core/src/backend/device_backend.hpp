// Devices whose libraries stand apart, so that this one links none of them: what such a library gives of one device, and the backend made
// of it. libplimsoll_cuda.so is one; it is loaded when a device of its kind is asked for. Threads: see backend.hpp.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "backend/backend.hpp"
#include "plimsoll/gpus.hpp"

namespace plimsoll {

// What the driver says of its memory.
struct DriverFigures {
  std::uint64_t free_bytes = 0, total_bytes = 0;
};

// A device that is open. Nothing of it is defined in a source file, so libraries share no symbols through it.
class OpenDevice {
public:
  OpenDevice() = default;
  OpenDevice(const OpenDevice&) = delete;
  OpenDevice& operator=(const OpenDevice&) = delete;
  virtual ~OpenDevice() = default;

  // Zeros at a multiple of 64: memory of the device, or memory that the host reads and writes too while no op runs. kOutOfMemory.
  virtual Result<void*> take(std::uint64_t bytes) = 0;
  virtual Result<void*> take_visible(std::uint64_t bytes) = 0;
  virtual void give_back(void* memory) noexcept = 0;
  virtual void copy_in(void* device, const void* host, std::uint64_t bytes) = 0;
  virtual void copy_out(void* host, const void* device, std::uint64_t bytes) = 0;
  virtual void copy(void* to, const void* from, std::uint64_t bytes) = 0;
  virtual void copy_rows(void* to, std::uint64_t to_stride_bytes, const void* from, std::uint64_t from_stride_bytes,
                         std::uint64_t width_bytes, std::uint64_t rows) = 0;
  virtual void zero(void* device, std::uint64_t bytes) = 0;
  virtual Result<void> synchronize() = 0;
  virtual Result<bool> is_done() = 0;
  // What everything is asked for on; makes the device the calling thread's current one.
  virtual void* stream() = 0;
  virtual Result<DriverFigures> driver_figures() = 0;
  // Memory that its BLAS works in from now on, and none of its own; outlives the device. Null: none at all.
  virtual Result<void> use_workspace(void* memory, std::uint64_t bytes) = 0;
  virtual Ops<float>& ops(float) = 0;
  virtual Ops<double>& ops(double) = 0;
};

// Exported by the library: the device of that number, or null and why, in words of at most `message_bytes` with their zero.
inline constexpr const char* kOpenCudaDevice = "plimsoll_open_cuda_device";
using OpenDeviceFunction = OpenDevice* (*)(std::uint32_t index, char* message, std::uint64_t message_bytes);

class DeviceBackend final : public Backend {
public:
  // `nccl`: what joins it with others, outliving it; null for the library that is installed.
  DeviceBackend(std::string_view name, std::unique_ptr<OpenDevice> device, const Nccl* nccl = nullptr)
      : name_(name), device_(std::move(device)), nccl_(nccl) {}

  Result<void*> take(std::uint64_t bytes, bool) override { return device_->take(bytes); } // a device has no guards
  Result<void*> take_visible(std::uint64_t bytes) override { return device_->take_visible(bytes); }
  void give_back(void* memory, std::uint64_t, bool) noexcept override { device_->give_back(memory); }
  bool on_host() const noexcept override { return false; }
  void copy_in(void* device, const void* host, std::uint64_t bytes) override { device_->copy_in(device, host, bytes); }
  void copy_out(void* host, const void* device, std::uint64_t bytes) override { device_->copy_out(host, device, bytes); }

  std::string_view name() const override { return name_; }
  void copy(void* to, const void* from, std::uint64_t bytes) override { device_->copy(to, from, bytes); }
  void copy_rows(void* to, std::uint64_t to_stride_bytes, const void* from, std::uint64_t from_stride_bytes, std::uint64_t width_bytes,
                 std::uint64_t rows) override {
    device_->copy_rows(to, to_stride_bytes, from, from_stride_bytes, width_bytes, rows);
  }
  void zero(void* device, std::uint64_t bytes) override { device_->zero(device, bytes); }
  Result<void> synchronize() override { return device_->synchronize(); }
  Result<bool> is_done() override { return device_->is_done(); }
  Result<const Nccl*> nccl() override { return nccl_ == nullptr ? load_nccl() : Result<const Nccl*>(nccl_); }
  void* stream() override { return device_->stream(); }
  Result<void> use_workspace(void* memory, std::uint64_t bytes) override { return device_->use_workspace(memory, bytes); }
  std::optional<std::uint64_t> free_bytes() override {
    const Result<DriverFigures> figures = device_->driver_figures();
    return figures ? std::optional(figures->free_bytes) : std::nullopt;
  }
  Ops<float>& ops(float) override { return device_->ops(float{}); }
  Ops<double>& ops(double) override { return device_->ops(double{}); }

private:
  std::string_view name_;
  std::unique_ptr<OpenDevice> device_;
  const Nccl* nccl_;
};

} // namespace plimsoll
