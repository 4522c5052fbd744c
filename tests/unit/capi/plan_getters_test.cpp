// The figures of a plan through the C API: those of the same plan in C++, and a refusal for whatever does not exist.
#include <gmock/gmock.h>

#include <array>
#include <string>
#include <vector>

#include "plimsoll/host.h"
#include "support/built_context.hpp"

namespace plimsoll::testing {
namespace {

using ::testing::ElementsAre;

// One plan, made by both interfaces.
struct Twins {
  plimsoll_context* context = nullptr;
  plimsoll_plan* c = nullptr;
  Plan cpp;

  Twins(const std::string& model, const std::string& engine) {
    setenv("HF_HUB_CACHE", "/nonexistent", 1);
    const char* options = "{\"catalogue_path\": \"" PLIMSOLL_SOURCE_DIR "/core/catalogue\", \"trust\": \"open\", \"plugin_paths\": "
                          "[\"" PLIMSOLL_BUILD_DIR "/lib/plimsoll/plugins\"]}";
    EXPECT_EQ(plimsoll_context_create(options, nullptr, nullptr, &context, nullptr), PLIMSOLL_HOST_OK);
    const std::string wanted = "{\"model\": \"" + model + "\", \"engine\": \"" + engine +
                               "\", \"devices\": \"4xH200\", \"tp\": 2, \"pp\": 2, \"max_length\": 8192, \"max_batch_size\": 4}";
    EXPECT_EQ(plimsoll_plan_create(context, wanted.c_str(), &c, nullptr), PLIMSOLL_HOST_OK);
    PlanRequest request;
    request.engine = engine;
    request.devices = "4xH200";
    request.tp = 2;
    request.pp = 2;
    request.max_length = 8192;
    request.max_batch_size = 4;
    const auto loaded = test::built_context().load(model);
    auto plan = loaded ? test::built_context().plan(*loaded, request) : tl::unexpected(loaded.error());
    EXPECT_TRUE(plan) << plan.error().message;
    if (plan) cpp = std::move(*plan);
  }
  Twins(const Twins&) = delete;
  Twins& operator=(const Twins&) = delete;
  ~Twins() {
    plimsoll_free(c);
    plimsoll_free(context);
  }
  std::uint64_t limit(int which) const {
    std::uint64_t value = 0;
    EXPECT_EQ(plimsoll_plan_limit(c, which, &value), PLIMSOLL_HOST_OK) << which;
    return value;
  }
  std::uint64_t figure(std::uint32_t rank, std::uint32_t group, int which) const {
    std::uint64_t value = 0;
    EXPECT_EQ(plimsoll_plan_kv_rank_group(c, rank, group, which, &value), PLIMSOLL_HOST_OK) << which;
    return value;
  }
  std::string text(std::uint32_t rank, std::uint32_t group, int which) const {
    char* out = nullptr;
    EXPECT_EQ(plimsoll_plan_kv_rank_group_text(c, rank, group, which, &out), PLIMSOLL_HOST_OK) << which;
    std::string copy(out == nullptr ? "" : out);
    plimsoll_free(out);
    return copy;
  }
};

struct Row {
  int number;
  std::uint64_t expected;
};

void expect_group(const Twins& twins, std::uint32_t rank, std::uint32_t group) {
  const KvGeometry& geometry = twins.cpp.kv_geometry;
  const KvGroupGeometry& g = geometry.group(rank, group);
  const KvGroupPool& pool = geometry.pool(rank, group);
  for (const Row& row : {Row{PLIMSOLL_HOST_RANK_DRAFT, g.draft},
                         {PLIMSOLL_HOST_RANK_LAYERS, g.n_layers},
                         {PLIMSOLL_HOST_RANK_PAGE_TOKENS, g.page_tokens},
                         {PLIMSOLL_HOST_RANK_PAGE_BYTES, g.page_bytes},
                         {PLIMSOLL_HOST_RANK_PAGES, pool.pages},
                         {PLIMSOLL_HOST_RANK_NULL_PAGES, pool.null_pages},
                         {PLIMSOLL_HOST_RANK_STATE_ROWS, pool.state_rows},
                         {PLIMSOLL_HOST_RANK_STATE_ROW_BYTES, g.state_row_bytes},
                         {PLIMSOLL_HOST_RANK_ROWS_PER_SEQUENCE, g.rows_per_sequence},
                         {PLIMSOLL_HOST_RANK_KV_HEADS, g.kv_heads},
                         {PLIMSOLL_HOST_RANK_K_ELEMENTS, g.k_elements},
                         {PLIMSOLL_HOST_RANK_V_ELEMENTS, g.v_elements},
                         {PLIMSOLL_HOST_RANK_LATENT_ELEMENTS, g.latent_elements},
                         {PLIMSOLL_HOST_RANK_ROPE_ELEMENTS, g.rope_elements},
                         {PLIMSOLL_HOST_RANK_WINDOW_TOKENS, g.window_tokens},
                         {PLIMSOLL_HOST_RANK_FIXED_TOKENS, g.fixed_tokens},
                         {PLIMSOLL_HOST_RANK_BYTES, pool.bytes},
                         {PLIMSOLL_HOST_RANK_BLOCK_BYTES, geometry.block_bytes(rank)}})
    EXPECT_EQ(twins.figure(rank, group, row.number), row.expected) << g.label << " " << row.number;
  EXPECT_EQ(twins.text(rank, group, PLIMSOLL_HOST_RANK_LABEL), g.label);
  EXPECT_EQ(twins.text(rank, group, PLIMSOLL_HOST_RANK_KIND_NAME), cache_kind_name(g.kind));
  EXPECT_EQ(twins.text(rank, group, PLIMSOLL_HOST_RANK_K_DTYPE), g.k_dtype);
  EXPECT_EQ(twins.text(rank, group, PLIMSOLL_HOST_RANK_V_DTYPE), g.v_dtype);
  std::vector<std::uint32_t> layers(1024);
  std::size_t count = 0;
  ASSERT_EQ(plimsoll_plan_kv_rank_group_layers(twins.c, rank, group, layers.data(), layers.size(), &count), PLIMSOLL_HOST_OK);
  ASSERT_EQ(count, g.n_layers);
  for (std::size_t i = 0; i < count; ++i) EXPECT_EQ(layers[i], (*g.layers)[g.first_layer + i]);
}

TEST(PlanGetters, SayTheGeometryOfEveryRank) {
  std::vector<std::uint64_t> kinds;
  for (const auto& [model, engine] : {std::pair("Qwen/Qwen3-Next-80B-A3B-Instruct", "sglang"),
                                      {"google/gemma-3-12b-it", "vllm"},
                                      {"deepseek-ai/DeepSeek-V2-Lite", "max"}}) {
    const Twins twins(model, engine);
    ASSERT_GT(twins.cpp.kv_geometry.n_groups(), 0U) << model;
    ASSERT_EQ(twins.limit(PLIMSOLL_HOST_KV_RANK_GROUPS), twins.cpp.kv_geometry.n_groups());
    EXPECT_EQ(twins.limit(PLIMSOLL_HOST_KV_SHARED_BLOCKS), twins.cpp.kv_geometry.shared_blocks ? 1U : 0U);
    for (std::uint32_t rank = 0; rank < 4; ++rank)
      for (std::uint32_t group = 0; group < twins.cpp.kv_geometry.n_groups(); ++group) {
        expect_group(twins, rank, group);
        if (rank == 0) kinds.push_back(twins.figure(rank, group, PLIMSOLL_HOST_RANK_KIND));
      }
  }
  EXPECT_THAT(kinds, ElementsAre(PLIMSOLL_HOST_CACHE_FULL, PLIMSOLL_HOST_CACHE_STATE, PLIMSOLL_HOST_CACHE_WINDOW, PLIMSOLL_HOST_CACHE_FULL,
                                 PLIMSOLL_HOST_CACHE_LATENT));
}

TEST(PlanGetters, SayTheFiguresOfTheWholePlan) {
  const Twins twins("Qwen/Qwen3-Next-80B-A3B-Instruct", "sglang");
  const KvPlan& kv = twins.cpp.kv_cache;
  ASSERT_TRUE(kv.state_slots);
  ASSERT_GT(*kv.state_slots, 0U);
  EXPECT_EQ(twins.limit(PLIMSOLL_HOST_STATE_SLOTS), *kv.state_slots);
  EXPECT_EQ(twins.limit(PLIMSOLL_HOST_KV_ENGINE_REPORTED_TOKENS), kv.engine_reported_tokens);
  EXPECT_EQ(twins.limit(PLIMSOLL_HOST_KV_TOKEN_BYTES), kv.bytes_per_token_per_device);
  double value = 0;
  ASSERT_EQ(plimsoll_plan_fraction(twins.c, PLIMSOLL_HOST_KV_CAPACITY_REQUESTS, &value), PLIMSOLL_HOST_OK);
  EXPECT_EQ(value, kv.capacity_requests);
  ASSERT_EQ(plimsoll_plan_fraction(twins.c, PLIMSOLL_HOST_DEVICE_MEMORY_UTILIZATION, &value), PLIMSOLL_HOST_OK);
  EXPECT_EQ(value, twins.cpp.request.device_memory_utilization);
  for (const auto& [which, expected] :
       {std::pair<int, std::string>(PLIMSOLL_HOST_BINDING, twins.cpp.limits.binding), {PLIMSOLL_HOST_KV_DTYPE, kv.dtype}}) {
    char* text = nullptr;
    ASSERT_EQ(plimsoll_plan_text(twins.c, which, &text), PLIMSOLL_HOST_OK);
    EXPECT_EQ(text, expected);
    EXPECT_FALSE(expected.empty());
    plimsoll_free(text);
  }
}

TEST(PlanGetters, RefuseWhatDoesNotExist) {
  const Twins twins("meta-llama/Llama-3.1-8B", "max");
  std::uint64_t value = 7;
  double fraction = 7;
  std::size_t count = 7;
  std::uint32_t layer = 7;
  char* text = nullptr;
  for (const int wrong : {-1, 1000}) {
    EXPECT_EQ(plimsoll_plan_limit(twins.c, wrong, &value), PLIMSOLL_HOST_BAD_REQUEST);
    EXPECT_EQ(plimsoll_plan_fraction(twins.c, wrong, &fraction), PLIMSOLL_HOST_BAD_REQUEST);
    EXPECT_EQ(plimsoll_plan_kv_group(twins.c, 0, wrong, &value), PLIMSOLL_HOST_BAD_REQUEST);
    EXPECT_EQ(plimsoll_plan_kv_rank_group(twins.c, 0, 0, wrong, &value), PLIMSOLL_HOST_BAD_REQUEST);
    text = reinterpret_cast<char*>(&value); // NOLINT: must be overwritten
    EXPECT_EQ(plimsoll_plan_text(twins.c, wrong, &text), PLIMSOLL_HOST_BAD_REQUEST);
    EXPECT_EQ(text, nullptr);
    EXPECT_EQ(plimsoll_plan_kv_rank_group_text(twins.c, 0, 0, wrong, &text), PLIMSOLL_HOST_BAD_REQUEST);
  }
  for (const auto& [rank, group] : {std::pair(4U, 0U), {0U, 1U}, {UINT32_MAX, 0U}, {0U, UINT32_MAX}}) {
    EXPECT_EQ(plimsoll_plan_kv_rank_group(twins.c, rank, group, PLIMSOLL_HOST_RANK_BYTES, &value), PLIMSOLL_HOST_BAD_REQUEST);
    EXPECT_EQ(plimsoll_plan_kv_rank_group_text(twins.c, rank, group, PLIMSOLL_HOST_RANK_LABEL, &text), PLIMSOLL_HOST_BAD_REQUEST);
    EXPECT_EQ(plimsoll_plan_kv_rank_group_layers(twins.c, rank, group, &layer, 1, &count), PLIMSOLL_HOST_BAD_REQUEST);
  }
  EXPECT_EQ(plimsoll_plan_limit(nullptr, 0, &value), PLIMSOLL_HOST_BAD_REQUEST);
  EXPECT_EQ(plimsoll_plan_limit(twins.c, 0, nullptr), PLIMSOLL_HOST_BAD_REQUEST);
  EXPECT_EQ(plimsoll_plan_fraction(nullptr, 0, &fraction), PLIMSOLL_HOST_BAD_REQUEST);
  EXPECT_EQ(plimsoll_plan_fraction(twins.c, 0, nullptr), PLIMSOLL_HOST_BAD_REQUEST);
  EXPECT_EQ(plimsoll_plan_text(nullptr, 0, &text), PLIMSOLL_HOST_BAD_REQUEST);
  EXPECT_EQ(plimsoll_plan_text(twins.c, 0, nullptr), PLIMSOLL_HOST_BAD_REQUEST);
  EXPECT_EQ(plimsoll_plan_kv_rank_group(nullptr, 0, 0, 0, &value), PLIMSOLL_HOST_BAD_REQUEST);
  EXPECT_EQ(plimsoll_plan_kv_rank_group(twins.c, 0, 0, 0, nullptr), PLIMSOLL_HOST_BAD_REQUEST);
  EXPECT_EQ(plimsoll_plan_kv_rank_group_text(nullptr, 0, 0, 0, &text), PLIMSOLL_HOST_BAD_REQUEST);
  EXPECT_EQ(plimsoll_plan_kv_rank_group_text(twins.c, 0, 0, 0, nullptr), PLIMSOLL_HOST_BAD_REQUEST);
  EXPECT_EQ(plimsoll_plan_kv_rank_group_layers(nullptr, 0, 0, &layer, 1, &count), PLIMSOLL_HOST_BAD_REQUEST);
  EXPECT_EQ(plimsoll_plan_kv_rank_group_layers(twins.c, 0, 0, &layer, 1, nullptr), PLIMSOLL_HOST_BAD_REQUEST);
  EXPECT_EQ(plimsoll_plan_kv_rank_group_layers(twins.c, 0, 0, nullptr, 1, &count), PLIMSOLL_HOST_BAD_REQUEST);
  EXPECT_EQ(value, 7U);
  EXPECT_EQ(fraction, 7);
  EXPECT_EQ(layer, 7U);
  EXPECT_EQ(count, 7U);
}

TEST(PlanGetters, CopyNoMoreLayersThanThereIsRoomFor) {
  const Twins twins("meta-llama/Llama-3.1-8B", "max"); // 32 layers on two stages
  std::array<std::uint32_t, 3> layers{99, 99, 99};
  std::size_t count = 0;
  ASSERT_EQ(plimsoll_plan_kv_rank_group_layers(twins.c, 3, 0, nullptr, 0, &count), PLIMSOLL_HOST_OK);
  EXPECT_EQ(count, 16U);
  ASSERT_EQ(plimsoll_plan_kv_rank_group_layers(twins.c, 3, 0, layers.data(), 2, &count), PLIMSOLL_HOST_OK);
  EXPECT_EQ(count, 16U);
  EXPECT_THAT(layers, ElementsAre(16, 17, 99));
}

} // namespace
} // namespace plimsoll::testing
