// The backend that tests of ops run on: the processors, unless a program chooses a device; and memory of it. Header only. Threads: one.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "backend/cpu_backend.hpp"

namespace plimsoll::test {

// Empty: the processors.
inline std::shared_ptr<Backend>& chosen_backend() {
  static std::shared_ptr<Backend> chosen;
  return chosen;
}
inline std::shared_ptr<Backend> test_backend() { return chosen_backend() ? chosen_backend() : cpu_backend(); }

// What results may differ by where a GPU adds up in an order of its own: in float 2e-4, in double 1e-10.
inline double test_tolerance(double tolerance) {
  if (!chosen_backend() || chosen_backend()->name() != "cuda") return tolerance;
  return std::max(tolerance, tolerance >= 1e-6 ? 2e-4 : 1e-10);
}

// How long a case is; `fewer` where processors play the device, lane by lane.
inline std::uint64_t test_length(std::uint64_t tokens, std::uint64_t fewer) {
  return chosen_backend() && chosen_backend()->name() == "emulated" ? fewer : tokens;
}

// Memory of the backend, given back.
class Memory {
public:
  explicit Memory(std::uint64_t bytes, bool guarded = false)
      : backend_(test_backend()), bytes_(bytes), guarded_(guarded), data_(backend_->take(bytes, guarded).value()) {}
  Memory(Memory&& other) noexcept
      : backend_(std::move(other.backend_)), bytes_(other.bytes_), guarded_(other.guarded_), data_(std::exchange(other.data_, nullptr)) {}
  Memory& operator=(Memory&&) = delete;
  ~Memory() {
    if (data_ != nullptr) backend_->give_back(data_, bytes_, guarded_);
  }
  void* data() const { return data_; }
  std::uint64_t bytes() const { return bytes_; }
  void write(const void* from) const { backend_->copy_in(data_, from, bytes_); }
  void fill(std::uint8_t byte) const {
    const std::vector<std::uint8_t> bytes(bytes_, byte);
    write(bytes.data());
  }

private:
  std::shared_ptr<Backend> backend_;
  std::uint64_t bytes_;
  bool guarded_;
  void* data_;
};

// Of memory that both the host and the backend read.
template <class T>
struct VisibleAllocator {
  using value_type = T;
  VisibleAllocator() = default;
  template <class U>
  VisibleAllocator(const VisibleAllocator<U>&) {} // NOLINT: as allocators are
  T* allocate(std::size_t n) { return static_cast<T*>(test_backend()->take_visible(n * sizeof(T)).value()); }
  void deallocate(T* memory, std::size_t n) noexcept { test_backend()->give_back(memory, n * sizeof(T), false); }
  friend bool operator==(const VisibleAllocator&, const VisibleAllocator&) { return true; }
};
template <class T>
using VisibleVector = std::vector<T, VisibleAllocator<T>>;

} // namespace plimsoll::test
