// libplimsoll_cuda.so: one GPU as the runtime sees it (backend/device_backend.hpp). Launches the bodies of device_ops.hpp, multiplies with
// cuBLAS in the prescribed precision (no TF32), and allocates with the driver. The one file of this library; the runtime loads it when a
// GPU is asked for. Everything runs on one stream, in the order in which it was asked for. The first fault is kept until synchronize().
// Memory: take() is the device's, by cudaMalloc; take_visible() is the host's, pinned and mapped, which kernels read over the bus: tables
// are small, and the driver moves no pages behind our back. Threads: [serial] per device; each call makes its device the thread's current
// one.
#include <cublas_v2.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "backend/device_backend.hpp"
#include "backend_cuda/device_ops.hpp"

// What backend/nccl.hpp says of NCCL, held against its header where that is.
#if __has_include(<nccl.h>)
#include <nccl.h>
static_assert(NCCL_VERSION_CODE < plimsoll::kLeastNcclVersion ||
              (plimsoll::kNcclSuccess == ncclSuccess && plimsoll::kNcclInProgress == ncclInProgress &&
               plimsoll::kNcclFloat32 == ncclFloat32 && plimsoll::kNcclFloat64 == ncclFloat64 && plimsoll::kNcclSum == ncclSum &&
               sizeof(plimsoll::NcclId) == sizeof(ncclUniqueId)));
static_assert(offsetof(plimsoll::NcclConfig, max_ctas) == offsetof(ncclConfig_t, maxCTAs) &&
              offsetof(plimsoll::NcclConfig, net_name) == offsetof(ncclConfig_t, netName) &&
              offsetof(plimsoll::NcclConfig, split_share) == offsetof(ncclConfig_t, splitShare));
#endif

namespace plimsoll::gpu {
namespace {

constexpr unsigned kBlockThreads = 128, kWarpThreads = 32, kAllLanes = 0xFFFFFFFFU;
constexpr std::uint64_t kMostBlocks = 1U << 16; // of a launch; more is done by the same threads

class WarpLanes {
public:
  __device__ std::uint64_t index() const { return threadIdx.x % kWarpThreads; }
  __device__ std::uint64_t count() const { return kWarpThreads; }
  __device__ void wait() const { __syncwarp(kAllLanes); }
  template <class Real>
  __device__ Real sum(Real x) const {
    __syncwarp(kAllLanes);
    for (unsigned distance = kWarpThreads / 2; distance > 0; distance /= 2) x += __shfl_xor_sync(kAllLanes, x, static_cast<int>(distance));
    return x;
  }
  template <class Real>
  __device__ Real most(Real x) const {
    __syncwarp(kAllLanes);
    for (unsigned distance = kWarpThreads / 2; distance > 0; distance /= 2) {
      const Real other = __shfl_xor_sync(kAllLanes, x, static_cast<int>(distance));
      x = x < other ? other : x;
    }
    return x;
  }
  template <class Real>
  __device__ Real from(Real x, std::uint64_t lane) const {
    __syncwarp(kAllLanes);
    return __shfl_sync(kAllLanes, x, static_cast<int>(lane));
  }
};

template <class Body>
__global__ void each_kernel(Body body, std::uint64_t n) {
  const std::uint64_t step = std::uint64_t{gridDim.x} * blockDim.x;
  for (std::uint64_t i = std::uint64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n; i += step) body(i);
}

template <class Body>
__global__ void warps_kernel(Body body, std::uint64_t n) {
  const WarpLanes lanes;
  const std::uint64_t step = std::uint64_t{gridDim.x} * blockDim.x / kWarpThreads;
  for (std::uint64_t i = (std::uint64_t{blockIdx.x} * blockDim.x + threadIdx.x) / kWarpThreads; i < n; i += step) {
    body(i, lanes);
    lanes.wait();
  }
}

const char* words_of(cublasStatus_t status) {
  const char* const words = cublasGetStatusString(status);
  return words != nullptr ? words : "unknown error";
}

// What a launch, a product or a copy of the device needs, and what went wrong first.
class Queue {
public:
  cudaError_t open(int index) {
    index_ = index;
    if (const cudaError_t problem = cudaSetDevice(index); problem != cudaSuccess) return problem;
    return cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking);
  }
  cublasStatus_t open_blas() {
    cublasStatus_t status = cublasCreate(&blas_);
    if (status == CUBLAS_STATUS_SUCCESS) status = cublasSetStream(blas_, stream_);
    if (status == CUBLAS_STATUS_SUCCESS) status = cublasSetMathMode(blas_, CUBLAS_PEDANTIC_MATH); // neither TF32 nor emulation
    if (status == CUBLAS_STATUS_SUCCESS) status = cublasSetAtomicsMode(blas_, CUBLAS_ATOMICS_NOT_ALLOWED);
    return status;
  }
  Queue() = default;
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;
  ~Queue() {
    use();
    if (blas_ != nullptr) cublasDestroy(blas_);
    if (stream_ != nullptr) cudaStreamDestroy(stream_);
  }

