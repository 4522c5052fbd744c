// A device that this machine's processors play: the bodies of core/src/backend_cuda, run by loops in place of launches, so that every
// machine tests what a GPU computes. Its memory can be touched by its ops and copies alone: who looks behind an address of the device from
// outside ends the program. Bodies of lanes have several that take turns, or one, which is faster. Header only. Threads: [serial].
#pragma once

#include <array>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <new>
#include <sys/mman.h>
#include <ucontext.h>
#include <vector>

#include "backend/device_backend.hpp"
#include "backend_cuda/device_ops.hpp"

namespace plimsoll::test {

// Sanitizers do not follow a thread that has several stacks.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kCanTakeTurns = false;
#else
inline constexpr bool kCanTakeTurns = true;
#endif

// One thread that is all lanes.
class SingleLane {
public:
  std::uint64_t index() const { return 0; }
  std::uint64_t count() const { return 1; }
  void wait() const {}
  template <class Real>
  Real sum(Real x) const {
    return x;
  }
  template <class Real>
  Real most(Real x) const {
    return x;
  }
  template <class Real>
  Real from(Real x, std::uint64_t) const {
    return x;
  }
};

// Lanes that take turns: each goes as far as where it waits, then the next does. Fewer than a warp has, and no power of two. Ends the
// program where not all of them wait as often.
class TurnLanes {
public:
  static constexpr std::uint64_t kLanes = 3;

  // Calls body(lane) as each lane.
  class Crew {
  public:
    template <class Body>
    void run(const Body& body) {
      call_ = [](const void* of, const TurnLanes& lanes) { (*static_cast<const Body*>(of))(lanes); };
      body_ = &body;
      finished_ = 0;
      waits_.fill(0);
      of_thread() = this;
      for (std::uint64_t lane = kLanes; lane-- > 0;) {
        getcontext(&lanes_[lane]);
        lanes_[lane].uc_stack.ss_sp = stacks_[lane].data();
        lanes_[lane].uc_stack.ss_size = stacks_[lane].size();
        lanes_[lane].uc_link = &caller_;
        makecontext(&lanes_[lane], reinterpret_cast<void (*)()>(begin), 1, static_cast<int>(lane)); // NOLINT: as it is called
      }
      swapcontext(&caller_, &lanes_.front());
    }

  private:
    friend class TurnLanes;
    static constexpr std::size_t kStackBytes = 256U << 10;

    static Crew*& of_thread() {
      thread_local Crew* crew = nullptr;
      return crew;
    }
    static void begin(int lane) {
      Crew& crew = *of_thread();
      crew.call_(crew.body_, TurnLanes(crew, static_cast<std::uint64_t>(lane)));
      if (++crew.finished_ < kLanes) setcontext(&crew.lanes_[(static_cast<std::uint64_t>(lane) + 1) % kLanes]);
      for (const std::uint64_t waits : crew.waits_)
        if (waits != crew.waits_.front()) std::abort(); // lanes went different ways
    }
    void wait(std::uint64_t lane) {
      ++waits_[lane];
      swapcontext(&lanes_[lane], &lanes_[(lane + 1) % kLanes]);
    }

    ucontext_t caller_{};
    std::array<ucontext_t, kLanes> lanes_{};
    std::vector<std::vector<char>> stacks_{kLanes, std::vector<char>(kStackBytes)};
    std::array<std::uint64_t, kLanes> waits_{};
    std::array<std::array<double, kLanes>, 2> values_{};
    std::uint64_t finished_ = 0;
    void (*call_)(const void*, const TurnLanes&) = nullptr;
    const void* body_ = nullptr;
  };

