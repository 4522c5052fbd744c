// Two KV managers on two threads share nothing: each serves its requests as it does alone. Best under the thread sanitizer.
#include <gtest/gtest.h>
#include <thread>

#include "unit/kv_cache/geometries.hpp"

namespace plimsoll {
namespace {

// Serves prompts that share prefixes until `rounds` have passed; what was hit, evicted and handed out, as a number.
std::uint64_t served(const char* name, std::uint64_t rounds) {
  PagedKvManager kv = testing::manager_of(name);
  std::uint64_t trace = 0;
  const auto note = [&](std::uint64_t value) { trace = trace * 1'000'003 + value; };
  for (RequestId id = 0; id < rounds; ++id) {
    TextContext context = testing::context_of(id, testing::counting(5 + id * 7 % 40, static_cast<Token>(id % 3 * 100)), 60);
    const auto claim = KvClaim::take(kv, id);
    EXPECT_TRUE(claim);
    context.set_chunk_limit(12);
    const TextContext* one = &context;
    for (int step = 0; step < 9; ++step) {
      const auto got = kv.alloc(context);
      const auto inputs = kv.runtime_inputs({&one, 1});
      EXPECT_TRUE(got && inputs);
      if (!got || !inputs) return 0;
      note(got->hit_tokens);
      for (const KvGroupInputs& group : inputs->groups)
        for (const std::uint32_t cell : group.table) note(cell);
      EXPECT_TRUE(context.reaches_end() ? context.update(static_cast<Token>(step)) : context.advance_chunk());
      EXPECT_TRUE(kv.step({&one, 1}));
    }
  }
  const KvMetrics metrics = kv.metrics();
  note(metrics.evictions);
  note(metrics.hit_tokens);
  EXPECT_TRUE(kv.audit());
  return trace;
}

TEST(KvCacheThreads, TwoManagersOnTwoThreadsShareNothing) {
  for (const char* name : {"dense", "gemma", "llama4", "shared_gemma"}) {
    const std::uint64_t alone = served(name, 60);
    std::uint64_t first = 0, second = 1;
    std::thread one([&] { first = served(name, 60); }), other([&] { second = served(name, 60); });
    one.join();
    other.join();
    EXPECT_EQ(first, alone) << name;
    EXPECT_EQ(second, alone) << name;
  }
}

} // namespace
} // namespace plimsoll