  void use() { note(cudaSetDevice(index_), "cudaSetDevice"); }
  cudaStream_t stream() const { return stream_; }
  cublasHandle_t blas() const { return blas_; }

  void note(cudaError_t problem, const char* what) {
    if (problem == cudaSuccess) return;
    cudaGetLastError(); // the runtime keeps the last error for whoever asks next
    if (fault_.empty()) fault_ = std::string(what) + ": " + cudaGetErrorString(problem);
  }
  void note(cublasStatus_t status, const char* what) {
    if (status != CUBLAS_STATUS_SUCCESS && fault_.empty()) fault_ = std::string(what) + ": " + words_of(status);
  }
  Result<void> wait() {
    use();
    note(cudaStreamSynchronize(stream_), "the GPU");
    if (fault_.empty()) return {};
    Error error{ErrorCode::kInternal, fault_, "GPU " + std::to_string(index_)};
    fault_.clear();
    return tl::unexpected(std::move(error));
  }

  Result<bool> is_done() {
    use();
    if (cudaStreamQuery(stream_) == cudaErrorNotReady) {
      cudaGetLastError();
      return false;
    }
    if (auto waited = wait(); !waited) return tl::unexpected(std::move(waited.error()));
    return true;
  }

  // ---- see device_ops.hpp

  template <class Body>
  void each(std::uint64_t n, const Body& body) {
    if (n == 0) return;
    use();
    each_kernel<<<blocks_for(n), kBlockThreads, 0, stream_>>>(body, n);
    note(cudaGetLastError(), "a launch");
  }
  template <class Body>
  void warps(std::uint64_t n, const Body& body) {
    if (n == 0) return;
    use();
    warps_kernel<<<blocks_for(n, kWarpThreads), kBlockThreads, 0, stream_>>>(body, n);
    note(cudaGetLastError(), "a launch");
  }
  // cuBLAS counts columns first: what is [rows, elements] here is [elements, rows] there.
  void multiply(const Strided<const float>& x, const Matrix& w, const Strided<float>& out, double alpha, double beta) {
    use();
    const float a = static_cast<float>(alpha), b = static_cast<float>(beta);
    note(cublasSgemm_64(blas_, w.in_major ? CUBLAS_OP_N : CUBLAS_OP_T, CUBLAS_OP_N, signed_of(w.out), signed_of(x.rows), signed_of(w.in),
                        &a, static_cast<const float*>(w.data), signed_of(w.stride), x.data, signed_of(x.stride), &b, out.data,
                        signed_of(out.stride)),
         "cublasSgemm");
  }
  void multiply(const Strided<const double>& x, const Matrix& w, const Strided<double>& out, double alpha, double beta) {
    use();
    note(cublasDgemm_64(blas_, w.in_major ? CUBLAS_OP_N : CUBLAS_OP_T, CUBLAS_OP_N, signed_of(w.out), signed_of(x.rows), signed_of(w.in),
                        &alpha, static_cast<const double*>(w.data), signed_of(w.stride), x.data, signed_of(x.stride), &beta, out.data,
                        signed_of(out.stride)),
         "cublasDgemm");
  }
  // The stream waits before, since kernels may still read what is overwritten; afterwards the host's part was read.
  void copy_in(void* device, const void* host, std::uint64_t bytes) {
    if (bytes == 0) return;
    use();
    note(cudaMemcpyAsync(device, host, bytes, cudaMemcpyHostToDevice, stream_), "a copy to the GPU");
    note(cudaStreamSynchronize(stream_), "a copy to the GPU");
  }

private:
  static std::int64_t signed_of(std::uint64_t n) { return static_cast<std::int64_t>(n); }
  static unsigned blocks_for(std::uint64_t n, std::uint64_t threads_each = 1) {
    const std::uint64_t of_block = kBlockThreads / threads_each;
    return static_cast<unsigned>(std::min(kMostBlocks, (n + of_block - 1) / of_block));
  }

  int index_ = 0;
  cudaStream_t stream_ = nullptr;
  cublasHandle_t blas_ = nullptr;
  std::string fault_;
};

class CudaDevice final : public OpenDevice {
public:
  bool open(int index, char* message, std::uint64_t message_bytes) {
    if (const cudaError_t problem = queue_.open(index); problem != cudaSuccess) {
      cudaGetLastError();
      std::snprintf(message, message_bytes, "%s", cudaGetErrorString(problem));
      return false;
    }
    if (const cublasStatus_t status = queue_.open_blas(); status != CUBLAS_STATUS_SUCCESS) {
      std::snprintf(message, message_bytes, "cuBLAS: %s", words_of(status));
      return false;
    }
    return true;
  }