  TurnLanes(Crew& crew, std::uint64_t index) : crew_(crew), index_(index) {}
  std::uint64_t index() const { return index_; }
  std::uint64_t count() const { return kLanes; }
  void wait() const { crew_.wait(index_); }
  template <class Real>
  Real sum(Real x) const {
    return joined(x, [](Real a, Real b) { return a + b; });
  }
  template <class Real>
  Real most(Real x) const {
    return joined(x, [](Real a, Real b) { return a < b ? b : a; });
  }
  template <class Real>
  Real from(Real x, std::uint64_t lane) const {
    return static_cast<Real>(shown(static_cast<double>(x))[lane]);
  }

private:
  template <class Real, class Join>
  Real joined(Real x, Join join) const {
    const std::array<double, kLanes>& values = shown(static_cast<double>(x));
    Real value = static_cast<Real>(values[0]);
    for (std::uint64_t lane = 1; lane < kLanes; ++lane) value = join(value, static_cast<Real>(values[lane]));
    return value;
  }
  // What every lane has; in another place than what they showed before, which some may still read.
  const std::array<double, kLanes>& shown(double x) const {
    std::array<double, kLanes>& values = crew_.values_[crew_.waits_[index_] % 2];
    values[index_] = x;
    wait();
    return values;
  }
  Crew& crew_;
  std::uint64_t index_;
};

// Memory that is out of reach unless it is open.
class DeviceMemory {
public:
  DeviceMemory() {
    void* const memory = mmap(nullptr, kBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    base_ = static_cast<std::byte*>(memory);
  }
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;
  ~DeviceMemory() { munmap(base_, kBytes); }

  class Open {
  public:
    explicit Open(const DeviceMemory& memory) : memory_(memory) { memory_.protect(PROT_READ | PROT_WRITE); }
    Open(const Open&) = delete;
    Open& operator=(const Open&) = delete;
    ~Open() { memory_.protect(PROT_NONE); }

  private:
    const DeviceMemory& memory_;
  };

  // Null where there is no room.
  void* take(std::uint64_t bytes) {
    const std::uint64_t needed = ceil_div(bytes, kAlignBytes) * kAlignBytes;
    std::uint64_t at = 0;
    for (const auto& [begin, size] : taken_) {
      if (begin - at >= needed) break;
      at = begin + size;
    }
    if (needed > kBytes - at) return nullptr;
    taken_[at] = needed;
    end_ = std::max(end_, at + needed);
    return base_ + at; // zeros, as it was mapped
  }
  bool give_back(void* memory) {
    const auto taken = taken_.find(static_cast<std::uint64_t>(static_cast<std::byte*>(memory) - base_));
    if (taken == taken_.end()) return false;
    madvise(memory, taken->second, MADV_DONTNEED); // zeros again, and what was never written costs nothing
    taken_.erase(taken);
    return true;
  }
  std::uint64_t taken_bytes() const {
    std::uint64_t sum = 0;
    for (const auto& [begin, size] : taken_) sum += size;
    return sum;
  }

  static constexpr std::uint64_t kBytes = 1ULL << 32, kAlignBytes = 4096;

private:
  void protect(int what) const {
    if (end_ > 0 && mprotect(base_, end_, what) != 0) throw std::bad_alloc();
  }
  std::byte* base_ = nullptr;
  std::uint64_t end_ = 0;
  std::map<std::uint64_t, std::uint64_t> taken_; // offset -> bytes
};

class LoopQueue {
public:
  LoopQueue(DeviceMemory& memory, bool in_turns) : memory_(memory), in_turns_(in_turns && kCanTakeTurns) {}

