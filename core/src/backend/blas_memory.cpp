#include "backend/blas_memory.hpp"

#include <algorithm>
#include <barrier>
#include <mutex>
#include <thread>
#include <vector>

#include "backend/cpu_multiply.hpp"
#include "backend/process_memory.hpp"
#include "plimsoll/arena.hpp"

namespace plimsoll {
namespace {

constexpr std::uint64_t kPanel = 1536; // twice the largest panel's rows and columns: more packs nothing more

// Operands, given back on every path.
class Scratchpad {
public:
  static Result<Scratchpad> take(std::uint64_t elements) {
    PLIMSOLL_ASSIGN(void* memory, host_memory()->take(elements * sizeof(float), false));
    std::fill_n(static_cast<float*>(memory), elements, 1.0F);
    return Scratchpad(static_cast<float*>(memory), elements);
  }
  Scratchpad(Scratchpad&& other) noexcept : data_(std::exchange(other.data_, nullptr)), elements_(other.elements_) {}
  Scratchpad& operator=(Scratchpad&&) = delete;
  ~Scratchpad() {
    if (data_ != nullptr) host_memory()->give_back(data_, elements_ * sizeof(float), false);
  }
  float* data() const { return data_; }

private:
  Scratchpad(float* data, std::uint64_t elements) : data_(data), elements_(elements) {}
  float* data_;
  std::uint64_t elements_;
};

} // namespace

Result<std::uint64_t> blas_bytes(std::uint64_t most_tokens, std::uint32_t threads) {
  static std::mutex mutex;
  static std::uint64_t grown = 0, covered = 0;
  static std::uint32_t covered_threads = 0;
  const std::scoped_lock lock(mutex);
  const std::uint64_t tokens = std::clamp<std::uint64_t>(most_tokens, 2, 1U << 20);
  if (tokens <= covered && threads <= covered_threads) return grown; // what it took stays taken
  const std::uint64_t rows = std::max(tokens, covered);
  PLIMSOLL_ASSIGN(const Scratchpad x, Scratchpad::take(rows * kPanel));
  PLIMSOLL_ASSIGN(const Scratchpad w, Scratchpad::take(kPanel * kPanel));
  std::vector<Scratchpad> results;
  for (std::uint32_t thread = 0; thread < threads; ++thread) {
    PLIMSOLL_ASSIGN(Scratchpad y, Scratchpad::take(rows * kPanel));
    results.push_back(std::move(y));
  }
  PLIMSOLL_ASSIGN(const std::uint64_t before, anonymous_bytes());
  std::barrier<> together(static_cast<std::ptrdiff_t>(threads));
  const auto multiply = [&](std::uint32_t thread) {
    together.arrive_and_wait();
    for (const std::uint64_t n : {rows, std::uint64_t{1}})
      cpu::gemm(true, n, kPanel, kPanel, 1, x.data(), kPanel, w.data(), kPanel, 0, results[thread].data(), kPanel);
  };
  std::vector<std::thread> others;
  for (std::uint32_t thread = 1; thread < threads; ++thread) others.emplace_back(multiply, thread);
  multiply(0);
  for (std::thread& other : others) other.join();
  PLIMSOLL_ASSIGN(const std::uint64_t after, anonymous_bytes());
  covered = rows;
  covered_threads = std::max(covered_threads, threads);
  grown += after > before ? after - before : 0;
  return grown;
}

} // namespace plimsoll