  Result<void*> take(std::uint64_t bytes) override {
    queue_.use();
    void* memory = nullptr;
    if (const cudaError_t problem = cudaMalloc(&memory, bytes); problem != cudaSuccess) return no_memory(problem, bytes);
    zero(memory, bytes);
    if (auto done = queue_.wait(); !done) {
      give_back(memory);
      return tl::unexpected(std::move(done.error()));
    }
    return memory;
  }
  Result<void*> take_visible(std::uint64_t bytes) override {
    queue_.use();
    void* memory = nullptr;
    if (const cudaError_t problem = cudaHostAlloc(&memory, bytes, cudaHostAllocMapped); problem != cudaSuccess)
      return no_memory(problem, bytes);
    std::memset(memory, 0, bytes);
    visible_.push_back(memory); // one address for both: 64-bit devices have the host's
    return memory;
  }
  void give_back(void* memory) noexcept override {
    queue_.use();
    queue_.note(cudaStreamSynchronize(queue_.stream()), "the GPU");
    const auto visible = std::find(visible_.begin(), visible_.end(), memory);
    if (visible == visible_.end()) return queue_.note(cudaFree(memory), "cudaFree");
    queue_.note(cudaFreeHost(memory), "cudaFreeHost");
    visible_.erase(visible);
  }
  void copy_in(void* device, const void* host, std::uint64_t bytes) override { queue_.copy_in(device, host, bytes); }
  void copy_out(void* host, const void* device, std::uint64_t bytes) override {
    if (bytes == 0) return;
    queue_.use();
    queue_.note(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, queue_.stream()), "a copy from the GPU");
    queue_.note(cudaStreamSynchronize(queue_.stream()), "a copy from the GPU");
  }
  void copy(void* to, const void* from, std::uint64_t bytes) override {
    if (bytes == 0) return;
    queue_.use();
    queue_.note(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, queue_.stream()), "a copy on the GPU");
  }
  void copy_rows(void* to, std::uint64_t to_stride_bytes, const void* from, std::uint64_t from_stride_bytes, std::uint64_t width_bytes,
                 std::uint64_t rows) override {
    if (width_bytes == 0 || rows == 0) return;
    queue_.use();
    queue_.note(
        cudaMemcpy2DAsync(to, to_stride_bytes, from, from_stride_bytes, width_bytes, rows, cudaMemcpyDeviceToDevice, queue_.stream()),
        "a copy of rows on the GPU");
  }
  void zero(void* device, std::uint64_t bytes) override {
    if (bytes == 0) return;
    queue_.use();
    queue_.note(cudaMemsetAsync(device, 0, bytes, queue_.stream()), "cudaMemset");
  }
  Result<void> synchronize() override { return queue_.wait(); }
  Result<bool> is_done() override { return queue_.is_done(); }
  void* stream() override {
    queue_.use();
    return queue_.stream();
  }
  Result<DriverFigures> driver_figures() override {
    queue_.use();
    std::size_t free_bytes = 0, total_bytes = 0;
    if (const cudaError_t problem = cudaMemGetInfo(&free_bytes, &total_bytes); problem != cudaSuccess) {
      cudaGetLastError();
      return fail(ErrorCode::kInternal, std::string("the driver does not say what is free: ") + cudaGetErrorString(problem));
    }
    return DriverFigures{free_bytes, total_bytes};
  }
  Result<void> use_workspace(void* memory, std::uint64_t bytes) override {
    queue_.use();
    // Another stream, or the same again, takes cuBLAS back to memory of its own.
    cublasStatus_t status = cublasSetStream(queue_.blas(), queue_.stream());
    if (status == CUBLAS_STATUS_SUCCESS && memory != nullptr) status = cublasSetWorkspace(queue_.blas(), memory, bytes);
    if (status != CUBLAS_STATUS_SUCCESS) return fail(ErrorCode::kInternal, std::string("cublasSetWorkspace: ") + words_of(status));
    return {};
  }
  Ops<float>& ops(float) override { return float_ops_; }
  Ops<double>& ops(double) override { return double_ops_; }

private:
  static tl::unexpected<Error> no_memory(cudaError_t problem, std::uint64_t bytes) {
    cudaGetLastError();
    return fail(ErrorCode::kOutOfMemory, "the GPU does not give " + std::to_string(bytes) + " B of memory (" + cudaGetErrorString(problem) +
                                             "); free some, or plan for less");
  }

  Queue queue_;
  std::vector<void*> visible_;
  DeviceOps<float, Queue> float_ops_{queue_};
  DeviceOps<double, Queue> double_ops_{queue_};
};

} // namespace
} // namespace plimsoll::gpu

extern "C" __attribute__((visibility("default"))) plimsoll::OpenDevice* plimsoll_open_cuda_device(std::uint32_t index, char* message,
                                                                                                  std::uint64_t message_bytes) {
  int count = 0;
  if (const cudaError_t problem = cudaGetDeviceCount(&count); problem != cudaSuccess || index >= static_cast<std::uint32_t>(count)) {
    cudaGetLastError();
    if (problem != cudaSuccess) std::snprintf(message, message_bytes, "%s", cudaGetErrorString(problem));
    else std::snprintf(message, message_bytes, "the driver knows of %d, numbered from 0; each rank has one of its own", count);
    return nullptr;
  }
  auto device = std::make_unique<plimsoll::gpu::CudaDevice>();
  if (!device->open(static_cast<int>(index), message, message_bytes)) return nullptr;
  return device.release();
}
