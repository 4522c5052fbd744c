// Weights out of the page cache into memory: the loader, a plain loop of reads, and copies out of a mapping, of the same 256 MB in the same
// run, into memory that is there and into memory that is fresh. The goal: the loader as fast as the plain loop. Then rows of heads that
// alternate, as llama's GGUF files have them.
#include <algorithm>
#include <benchmark/benchmark.h>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "runtime/loader.hpp"

namespace plimsoll {
namespace {

constexpr std::uint64_t kTensorBytes = 16U << 20, kTensors = 16, kBytes = kTensorBytes * kTensors;

// A file of that size, in the page cache, gone from the folder already.
class CachedFile {
public:
  CachedFile() {
    std::string name = "/tmp/plimsoll_bench_XXXXXX";
    descriptor_ = ::mkstemp(name.data());
    path_ = "/proc/self/fd/" + std::to_string(descriptor_);
    const std::vector<char> block(1U << 20, 'w');
    for (std::uint64_t at = 0; at < kBytes && descriptor_ >= 0; at += block.size())
      if (::write(descriptor_, block.data(), block.size()) < 0) std::abort();
    ::unlink(name.c_str());
  }
  ~CachedFile() { ::close(descriptor_); }
  CachedFile(const CachedFile&) = delete;
  CachedFile& operator=(const CachedFile&) = delete;
  int descriptor() const { return descriptor_; }
  const std::string& path() const { return path_; }

private:
  int descriptor_ = -1;
  std::string path_;
};

const CachedFile& cached() {
  static const CachedFile file;
  return file;
}

// Anonymous memory; `fresh` memory has no pages yet.
class Room {
public:
  Room() : at_(static_cast<std::byte*>(::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))) {
    ::madvise(at_, kBytes, MADV_HUGEPAGE); // as host_memory() does
  }
  ~Room() { ::munmap(at_, kBytes); }
  Room(const Room&) = delete;
  Room& operator=(const Room&) = delete;
  std::byte* at() const { return at_; }
  void forget() const { ::madvise(at_, kBytes, MADV_DONTNEED); }

private:
  std::byte* at_;
};

WeightSources sources(const std::vector<WeightAxis>& axes) {
  WeightSources out{{cached().path()}, {}};
  for (std::uint64_t i = 0; i < kTensors; ++i) {
    WeightTensor tensor;
    tensor.label = std::to_string(i);
    tensor.dtype = "bfloat16";
    tensor.bytes = kTensorBytes;
    WeightPiece piece;
    piece.offset_bytes = i * kTensorBytes;
    piece.bytes = kTensorBytes;
    piece.axes = axes;
    tensor.pieces.push_back(piece);
    out.tensors.push_back(std::move(tensor));
  }
  return out;
}

template <class Load>
void run(benchmark::State& state, Load&& load) {
  const bool fresh = state.range(0) != 0;
  const Room room;
  cached();
  std::memset(room.at(), 1, kBytes);
  for (auto unused : state) {
    if (fresh) {
      state.PauseTiming();
      room.forget();
      state.ResumeTiming();
    }
    load(room.at());
    benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(kBytes));
}

void load_into(const WeightSources& all, std::byte* room) {
  std::uint64_t at = 0;
  const auto loaded = load_weights(all, [&](const WeightTensor& tensor) -> Result<std::span<std::byte>> {
    const std::span<std::byte> to(room + at, tensor.bytes);
    at += tensor.bytes;
    return to;
  });
  if (!loaded) std::abort();
}

void loader(benchmark::State& state) {
  const WeightSources all = sources({});
  run(state, [&](std::byte* room) { load_into(all, room); });
}

// Heads of 128 rows and 4096 columns, rows alternating.
void loader_of_pairs(benchmark::State& state) {
  const WeightSources all = sources({{16, 128 * 4096}, {64, 4096}, {2, 64 * 4096}, {4096, 1}});
  run(state, [&](std::byte* room) { load_into(all, room); });
}

// Rows and columns of heads exchanged, as a latent's key up-projection is stored.
void loader_of_exchanged_heads(benchmark::State& state) {
  const WeightSources all = sources({{128, 128 * 512}, {512, 1}, {128, 512}});
  run(state, [&](std::byte* room) { load_into(all, room); });
}

void plain_reads(benchmark::State& state) {
  run(state, [](std::byte* room) {
    constexpr std::uint64_t kBlock = 1U << 20;
    for (std::uint64_t at = 0; at < kBytes; at += kBlock)
      if (::pread(cached().descriptor(), room + at, kBlock, static_cast<off_t>(at)) < 0) std::abort();
  });
}

// What a loader that maps its files does: map, advise, copy, unmap.
void mapped(benchmark::State& state) {
  run(state, [](std::byte* room) {
    void* const file = ::mmap(nullptr, kBytes, PROT_READ, MAP_PRIVATE, cached().descriptor(), 0);
    ::madvise(file, kBytes, MADV_SEQUENTIAL);
    std::memcpy(room, file, kBytes);
    ::munmap(file, kBytes);
  });
}

BENCHMARK(loader)->ArgName("fresh")->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond);
BENCHMARK(plain_reads)->ArgName("fresh")->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond);
BENCHMARK(mapped)->ArgName("fresh")->Arg(0)->Arg(1)->Unit(benchmark::kMillisecond);
BENCHMARK(loader_of_pairs)->ArgName("fresh")->Arg(1)->Unit(benchmark::kMillisecond);
BENCHMARK(loader_of_exchanged_heads)->ArgName("fresh")->Arg(1)->Unit(benchmark::kMillisecond);

} // namespace
} // namespace plimsoll