  // Backwards, since nothing may depend on the order.
  template <class Body>
  void each(std::uint64_t n, const Body& body) {
    const DeviceMemory::Open open(memory_);
    for (std::uint64_t i = n; i-- > 0;) body(i);
  }
  template <class Body>
  void warps(std::uint64_t n, const Body& body) {
    const DeviceMemory::Open open(memory_);
    if (!in_turns_) {
      for (std::uint64_t i = n; i-- > 0;) body(i, SingleLane());
      return;
    }
    crew_.run([&](const TurnLanes& lanes) {
      for (std::uint64_t i = n; i-- > 0;) {
        body(i, lanes);
        lanes.wait();
      }
    });
  }
  template <class Real>
  void multiply(const gpu::Strided<const Real>& x, const Matrix& w, const gpu::Strided<Real>& out, double alpha, double beta) {
    const DeviceMemory::Open open(memory_);
    const Real a = static_cast<Real>(alpha), b = static_cast<Real>(beta);
    const Real* const weight = static_cast<const Real*>(w.data);
    for (std::uint64_t row = 0; row < x.rows; ++row)
      for (std::uint64_t o = 0; o < w.out; ++o) {
        Real sum = 0;
        const std::uint64_t first = w.in_major ? o : o * w.stride, step = w.in_major ? w.stride : 1;
        for (std::uint64_t i = 0; i < w.in; ++i) sum += x.data[row * x.stride + i] * weight[first + i * step];
        Real& to = out.data[row * out.stride + o];
        to = a * sum + (b == 0 ? Real{0} : b * to);
      }
  }
  void copy_in(void* device, const void* host, std::uint64_t bytes) {
    const DeviceMemory::Open open(memory_);
    if (bytes > 0) std::memcpy(device, host, bytes);
  }

private:
  DeviceMemory& memory_;
  bool in_turns_;
  TurnLanes::Crew crew_;
};

class EmulatedDevice final : public OpenDevice {
public:
  explicit EmulatedDevice(bool in_turns) : queue_(memory_, in_turns) {}

  Result<void*> take(std::uint64_t bytes) override {
    void* const memory = memory_.take(bytes);
    if (memory == nullptr) return fail(ErrorCode::kOutOfMemory, "the emulated device is full");
    return memory;
  }
  Result<void*> take_visible(std::uint64_t bytes) override {
    PLIMSOLL_ASSIGN(void* const memory, host_memory()->take(bytes, false));
    visible_[memory] = bytes;
    return memory;
  }
  void give_back(void* memory) noexcept override {
    if (const auto visible = visible_.find(memory); visible != visible_.end()) {
      host_memory()->give_back(memory, visible->second, false);
      visible_.erase(visible);
    } else if (!memory_.give_back(memory)) {
      std::abort(); // nobody took it
    }
  }
  void copy_in(void* device, const void* host, std::uint64_t bytes) override { queue_.copy_in(device, host, bytes); }
  void copy_out(void* host, const void* device, std::uint64_t bytes) override { queue_.copy_in(host, device, bytes); }
  void copy(void* to, const void* from, std::uint64_t bytes) override { queue_.copy_in(to, from, bytes); }
  void copy_rows(void* to, std::uint64_t to_stride_bytes, const void* from, std::uint64_t from_stride_bytes, std::uint64_t width_bytes,
                 std::uint64_t rows) override {
    for (std::uint64_t row = 0; row < rows; ++row)
      queue_.copy_in(static_cast<std::byte*>(to) + row * to_stride_bytes, static_cast<const std::byte*>(from) + row * from_stride_bytes,
                     width_bytes);
  }
  void zero(void* device, std::uint64_t bytes) override {
    const DeviceMemory::Open open(memory_);
    std::memset(device, 0, bytes);
  }
  Result<void> synchronize() override { return {}; }
  Result<bool> is_done() override { return true; }
  void* stream() override { return static_cast<OpenDevice*>(this); } // as played_nccl.hpp takes it
  Result<DriverFigures> driver_figures() override {
    return DriverFigures{DeviceMemory::kBytes - memory_.taken_bytes(), DeviceMemory::kBytes};
  }
  Result<void> use_workspace(void*, std::uint64_t) override { return {}; }
  Ops<float>& ops(float) override { return float_ops_; }
  Ops<double>& ops(double) override { return double_ops_; }

private:
  DeviceMemory memory_;
  std::map<void*, std::uint64_t> visible_;
  LoopQueue queue_;
  gpu::DeviceOps<float, LoopQueue> float_ops_{queue_};
  gpu::DeviceOps<double, LoopQueue> double_ops_{queue_};
};

// `nccl`: what joins it with others; outlives it.
inline std::shared_ptr<DeviceBackend> emulated_backend(bool in_turns, const Nccl* nccl = nullptr) {
  return std::make_shared<DeviceBackend>("emulated", std::make_unique<EmulatedDevice>(in_turns), nccl);
}

} // namespace plimsoll::test
