// Memory of this process for arenas: zeros, at cache lines, with or without a page behind it that nobody may touch. Threads: [any].
#include <cstdlib>
#include <cstring>
#include <fmt/format.h>
#include <new>
#include <sys/mman.h>
#include <unistd.h>

#include "base/checked.hpp"
#include "plimsoll/arena.hpp"

namespace plimsoll {

MemorySource::~MemorySource() = default;

Result<void*> MemorySource::take_shared(std::uint64_t bytes) { return take(bytes, false); }
Result<void*> MemorySource::take_visible(std::uint64_t bytes) { return take(bytes, false); }
bool MemorySource::on_host() const noexcept { return true; }
std::optional<std::uint64_t> MemorySource::free_bytes() { return std::nullopt; }
void MemorySource::copy_in(void* memory, const void* host, std::uint64_t bytes) {
  if (bytes > 0) std::memcpy(memory, host, bytes);
}
void MemorySource::copy_out(void* host, const void* memory, std::uint64_t bytes) {
  if (bytes > 0) std::memcpy(host, memory, bytes);
}

namespace {

constexpr std::uint64_t kAlignmentBytes = 64;
constexpr std::uint64_t kMappedBytes = 128U << 10; // from here on a mapping of its own: zeros that cost nothing until they are touched

tl::unexpected<Error> no_memory(std::uint64_t bytes) {
  return fail(ErrorCode::kOutOfMemory, fmt::format("this machine does not give {} B of memory; free some, or plan for less", bytes));
}

std::uint64_t page_bytes() {
  static const auto bytes = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

// What is mapped for `bytes`: whole pages, and one more as a guard.
struct Mapping {
  std::uint64_t used_bytes = 0, all_bytes = 0; // used_bytes: whole pages
  std::uint64_t begin_bytes = 0;               // of the memory, from the mapping's begin: it ends where the used pages end, if guarded
};
Result<Mapping> mapping_of(std::uint64_t bytes, bool guarded) {
  const Checked used = Checked(ceil_div(bytes, page_bytes())) * page_bytes();
  const Checked all = used + (guarded ? page_bytes() : 0);
  if (all.overflowed() || all.value() > INT64_MAX) return no_memory(bytes);
  const std::uint64_t rounded = ceil_div(bytes, kAlignmentBytes) * kAlignmentBytes;
  return Mapping{used.value(), all.value(), guarded ? used.value() - rounded : 0};
}

class HostMemory final : public MemorySource {
public:
  Result<void*> take(std::uint64_t bytes, bool guarded) override {
    if (guarded || bytes >= kMappedBytes) return map(bytes, guarded);
    void* memory = std::aligned_alloc(kAlignmentBytes, ceil_div(bytes, kAlignmentBytes) * kAlignmentBytes);
    if (memory == nullptr) return no_memory(bytes);
    std::memset(memory, 0, bytes);
    return memory;
  }

  void give_back(void* memory, std::uint64_t bytes, bool guarded) noexcept override {
    if (!guarded && bytes < kMappedBytes) return std::free(memory);
    const Result<Mapping> mapping = mapping_of(bytes, guarded);
    if (mapping) munmap(static_cast<std::byte*>(memory) - mapping->begin_bytes, mapping->all_bytes);
  }

private:
  static Result<void*> map(std::uint64_t bytes, bool guarded) {
    PLIMSOLL_ASSIGN(const Mapping mapping, mapping_of(bytes, guarded));
    void* pages = mmap(nullptr, mapping.all_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) return no_memory(bytes);
    auto* begin = static_cast<std::byte*>(pages);
    // Weights are read from end to end for every token: fewer, larger pages. Mappings lie side by side, so small ones share such pages.
    // Where the kernel has none, nothing is lost.
    madvise(begin, mapping.used_bytes, MADV_HUGEPAGE);
    if (guarded && mprotect(begin + mapping.used_bytes, page_bytes(), PROT_NONE) != 0) {
      munmap(pages, mapping.all_bytes);
      return no_memory(bytes);
    }
    return begin + mapping.begin_bytes;
  }
};

} // namespace

std::shared_ptr<MemorySource> host_memory() {
  static const std::shared_ptr<MemorySource> memory = std::make_shared<HostMemory>();
  return memory;
}

} // namespace plimsoll
