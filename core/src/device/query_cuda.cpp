// See query.hpp: asks the CUDA runtime. The one file that knows CUDA; linked statically, so a machine without a
// driver still runs the program. Error 35 (no usable driver), 100 (no device) and 3 (not initialised) leave their
// outputs untouched and mean the same to a planner: no GPU here.
#include "device/query.hpp"

#include <algorithm>
#include <cuda_runtime_api.h>
#include <fmt/format.h>
#include <string>

namespace plimsoll {
namespace {

tl::unexpected<Error> no_gpu(cudaError_t problem) {
  const char* words = cudaGetErrorString(problem);
  return fail(ErrorCode::kBadRequest,
              fmt::format("no GPU here ({}): give --devices, for example 8xH200, 4xA100-40GB or 2x80GiB",
                          words != nullptr ? words : "unknown error"),
              "--devices");
}

tl::unexpected<Error> broken(int index, const char* what, cudaError_t problem) {
  const char* words = cudaGetErrorString(problem);
  return fail(ErrorCode::kBadRequest,
              fmt::format("GPU {} does not answer ({}: {}); name the devices instead, for example --devices 8xH200", index, what,
                          words != nullptr ? words : "unknown error"),
              "--devices");
}

} // namespace

Result<std::vector<Device>> query_devices() {
  int count = 0;
  if (const cudaError_t problem = cudaGetDeviceCount(&count); problem != cudaSuccess) {
    cudaGetLastError(); // the runtime keeps the last error for whoever asks next
    return no_gpu(problem);
  }
  if (count <= 0) return no_gpu(cudaErrorNoDevice);
  int before = 0;
  const bool restore = cudaGetDevice(&before) == cudaSuccess;

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
    out.push_back(std::move(device));
  }
  if (restore) cudaSetDevice(before);
  return out;
}

std::string_view query_backend() {
  static const std::string name = fmt::format("CUDA runtime {}.{}", CUDART_VERSION / 1000, CUDART_VERSION % 1000 / 10);
  return name;
}

} // namespace plimsoll
