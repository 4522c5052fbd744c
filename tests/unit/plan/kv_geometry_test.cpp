// The geometry of KV memory that a plan hands to whoever enacts it: figures of real models, and that they are the plan's own.
#include "plan/kv_geometry.hpp"

#include <gtest/gtest.h>

#include "base/dtype.hpp"
#include "unit/plan/planned.hpp"

namespace plimsoll {
namespace {

using testing::on;
using testing::planned;

const KvGroupGeometry& group_of(const Plan& plan, const std::string& label, std::uint32_t rank = 0) {
  static const KvGroupGeometry none;
  for (std::size_t i = 0; i < plan.kv_geometry.n_groups(); ++i)
    if (plan.kv_geometry.group(rank, i).label == label) return plan.kv_geometry.group(rank, i);
  ADD_FAILURE() << "no group " << label;
  return none;
}

const KvGroupPool& pool_of(const Plan& plan, const std::string& label, std::uint32_t rank = 0) {
  static const KvGroupPool none;
  for (std::size_t i = 0; i < plan.kv_geometry.n_groups(); ++i)
    if (plan.kv_geometry.group(rank, i).label == label) return plan.kv_geometry.pool(rank, i);
  ADD_FAILURE() << "no group " << label;
  return none;
}

std::uint64_t slot_bytes(const KvGroupGeometry& g) {
  const auto bytes = [](std::string_view type, std::uint64_t elements) {
    return elements == 0 ? 0 : find_dtype(type)->bytes(elements).value();
  };
  return bytes(g.k_dtype, g.kv_heads * g.k_elements) + bytes(g.v_dtype, g.kv_heads * g.v_elements);
}

// Of any plan that fits: bytes are the plan's, pages fill them, layers are dealt without gap or overlap.
void expect_whole(const Plan& plan, const std::string& title) {
  const KvGeometry& g = plan.kv_geometry;
  ASSERT_FALSE(plan.error) << title << ": " << plan.error->message;
  ASSERT_EQ(g.n_ranks(), plan.devices.size()) << title;
  ASSERT_EQ(g.n_groups(), plan.kv_cache.groups.size()) << title;
  for (std::uint32_t rank = 0; rank < g.n_ranks(); ++rank) {
    ASSERT_EQ(g.bytes(rank), plan.devices[rank].kv_cache_bytes) << title << " rank " << rank;
    for (std::size_t i = 0; i < g.n_groups(); ++i) {
      const KvGroupGeometry& group = g.group(rank, i);
      const KvGroupPool& pool = g.pool(rank, i);
      const std::string where = title + " rank " + std::to_string(rank) + " " + group.label;
      EXPECT_EQ(group.label, plan.kv_cache.groups[i].label) << where;
      if (g.shared_blocks) {
        EXPECT_EQ(pool.bytes, i == 0 ? pool.pages * g.block_bytes(rank) : 0) << where;
      } else if (group.kind == CacheKind::kState) {
        EXPECT_EQ(pool.bytes, pool.state_rows * group.state_row_bytes) << where;
      } else {
        EXPECT_EQ(pool.bytes, pool.pages * group.page_bytes) << where;
        EXPECT_EQ(group.page_bytes, group.page_tokens * group.n_layers * slot_bytes(group)) << where;
      }
      EXPECT_GE(pool.pages, pool.null_pages) << where;
      EXPECT_LE(group.page_bytes, plan.kv_cache.groups[i].page_bytes_per_device) << where; // the largest stage's
    }
  }
  for (std::size_t i = 0; i < g.n_groups(); ++i) {
    std::uint64_t next = 0;
    for (const KvStageGeometry& stage : g.stages) {
      const KvGroupGeometry& group = stage.groups.at(i);
      if (group.n_layers > 0) {
        EXPECT_EQ(group.first_layer, next) << title << " " << group.label;
      }
      next += group.n_layers;
    }
    ASSERT_TRUE(g.stages.front().groups[i].layers) << title;
    EXPECT_EQ(next, g.stages.front().groups[i].layers->size()) << title;
    EXPECT_EQ(next, plan.kv_cache.groups[i].layers) << title;
  }
}

TEST(Geometry, OfLlama) {
  const Plan plan = planned("meta-llama/Llama-3.1-8B", on("2xH100"));
  expect_whole(plan, "Llama");
  const KvGroupGeometry& g = group_of(plan, "attention");
  EXPECT_EQ(g.kind, CacheKind::kFull);
  EXPECT_EQ(g.kv_heads, 4U); // of 8, on two ranks
  EXPECT_EQ(g.k_elements, 128U);
  EXPECT_EQ(g.v_elements, 128U);
  EXPECT_EQ(g.k_dtype, "bfloat16");
  EXPECT_EQ(g.v_dtype, "bfloat16");
  EXPECT_EQ(g.page_tokens, 128U);
  EXPECT_EQ(g.page_bytes, 8'388'608U);
  EXPECT_EQ(g.n_layers, 32U);
  EXPECT_FALSE(g.draft);
  EXPECT_EQ(pool_of(plan, "attention").pages, plan.kv_cache.pages);
  EXPECT_EQ(pool_of(plan, "attention").null_pages, 1U);
}

TEST(Geometry, KeysAndValuesMayDiffer) {
  PlanRequest request = on("1xH100");
  request.kv_dtype = "q8_0/q4_0";
  request.engine = "reference";
  const Plan plan = planned("meta-llama/Llama-3.1-8B", request);
  expect_whole(plan, "q8_0/q4_0");
  EXPECT_EQ(group_of(plan, "attention").k_dtype, "q8_0");
  EXPECT_EQ(group_of(plan, "attention").v_dtype, "q4_0");
}

// DeepSeek-V3: one latent of 512 elements beside 64 rotary ones, whole on every rank.
TEST(Geometry, OfALatent) {
  PlanRequest request = on("8xH200");
  request.ep = 8;
  const Plan plan = planned("deepseek-ai/DeepSeek-V3", request);
  expect_whole(plan, "DeepSeek-V3");
  const KvGroupGeometry& g = group_of(plan, "latent");
  EXPECT_EQ(g.kind, CacheKind::kLatent);
  EXPECT_EQ(g.kv_heads, 1U);
  EXPECT_EQ(g.k_elements, 576U);
  EXPECT_EQ(g.v_elements, 0U);
  EXPECT_EQ(g.latent_elements, 512U);
  EXPECT_EQ(g.rope_elements, 64U);
  EXPECT_EQ(g.page_bytes, 8'994'816U); // 128 x 576 x 2 x 61
}

// The drafting head of DeepSeek-V3 is a layer more; a draft model brings groups of its own.
// Engines that do not know latents keep keys and values of every head: 16 of 192 and 128.
TEST(Geometry, OfALatentThatIsExpanded) {
  PlanRequest request = on("1xH100");
  request.engine = "llama.cpp";
  request.engine_overrides["mla_cache"] = "heads";
  request.max_length = 4096;
  const Plan plan = planned("deepseek-ai/DeepSeek-V2-Lite", request);
  const KvGroupGeometry& group = group_of(plan, "latent");
  EXPECT_EQ(group.kind, CacheKind::kFull);
  EXPECT_EQ(group.kv_heads, 16U);
  EXPECT_EQ(group.k_elements, 192U);
  EXPECT_EQ(group.v_elements, 128U);
  EXPECT_EQ(group.latent_elements + group.rope_elements, 0U);
  EXPECT_EQ(plan.kv_cache.groups.at(0).kind, CacheKind::kFull);
}

TEST(Geometry, OfDrafts) {
  PlanRequest request = on("8xH200");
  request.ep = 8;
  request.num_draft_tokens = 1;
  Plan plan = planned("deepseek-ai/DeepSeek-V3", request);
  expect_whole(plan, "with its own head");
  EXPECT_TRUE(group_of(plan, "draft.latent").draft);
  EXPECT_FALSE(group_of(plan, "latent").draft);
  EXPECT_EQ(group_of(plan, "draft.latent").page_bytes, 147'456U);
  request = on("2xH100");
  request.draft = testing::loaded("meta-llama/Llama-3.2-1B");
  request.num_draft_tokens = 2;
  plan = planned("meta-llama/Llama-3.1-8B", request);
  expect_whole(plan, "with a draft model");
  ASSERT_EQ(plan.kv_geometry.n_groups(), 2U);
  EXPECT_EQ(plan.kv_geometry.group(0, 1).page_bytes, 128U * 16 * 4 * 64 * 2 * 2); // 16 layers of 8 heads of 64
}

// Gemma 3: 52 layers of 62 have a window of 1,024 tokens.
TEST(Geometry, OfWindows) {
  const Plan plan = planned("google/gemma-3-27b-it", on("1xH100"));
  expect_whole(plan, "Gemma 3");
  const KvGroupGeometry &window = group_of(plan, "attention.window"), &full = group_of(plan, "attention");
  EXPECT_EQ(window.kind, CacheKind::kWindow);
  EXPECT_EQ(window.window_tokens, 1024U);
  EXPECT_EQ(full.window_tokens, 0U);
  EXPECT_EQ(window.page_bytes, 54'525'952U);
  EXPECT_EQ(full.page_bytes, 10'485'760U);
  EXPECT_EQ(window.layers->size(), 52U);
  EXPECT_EQ(full.layers->front(), 5U); // every sixth
  // A window holds 9 pages of each sequence, and the null page.
  EXPECT_LE(pool_of(plan, "attention.window").pages, 9 * plan.limits.max_batch_size + 1);
}

TEST(Geometry, OfGptOss) {
  const Plan plan = planned("openai/gpt-oss-20b", on("1xH100"));
  expect_whole(plan, "gpt-oss");
  for (const char* label : {"attention", "attention.window"}) {
    EXPECT_EQ(group_of(plan, label).kv_heads, 8U);
    EXPECT_EQ(group_of(plan, label).k_elements, 64U);
    EXPECT_EQ(group_of(plan, label).page_bytes, 3'145'728U);
  }
  EXPECT_EQ(group_of(plan, "attention.window").window_tokens, 128U);
}

// Qwen3-Next on two ranks: states of 548,864 B on 36 layers. MAX keeps their rows apart, two for each sequence; vLLM draws all from
// blocks of 6,684,672 B.
TEST(Geometry, OfStates) {
  PlanRequest request = on("2xH200");
  Plan plan = planned("Qwen/Qwen3-Next-80B-A3B-Instruct", request);
  expect_whole(plan, "max");
  const KvGroupGeometry& state = group_of(plan, "state");
  EXPECT_EQ(state.kind, CacheKind::kState);
  EXPECT_EQ(state.state_row_bytes, 36U * 548'864);
  EXPECT_EQ(state.rows_per_sequence, 2U);
  ASSERT_EQ(state.regions.size(), 2U); // half of 8,192 channels of three tokens, half of 32 heads of 128 x 128
  EXPECT_EQ(state.regions[0].elements, 3U * 4'096);
  EXPECT_EQ(state.regions[1].elements, 16U * 128 * 128);
  EXPECT_EQ(state.regions[0].dtype, "bfloat16");
  EXPECT_EQ(state.regions[1].dtype, "bfloat16");
  EXPECT_EQ(state.page_bytes, 0U);
  EXPECT_EQ(state.page_tokens, 0U);
  EXPECT_TRUE(state.k_dtype.empty());
  EXPECT_EQ(pool_of(plan, "state").state_rows, 2 * plan.limits.max_batch_size);
  EXPECT_FALSE(plan.kv_geometry.shared_blocks);
  request.engine = "vllm@0.11.0";
  plan = planned("Qwen/Qwen3-Next-80B-A3B-Instruct", request);
  expect_whole(plan, "vllm");
  EXPECT_TRUE(plan.kv_geometry.shared_blocks);
  EXPECT_EQ(plan.kv_geometry.block_bytes(0), 6'684'672U);
  EXPECT_EQ(group_of(plan, "attention").page_tokens, 544U);
  EXPECT_EQ(group_of(plan, "state").rows_per_sequence, 1U);
}

// Llama-3.2-Vision: 8 layers look at an image of 4 tiles x 1,601 rows.
TEST(Geometry, OfCrossAttention) {
  const Plan plan = planned("meta-llama/Llama-3.2-11B-Vision-Instruct", on("1xH100"));
  expect_whole(plan, "Llama-3.2-Vision");
  const KvGroupGeometry& cross = group_of(plan, "attention.cross");
  EXPECT_EQ(cross.kind, CacheKind::kCross);
  EXPECT_EQ(cross.fixed_tokens, 4U * 1601);
  EXPECT_EQ(cross.page_bytes, 4'194'304U);
  EXPECT_EQ(pool_of(plan, "attention.cross").pages, 51 * plan.limits.max_batch_size + 1);
}

// 32 layers in three stages: the middle ones get more. Pages are the poorest stage's, their bytes each stage's own.
TEST(Geometry, OfUnevenStages) {
  PlanRequest request = on("4xH100");
  request.tp = 2;
  request.pp = 2;
  request.stage_layers = {20, 12};
  Plan plan = planned("meta-llama/Llama-3.1-8B", request);
  expect_whole(plan, "20 + 12");
  ASSERT_EQ(plan.kv_geometry.stages.size(), 2U);
  EXPECT_EQ(plan.kv_geometry.stage_of_rank, (std::vector<std::uint32_t>{0, 0, 1, 1}));
  EXPECT_EQ(group_of(plan, "attention", 0).page_bytes, 20U * 262'144);
  EXPECT_EQ(group_of(plan, "attention", 2).page_bytes, 12U * 262'144);
  EXPECT_EQ(group_of(plan, "attention", 2).first_layer, 20U);
  EXPECT_EQ(pool_of(plan, "attention", 0).pages, pool_of(plan, "attention", 2).pages);
  request.draft = testing::loaded("meta-llama/Llama-3.2-1B"); // on the last stage alone
  request.num_draft_tokens = 2;
  plan = planned("meta-llama/Llama-3.1-8B", request);
  expect_whole(plan, "with a draft model");
  EXPECT_EQ(plan.kv_geometry.group(0, 1).n_layers, 0U);
  EXPECT_EQ(plan.kv_geometry.group(2, 1).n_layers, 16U);
}

// gemma-3-270m in six stages of three layers, every second of windows alone: those have as many pages as they need, and the plan shows
// what the others have.
TEST(Geometry, PagesShownAreOfStagesThatGrow) {
  PlanRequest request = on("6xA10G");
  request.pp = 6;
  request.engine = "reference";
  const Plan plan = planned("google/gemma-3-270m", request);
  EXPECT_EQ((plan.kv_cache.pages - 1) * plan.kv_cache.page_tokens, plan.kv_cache.capacity_tokens); // one is the null page
  EXPECT_LT(pool_of(plan, "attention.window", 0).pages, plan.kv_cache.pages);
  EXPECT_EQ(pool_of(plan, "attention", 1).pages, plan.kv_cache.pages);
}

TEST(Geometry, IsWholeUnderEveryEngine) {
  for (const char* engine : {"max", "vllm", "vllm@0.9.0", "sglang", "tensorrt-llm", "llama.cpp"})
    for (const char* model : {"meta-llama/Llama-3.1-8B", "google/gemma-3-27b-it", "Qwen/Qwen3-Next-80B-A3B-Instruct", "openai/gpt-oss-20b",
                              "state-spaces/mamba-2.8b-hf", "Qwen/Qwen2.5-VL-7B-Instruct"})
      for (const std::uint32_t dp : {1U, 2U}) {
        PlanRequest request = on("4xH200");
        request.engine = engine;
        request.max_length = 8192;
        request.dp = dp;
        const Plan plan = planned(model, request);
        expect_whole(plan, std::string(model) + " under " + engine);
      }
}

TEST(Geometry, IsEmptyWhereAPlanDoesNotFitOrIsPooled) {
  EXPECT_EQ(planned("meta-llama/Llama-3.1-8B", on("12GiB")).kv_geometry.n_ranks(), 0U);
  PlanRequest request = on("1xH100");
  request.accounting = Accounting::kPooled;
  EXPECT_EQ(planned("meta-llama/Llama-3.1-8B", request).kv_geometry.n_ranks(), 0U);
}

} // namespace
} // namespace plimsoll
