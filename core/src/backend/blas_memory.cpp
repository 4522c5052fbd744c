#include "backend/blas_memory.hpp"

#include <algorithm>
#include <mutex>

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

Result<std::uint64_t> blas_bytes(std::uint64_t most_tokens) {
  static std::mutex mutex;
  static std::uint64_t grown = 0, covered = 0;
  const std::scoped_lock lock(mutex);
  const std::uint64_t tokens = std::clamp<std::uint64_t>(most_tokens, 2, 1U << 20);
  if (tokens <= covered) return grown; // what it took stays taken
  PLIMSOLL_ASSIGN(const Scratchpad x, Scratchpad::take(tokens * kPanel));
  PLIMSOLL_ASSIGN(const Scratchpad w, Scratchpad::take(kPanel * kPanel));
  PLIMSOLL_ASSIGN(const Scratchpad y, Scratchpad::take(tokens * kPanel));
  PLIMSOLL_ASSIGN(const std::uint64_t before, anonymous_bytes());
  cpu::gemm(true, tokens, kPanel, kPanel, 1, x.data(), kPanel, w.data(), kPanel, 0, y.data(), kPanel);
  cpu::gemm(true, 1, kPanel, kPanel, 1, x.data(), kPanel, w.data(), kPanel, 0, y.data(), kPanel);
  PLIMSOLL_ASSIGN(const std::uint64_t after, anonymous_bytes());
  covered = tokens;
  grown += after > before ? after - before : 0;
  return grown;
}

} // namespace plimsoll
