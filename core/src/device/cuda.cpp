// See query.hpp: asks the CUDA runtime and allocates for a trial. The one file that knows CUDA; linked statically, so a machine without a
// driver still runs the program. Error 35 (no usable driver), 100 (no device) and 3 (not initialised) leave their
// outputs untouched and mean the same to a planner: no GPU here.
#include "device/query.hpp"

#include <algorithm>
#include <cuda_runtime_api.h>
#include <fmt/format.h>
#include <fstream>
#include <sstream>
#include <string>

namespace plimsoll {
namespace {

// The runtime's words for these sound like a fault of the machine; most have no NVIDIA driver because they have no GPU.
std::string why_none(cudaError_t problem) {
  if (problem == cudaErrorInsufficientDriver) return "no NVIDIA driver answers, or only one that is older than this program's CUDA runtime";
  if (problem == cudaErrorNoDevice) return "the NVIDIA driver knows of none";
  const char* words = cudaGetErrorString(problem);
  return words != nullptr ? words : "unknown error";
}

tl::unexpected<Error> no_gpu(cudaError_t problem) {
  return fail(ErrorCode::kBadRequest,
              fmt::format("no GPU here ({}): give --devices, for example 8xH200, 4xA100-40GB or 2x80GiB", why_none(problem)), "--devices");
}

tl::unexpected<Error> broken(int index, const char* what, cudaError_t problem) {
  return fail(ErrorCode::kBadRequest,
              fmt::format("GPU {} does not answer ({}: {}); name the devices instead, for example --devices 8xH200", index, what,
                          why_none(problem)),
              "--devices");
}

// Sets a device for the calling thread and puts the old one back.
class Current {
public:
  Current() : restore_(cudaGetDevice(&before_) == cudaSuccess) {}
  Current(const Current&) = delete;
  Current& operator=(const Current&) = delete;
  ~Current() {
    if (restore_) cudaSetDevice(before_);
  }

private:
  int before_ = 0;
  bool restore_;
};

std::string_view architecture(std::uint32_t compute_capability) {
  switch (compute_capability / 10) {
  case 7: return compute_capability >= 75 ? "turing" : "volta";
  case 8: return compute_capability == 89 ? "ada" : "ampere";
  case 9: return "hopper";
  case 10:
  case 11:
  case 12: return "blackwell";
  default: return "";
  }
}

// MemAvailable of the system in bytes; 0 where it does not say.
std::uint64_t available_system_bytes() {
  std::ifstream file("/proc/meminfo");
  std::string key;
  std::uint64_t kib = 0;
  for (std::string line; std::getline(file, line);)
    if (std::istringstream(line) >> key >> kib && key == "MemAvailable:") return kib * 1024;
  return 0;
}

// Memory of a trial; gives it back whatever happens.
class Allocations {
public:
  Allocations() = default;
  Allocations(const Allocations&) = delete;
  Allocations& operator=(const Allocations&) = delete;
  ~Allocations() { release(); }
  cudaError_t add(std::uint64_t bytes) {
    void* memory = nullptr;
    const cudaError_t problem = cudaMalloc(&memory, bytes);
    if (problem == cudaSuccess) held_.push_back(memory);
    else cudaGetLastError();
    return problem;
  }
  void release() {
    for (void* memory : held_) cudaFree(memory);
    held_.clear();
  }

private:
  std::vector<void*> held_;
};

} // namespace

Result<std::vector<Device>> query_devices() {
  int count = 0;
  if (const cudaError_t problem = cudaGetDeviceCount(&count); problem != cudaSuccess) {
    cudaGetLastError(); // the runtime keeps the last error for whoever asks next
    return no_gpu(problem);
  }
  if (count <= 0) return no_gpu(cudaErrorNoDevice);
  const Current current;

  std::vector<Device> out;
  for (int index = 0; index < count; ++index) {
    cudaDeviceProp properties{};
    if (const cudaError_t problem = cudaGetDeviceProperties(&properties, index); problem != cudaSuccess)
      return broken(index, "properties", problem);
    std::size_t free_bytes = 0, total_bytes = 0;
    if (const cudaError_t problem = cudaSetDevice(index); problem != cudaSuccess) return broken(index, "context", problem);
    if (const cudaError_t problem = cudaMemGetInfo(&free_bytes, &total_bytes); problem != cudaSuccess)
      return broken(index, "memory", problem);
    if (total_bytes == 0) return broken(index, "memory", cudaErrorUnknown);
    Device device;
    device.name = std::string(properties.name, std::find(std::begin(properties.name), std::end(properties.name), '\0'));
    device.total_bytes = total_bytes;
    device.free_bytes = std::min(free_bytes, total_bytes);
    device.kind = properties.integrated != 0 ? DeviceKind::kUnified : DeviceKind::kGpu;
    device.compute_capability = static_cast<std::uint32_t>(properties.major * 10 + properties.minor);
    device.vendor = "nvidia";
    device.arch = architecture(device.compute_capability);
    if (device.kind == DeviceKind::kUnified)
      if (const std::uint64_t available = available_system_bytes(); available > 0)
        device.free_bytes = std::min(available, device.total_bytes);
    for (int other = 0; other < count; ++other) {
      int reachable = 0;
      if (other != index && cudaDeviceCanAccessPeer(&reachable, index, other) == cudaSuccess && reachable != 0)
        device.peers.push_back(static_cast<std::uint32_t>(other));
    }
    out.push_back(std::move(device));
  }
  return out;
}

Result<AllocationTrial> try_allocations(std::uint32_t device_index, std::span<const std::uint64_t> sizes_bytes) {
  const Current current;
  const int index = static_cast<int>(device_index);
  if (const cudaError_t problem = cudaSetDevice(index); problem != cudaSuccess) {
    cudaGetLastError();
    return broken(index, "context", problem);
  }
  AllocationTrial trial;
  Allocations held;
  std::size_t free_bytes = 0, total_bytes = 0;
  if (const cudaError_t problem = cudaMemGetInfo(&free_bytes, &total_bytes); problem != cudaSuccess)
    return broken(index, "memory", problem);
  trial.free_before_bytes = free_bytes;
  for (const std::uint64_t bytes : sizes_bytes) {
    const std::size_t before = free_bytes;
    if (bytes > 0) {
      if (const cudaError_t problem = held.add(bytes); problem != cudaSuccess)
        return fail(ErrorCode::kOutOfMemory,
                    fmt::format("GPU {} refused {} bytes with {} bytes free ({})", index, bytes, before, cudaGetErrorString(problem)),
                    fmt::format("device {}", index));
      if (const cudaError_t problem = cudaMemGetInfo(&free_bytes, &total_bytes); problem != cudaSuccess)
        return broken(index, "memory", problem);
    }
    trial.taken_bytes.push_back(before > free_bytes ? before - free_bytes : 0);
  }
  held.release();
  if (const cudaError_t problem = cudaMemGetInfo(&free_bytes, &total_bytes); problem != cudaSuccess)
    return broken(index, "memory", problem);
  trial.free_after_bytes = free_bytes;
  return trial;
}

std::string_view query_backend() {
  static const std::string name = fmt::format("CUDA runtime {}.{}", CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10);
  return name;
}

} // namespace plimsoll
