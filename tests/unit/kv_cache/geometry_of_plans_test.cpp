// The KV manager on the geometries of real plans: capacity and bytes equal the plan's to the byte for every family and engine, and
// what a plan promises a request, the manager can hold. Needs the families' plugins.
#include <gtest/gtest.h>

#include "unit/kv_cache/geometries.hpp"
#include "unit/plan/planned.hpp"

namespace plimsoll {
namespace {

using testing::on;
using testing::planned;

struct Served {
  const char *model, *devices;
  std::uint32_t tp = 0, pp = 1, dp = 1, ep = 1;
  std::uint64_t batch = 0; // SGLang sets an encoder's tokens aside for thousands
};

// One of each family, and what is peculiar in it: latents, drafts, windows, chunks, states, encoders.
const std::vector<Served>& all_served() {
  static const std::vector<Served> kAll{
      {"meta-llama/Llama-3.1-8B", "2xH100"},
      {"meta-llama/Llama-3.1-8B", "4xH100", 2, 1, 2},
      {"meta-llama/Llama-3.1-8B", "4xH100", 2, 2},
      {"Qwen/Qwen3-8B", "1xH100"},
      {"google/gemma-3-27b-it", "1xH100"},
      {"google/gemma-3-12b-it", "2x40GiB", 1, 1, 2},
      {"openai/gpt-oss-20b", "1xH100"},
      {"deepseek-ai/DeepSeek-V3", "8xH200", 8, 1, 1, 8},
      {"Qwen/Qwen3-Next-80B-A3B-Instruct", "4xH200"},
      {"state-spaces/mamba-2.8b-hf", "1xH100"},
      {"Qwen/Qwen2.5-VL-7B-Instruct", "1xH100"},
      {"meta-llama/Llama-3.2-11B-Vision-Instruct", "1xH100", 0, 1, 1, 1, 64},
  };
  return kAll;
}

Plan plan_of(const Served& served, const std::string& engine) {
  PlanRequest request = on(served.devices);
  request.engine = engine;
  request.max_length = 8192;
  if (served.batch > 0) request.max_batch_size = served.batch;
  if (served.tp > 0) request.tp = served.tp;
  request.pp = served.pp;
  request.dp = served.dp;
  if (served.ep > 1) request.ep = served.ep;
  return planned(served.model, request);
}

void expect_equal_to_the_byte(const Plan& plan, const std::string& where) {
  const auto made = PagedKvManager::create(plan.kv_geometry, {.replicas = plan.request.dp});
  ASSERT_TRUE(made) << where << ": " << made.error().message;
  const KvGeometry& g = plan.kv_geometry;
  for (std::uint32_t rank = 0; rank < g.n_ranks(); ++rank) {
    EXPECT_EQ(made->bytes(rank), plan.devices[rank].kv_cache_bytes) << where << " rank " << rank;
    const std::uint32_t replica = rank / made->ranks_per_replica();
    std::uint64_t bytes = 0;
    for (std::size_t i = 0; i < g.n_groups(); ++i) {
      const KvGroupPool& pool = g.pool(rank, i);
      if (g.group(rank, i).n_layers == 0) continue;
      const std::uint64_t total = made->total_pages(i, replica);
      EXPECT_EQ(total, pool.pages + pool.state_rows) << where << " rank " << rank << " group " << i;
      EXPECT_EQ(made->free_pages(i, replica) + pool.null_pages, total) << where << " rank " << rank << " group " << i;
      if (g.shared_blocks) bytes = total * g.block_bytes(rank);
      else bytes += total * (g.group(rank, i).kind == CacheKind::kState ? g.group(rank, i).state_row_bytes : g.group(rank, i).page_bytes);
    }
    EXPECT_EQ(bytes, plan.devices[rank].kv_cache_bytes) << where << " rank " << rank;
  }
}

// Invariant 34.
TEST(GeometryOfPlans, PagesAndBytesAreThePlansToTheByte) {
  std::size_t plans = 0;
  for (const char* engine : {"max", "vllm", "vllm@0.9.0", "sglang", "tensorrt-llm", "llama.cpp"})
    for (const Served& served : all_served()) {
      const Plan plan = plan_of(served, engine);
      if (plan.kv_geometry.n_ranks() == 0) continue; // it does not fit there
      ++plans;
      expect_equal_to_the_byte(plan, std::string(served.model) + " under " + engine);
    }
  EXPECT_GT(plans, 60U);
}

// The layers of a page stand side by side in it, and fill it.
TEST(GeometryOfPlans, PlacesOfLayersNeitherOverlapNorLeaveThePage) {
  for (const char* engine : {"max", "vllm"})
    for (const Served& served : all_served()) {
      const Plan plan = plan_of(served, engine);
      if (plan.kv_geometry.n_ranks() == 0) continue;
      const KvGeometry& g = plan.kv_geometry;
      const PagedKvManager kv = PagedKvManager::create(g, {.replicas = plan.request.dp}).value();
      for (std::uint32_t rank = 0; rank < g.n_ranks(); ++rank)
        for (std::size_t i = 0; i < g.n_groups(); ++i) {
          const KvGroupGeometry& group = g.group(rank, i);
          const std::uint64_t whole = group.kind == CacheKind::kState ? group.state_row_bytes : group.page_bytes;
          const std::uint64_t end = g.shared_blocks ? g.block_bytes(rank) : whole;
          KvPlace last;
          std::uint64_t sum = 0;
          for (std::uint64_t layer = 0; layer < group.n_layers; ++layer) {
            const KvPlace place = kv.place(rank, i, layer);
            ASSERT_LE(place.offset_bytes + place.bytes, end) << served.model << " " << engine << " " << group.label << " " << layer;
            ASSERT_TRUE(place.lane > last.lane || place.offset_bytes >= last.offset_bytes + last.bytes) << group.label << " " << layer;
            last = place;
            sum += place.bytes;
          }
          EXPECT_EQ(sum, whole) << served.model << " " << engine << " " << group.label;
        }
    }
}

// Serves a prompt as a scheduler does, in chunks of what fits: windows' pools are small. The tokens that it comes to.
std::uint64_t tokens_held(PagedKvManager& kv, RequestId id, std::uint64_t length, std::uint32_t replica) {
  TextContext context = testing::context_of(id, std::vector<Token>(length, 1), length + 1);
  if (!kv.claim(id, replica)) return 0;
  const TextContext* one = &context;
  while (true) {
    context.set_chunk_limit(8192);
    context.set_chunk_limit(kv.fitting_tokens(context).value());
    if (context.chunk_limit() == 0 || !kv.alloc(context)) return context.processed_length();
    const bool last = context.reaches_end();
    EXPECT_TRUE(last ? context.update(2) : context.advance_chunk());
    EXPECT_TRUE(kv.step({&one, 1}));
    if (last) return context.processed_length();
  }
}

// The longest request that the plan says fits alone.
TEST(GeometryOfPlans, HoldTheLongestRequestThatThePlanPromises) {
  for (const char* engine : {"max", "vllm", "sglang"})
    for (const Served& served : all_served()) {
      const Plan plan = plan_of(served, engine);
      if (plan.kv_geometry.n_ranks() == 0) continue;
      KvOptions options{.replicas = plan.request.dp};
      options.prefix_caching = false;
      PagedKvManager kv = PagedKvManager::create(plan.kv_geometry, options).value();
      std::uint64_t longest = std::min<std::uint64_t>(plan.limits.max_supported_sequence_length, 1'000'000);
      if (served.batch > 0) longest = std::min(longest, plan.kv_cache.capacity_tokens); // no more is planned than the batch demands
      ASSERT_GE(longest, 8192U) << served.model << " under " << engine;
      for (std::uint32_t replica = 0; replica < plan.request.dp; ++replica)
        EXPECT_EQ(tokens_held(kv, 1 + replica, longest, replica), longest)
            << served.model << " under " << engine << " in replica " << replica;
    }
}

// A whole batch of requests of the largest length: the plan's scheduler can admit so many.
TEST(GeometryOfPlans, HoldTheBatchThatThePlanPromises) {
  for (const Served& served : all_served()) {
    const Plan plan = plan_of(served, "max");
    if (plan.kv_geometry.n_ranks() == 0) continue;
    KvOptions options{.replicas = plan.request.dp};
    options.prefix_caching = false;
    PagedKvManager kv = PagedKvManager::create(plan.kv_geometry, options).value();
    const std::uint64_t together = plan.limits.max_batch_at_max_length / plan.request.dp;
    ASSERT_GT(together, 0U) << served.model;
    for (std::uint64_t i = 0; i < std::min<std::uint64_t>(together, 300); ++i)
      ASSERT_EQ(tokens_held(kv, i, plan.limits.max_length, 0), plan.limits.max_length)
          << served.model << ", request " << i << " of " << together;
  }
}

} // namespace
} // namespace plimsoll
