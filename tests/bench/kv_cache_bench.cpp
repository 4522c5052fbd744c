// How fast the KV manager's bookkeeping is. Goals: allocate + free 10 ns a page, a prompt of 32k tokens hashed and looked up in 100 us,
// a decode step of 512 sequences in 50 us, a pool of a million pages made in 20 ms. Beside each stands what the machine needs at least:
// writing or copying the same bytes.
#include <benchmark/benchmark.h>
#include <cstring>
#include <memory>

#include "plimsoll/kv_cache.hpp"

namespace plimsoll {
namespace {

KvGroupGeometry group_of(const char* label, CacheKind kind, std::uint64_t page_tokens, std::uint64_t window_tokens = 0) {
  KvGroupGeometry group;
  group.label = label;
  group.kind = kind;
  group.n_layers = 1;
  group.page_tokens = page_tokens;
  group.page_bytes = page_tokens * 4'096;
  group.window_tokens = window_tokens;
  return group;
}

PagedKvManager manager_of(std::vector<KvGroupGeometry> groups, std::uint64_t pages) {
  KvGeometry g;
  for (const KvGroupGeometry& group : groups) g.pools.push_back({pages, 1, 0, pages * group.page_bytes});
  g.stages.push_back({std::move(groups), 0});
  g.stage_of_rank = {0};
  KvOptions options;
  options.key_seed = 1;
  return PagedKvManager::create(std::move(g), options).value();
}

TextContext context_of(RequestId id, std::size_t length, std::uint64_t max_length) {
  TextContextOptions options;
  options.id = id;
  options.prompt.resize(length);
  for (std::size_t i = 0; i < length; ++i) options.prompt[i] = static_cast<Token>(i * 31 + id * 7'919);
  options.max_length = max_length;
  TextContext context = TextContext::create(std::move(options)).value();
  context.reserve_tokens(max_length);
  return context;
}

// ---- Pool ------------------------------------------------------------------------------------------------------------------

void pool_allocate_free(benchmark::State& state) {
  BlockPool pool = BlockPool::create(100'000).value();
  std::vector<PageId> pages(static_cast<std::size_t>(state.range(0)));
  for (auto _ : state) {
    benchmark::DoNotOptimize(pool.allocate(pages));
    benchmark::DoNotOptimize(pool.release(pages));
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(pool_allocate_free)->Arg(1)->Arg(100)->Arg(10'000);

// Every page that is taken is a cached one: found, evicted, published anew and freed to the end.
void pool_allocate_evict_publish_free(benchmark::State& state) {
  constexpr std::uint32_t kPages = 100'000;
  BlockPool pool = BlockPool::create(kPages).value();
  std::vector<PageId> pages(kPages);
  std::uint64_t next = 0;
  const auto cycle = [&](std::size_t count) {
    const std::span<PageId> some = std::span(pages).first(count);
    benchmark::DoNotOptimize(pool.allocate(some));
    for (const PageId page : some) {
      ++next;
      benchmark::DoNotOptimize(pool.publish(page, {next * 0x9E3779B97F4A7C15ULL, next}));
    }
    benchmark::DoNotOptimize(pool.release(some));
  };
  cycle(kPages);
  const auto count = static_cast<std::size_t>(state.range(0));
  for (auto _ : state) cycle(count);
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(pool_allocate_evict_publish_free)->Arg(100)->Arg(10'000);

void pool_create(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(BlockPool::create(static_cast<std::uint64_t>(state.range(0))));
}
BENCHMARK(pool_create)->Arg(1'000'000)->Unit(benchmark::kMillisecond);

// The same bytes, written once: 32 B and two buckets of 4 B a page.
void pool_create_baseline(benchmark::State& state) {
  const std::size_t bytes = static_cast<std::size_t>(state.range(0)) * 40;
  for (auto _ : state) {
    const std::unique_ptr<char[]> memory(new char[bytes]);
    std::memset(memory.get(), 1, bytes);
    benchmark::DoNotOptimize(memory.get()[bytes / 2]);
  }
}
BENCHMARK(pool_create_baseline)->Arg(1'000'000)->Unit(benchmark::kMillisecond);

// ---- Prefixes --------------------------------------------------------------------------------------------------------------

// A prompt that is all there: claim, hash, look up, touch and one new page, and given back. The argument: tokens of a page.
void prefix_hit_32k(benchmark::State& state, bool windows) {
  constexpr std::size_t kTokens = 32'768;
  const auto page_tokens = static_cast<std::uint64_t>(state.range(0));
  std::vector<KvGroupGeometry> groups{group_of("attention", CacheKind::kFull, page_tokens)};
  if (windows) groups.push_back(group_of("window", CacheKind::kWindow, page_tokens, 1'024));
  PagedKvManager kv = manager_of(std::move(groups), 4 * kTokens / page_tokens);
  const TextContext asked = context_of(1, kTokens, kTokens + 16);
  TextContext context = asked;
  const TextContext* one = &context;
  const auto serve = [&](bool whole) {
    bool good = kv.claim(1) && kv.alloc(context);
    if (whole) good = good && context.update(1) && kv.step({&one, 1});
    good = good && kv.release(1);
    if (!good) state.SkipWithError("a request is not served");
  };
  serve(true);
  context = asked;
  for (auto _ : state) {
    serve(false);
    if (context.processed_length() < kTokens - page_tokens) state.SkipWithError("nothing is hit");
    benchmark::DoNotOptimize(context.rewind_processing(context.processed_length()));
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kTokens));
}
BENCHMARK_CAPTURE(prefix_hit_32k, full, false)->Arg(16)->Arg(128)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(prefix_hit_32k, full_and_window, true)->Arg(16)->Unit(benchmark::kMicrosecond);

// Copying the prompt's tokens.
void prefix_32k_baseline(benchmark::State& state) {
  const std::vector<Token> prompt(32'768, 3);
  std::vector<Token> copy(prompt.size());
  for (auto _ : state) {
    std::memcpy(copy.data(), prompt.data(), prompt.size() * sizeof(Token));
    benchmark::DoNotOptimize(copy.data());
    benchmark::ClobberMemory();
  }
}
BENCHMARK(prefix_32k_baseline)->Unit(benchmark::kMicrosecond);

// ---- Steps -----------------------------------------------------------------------------------------------------------------

// One decode step of a batch: alloc, tables, a token each, step. The argument: sequences.
void decode_step(benchmark::State& state, bool windows) {
  constexpr std::uint64_t kPrompt = 1'000, kLongest = 60'000, kPageTokens = 128;
  const auto sequences = static_cast<std::size_t>(state.range(0));
  std::vector<KvGroupGeometry> groups{group_of("attention", CacheKind::kFull, kPageTokens)};
  if (windows) groups.push_back(group_of("window", CacheKind::kWindow, kPageTokens, 512));
  PagedKvManager kv = manager_of(std::move(groups), sequences * (kLongest / kPageTokens + 2));
  std::vector<TextContext> contexts;
  std::vector<const TextContext*> batch;
  contexts.reserve(sequences);
  for (std::size_t i = 0; i < sequences; ++i) {
    contexts.push_back(context_of(i, kPrompt + i % kPageTokens, kLongest));
    batch.push_back(&contexts.back());
    if (!kv.claim(i)) state.SkipWithError("a request is not claimed");
  }
  const auto step = [&] {
    bool good = true;
    for (TextContext& context : contexts) good &= kv.alloc(context).has_value();
    good &= kv.runtime_inputs(batch).has_value();
    for (TextContext& context : contexts) good &= context.update(7).has_value();
    good &= kv.step(batch).has_value();
    return good;
  };
  for (int warm_up = 0; warm_up < 100; ++warm_up) step();
  for (auto _ : state) {
    if (contexts.front().size_tokens() + 200 > kLongest) {
      // Anew, as long as before.
      state.PauseTiming();
      for (TextContext& context : contexts) {
        const RequestId id = context.id();
        const std::size_t length = context.prompt_length();
        context = context_of(id, length, kLongest);
        if (!kv.release(id) || !kv.claim(id)) state.SkipWithError("a request is not claimed");
      }
      for (int warm_up = 0; warm_up < 100; ++warm_up) step();
      state.ResumeTiming();
    }
    if (!step()) state.SkipWithError("a step fails");
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK_CAPTURE(decode_step, full, false)->Arg(1)->Arg(64)->Arg(512)->Unit(benchmark::kMicrosecond);
BENCHMARK_CAPTURE(decode_step, full_and_window, true)->Arg(512)->Unit(benchmark::kMicrosecond);

// Pushing one token to each of 512 vectors, and reading a record of each.
void decode_step_baseline(benchmark::State& state) {
  std::vector<std::vector<Token>> all(512);
  for (std::vector<Token>& tokens : all) tokens.reserve(60'000);
  for (auto _ : state) {
    if (all.front().size() == 60'000)
      for (std::vector<Token>& tokens : all) tokens.clear();
    for (std::vector<Token>& tokens : all) tokens.push_back(7);
    benchmark::DoNotOptimize(all.data());
  }
}
BENCHMARK(decode_step_baseline)->Unit(benchmark::kMicrosecond);

// 128k tokens in chunks of 2,048.
void chunked_prefill_128k(benchmark::State& state) {
  constexpr std::size_t kTokens = 131'072;
  PagedKvManager kv = manager_of({group_of("attention", CacheKind::kFull, 16)}, 2 * kTokens / 16);
  std::uint64_t id = 0;
  for (auto _ : state) {
    state.PauseTiming();
    TextContext context = context_of(++id, kTokens, kTokens + 1);
    context.set_chunk_limit(2'048);
    const TextContext* one = &context;
    state.ResumeTiming();
    bool good = kv.claim(id).has_value();
    while (good) {
      good = kv.alloc(context) && kv.runtime_inputs({&one, 1});
      if (context.reaches_end()) break;
      good = good && context.advance_chunk() && kv.step({&one, 1});
    }
    good = good && kv.release(id);
    if (!good) state.SkipWithError("a chunk is not served");
  }
}
BENCHMARK(chunked_prefill_128k)->Unit(benchmark::kMillisecond);

} // namespace
} // namespace plimsoll
