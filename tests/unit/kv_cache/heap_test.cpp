// Heap memory: none a step after a warm-up (invariant 34), and how much a pool takes. This program's operator new counts, where a test
// asks it to.
#include <atomic>
#include <cstdlib>
#include <gtest/gtest.h>
#include <new>

#include "unit/kv_cache/geometries.hpp"

namespace {

std::atomic<bool> counting_news = false;
std::atomic<std::uint64_t> news = 0, new_bytes = 0;

} // namespace

// Sanitizers have an operator new of their own, which must stay whole.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SKIP_WHERE_NOTHING_COUNTS() GTEST_SKIP() << "the sanitizer's operator new does not count"
#else
#define SKIP_WHERE_NOTHING_COUNTS() static_cast<void>(0)

[[gnu::noinline]] void* operator new(std::size_t size) {
  if (counting_news) {
    ++news;
    new_bytes += size;
  }
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
#endif

namespace plimsoll {
namespace {

// Allocations of `work`, and their bytes.
template <class Work>
std::pair<std::uint64_t, std::uint64_t> counted(Work&& work) {
  news = new_bytes = 0;
  counting_news = true;
  work();
  counting_news = false;
  return {news, new_bytes};
}

TEST(Heap, CountsWhatIsTaken) {
  SKIP_WHERE_NOTHING_COUNTS();
  void* volatile memory = nullptr; // lest the compiler leave it out
  EXPECT_EQ(counted([&] {
              memory = ::operator new(3);
              ::operator delete(memory);
            }),
            (std::pair<std::uint64_t, std::uint64_t>(1, 3)));
}

// Requests come, are hit, decode and go; the first round is the warm-up.
TEST(Heap, NoStepTakesAnyAfterTheFirstRound) {
  SKIP_WHERE_NOTHING_COUNTS();
  for (const char* name : {"dense", "gemma", "llama4", "hybrid", "cross", "shared_gemma", "shared_hybrid", "dense_exact"}) {
    PagedKvManager kv = testing::manager_of(name);
    std::vector<TextContext> contexts;
    for (RequestId id = 0; id < 3; ++id)
      contexts.push_back(testing::context_of(id, testing::counting(9 + id, static_cast<Token>(50 * id)), 30));
    std::vector<const TextContext*> batch;
    for (TextContext& context : contexts) {
      context.reserve_tokens(30);
      batch.push_back(&context);
    }
    bool all = true;
    const auto round = [&] {
      for (TextContext& context : contexts) all = all && context.rewind_processing(context.processed_length()) && kv.claim(context.id());
      for (int step = 0; step < 6; ++step) {
        for (TextContext& context : contexts) all = all && kv.fitting_tokens(context) && kv.alloc(context);
        all = all && kv.runtime_inputs(batch) && kv.runtime_inputs(batch);
        for (TextContext& context : contexts)
          if (context.size_tokens() < 21) all = all && context.update(7);
        all = all && kv.step(batch);
      }
      for (const TextContext& context : contexts) all = all && kv.release(context.id());
    };
    for (int warm_up = 0; warm_up < 3; ++warm_up) round();
    EXPECT_EQ(counted(round).first, 0U) << name;
    EXPECT_TRUE(all) << name;
    EXPECT_EQ(kv.metrics().hit_tokens > 0, kv.prefix_caching()) << name;
  }
}

TEST(Heap, APoolTakesNoMoreThan64BytesAPage) {
  SKIP_WHERE_NOTHING_COUNTS();
  for (const std::uint64_t pages : {1'000U, 4'096U, 100'000U}) {
    const auto [times, bytes] = counted([&] { EXPECT_TRUE(BlockPool::create(pages)); });
    EXPECT_GE(bytes, 36 * pages);
    EXPECT_LE(bytes, 64 * pages) << pages;
    EXPECT_LE(times, 4U);
  }
}

// Invariant 34: no operation of a pool takes any.
TEST(Heap, APoolTakesNothingOnceItIsMade) {
  SKIP_WHERE_NOTHING_COUNTS();
  BlockPool pool = BlockPool::create(1'000).value();
  std::vector<PageId> pages(700);
  bool all = true;
  EXPECT_EQ(counted([&] {
              for (std::uint64_t round = 0; round < 20; ++round) {
                all = all && pool.allocate(pages);
                for (const PageId page : pages) all = all && pool.publish(page, {page * 977 + round, round});
                all = all && pool.touch(pages) && pool.release(pages) && pool.release(pages);
              }
            }).first,
            0U);
  EXPECT_TRUE(all);
  EXPECT_GT(pool.evictions(), 0U);
}

} // namespace
} // namespace plimsoll
