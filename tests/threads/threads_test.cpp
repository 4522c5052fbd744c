// Everything that promises to be used by many threads at once, used by eight: what a race breaks shows here, best under the
// thread sanitizer (preset `tsan`). Every answer is held against the one that a single thread got.
#include <functional>
#include <gtest/gtest.h>
#include <thread>

#include "checkpoint/checkpoint.hpp"
#include "engine/profile.hpp"
#include "plimsoll/estimate_json.hpp"
#include "plimsoll/host.h"
#include "plimsoll/host.hpp"
#include "plugin/registry.hpp"
#include "support/sparse_checkpoint.hpp"

namespace plimsoll {
namespace {

constexpr std::size_t kThreads = 8;
constexpr std::size_t kRounds = 4;

// Nothing of this machine's own. Set before any thread starts: the environment is nobody's to share.
const bool kNoModelCache = setenv("HF_HUB_CACHE", "/nonexistent", 1) == 0;

// body(number of the thread), all at once.
void on_eight_threads(const std::function<void(std::size_t)>& body) {
  std::vector<std::thread> threads;
  for (std::size_t number = 0; number < kThreads; ++number) threads.emplace_back(body, number);
  for (std::thread& thread : threads) thread.join();
}

std::string taken(char* text) {
  std::string out = text == nullptr ? "" : text;
  plimsoll_free(text);
  return out;
}

plimsoll_context* make_context() {
  plimsoll_context* context = nullptr;
  const char* options = R"({"catalogue_path": ")" PLIMSOLL_SOURCE_DIR R"(/core/catalogue", "plugin_paths": [")" PLIMSOLL_BUILD_DIR
                        R"(/lib/plimsoll/plugins"], "trust": "open"})";
  EXPECT_EQ(plimsoll_context_create(options, nullptr, nullptr, &context, nullptr), PLIMSOLL_HOST_OK);
  return context;
}

// Another engine, model and card each, so that profiles, lists of devices and libraries are first read by several at once.
const std::vector<std::string>& requests() {
  static const std::vector<std::string> kRequests{
      R"({"model": "Qwen/Qwen3-8B", "devices": "2xH100"})",
      R"({"model": "google/gemma-3-12b-it", "devices": "80GiB,40GiB", "engine": "vllm", "explain": true})",
      R"({"model": "deepseek-ai/DeepSeek-V3", "devices": "8xH200", "ep": 8, "engine": "sglang"})",
      R"({"model": "Qwen/Qwen3-Next-80B-A3B-Instruct", "devices": "4xH200", "engine": "tensorrt-llm"})",
      R"({"model": "openai/gpt-oss-20b", "devices": "24GiB", "engine": "llama.cpp", "frontier": true})",
      R"({"model": "Qwen/Qwen3-32B", "devices": "1x4GiB"})",
      R"({"model": "Qwen/Qwen3-32B", "devices": "4xH100", "set": ["engine.page_tokens=64"]})",
      R"({"model": "nobody/nothing", "devices": "4xH100"})",
  };
  return kRequests;
}

std::string plan_text(const plimsoll_context* context, const std::string& request) {
  char* text = nullptr;
  static_cast<void>(plimsoll_plan_json(context, request.c_str(), &text));
  return taken(text);
}

std::vector<std::string> plans_of_one_thread() {
  EXPECT_TRUE(kNoModelCache);
  plimsoll_context* context = make_context();
  std::vector<std::string> out;
  for (const std::string& request : requests()) out.push_back(plan_text(context, request));
  plimsoll_free(context);
  return out;
}

TEST(Threads, ShareAContext) {
  const std::vector<std::string> expected = plans_of_one_thread();
  plimsoll_context* context = make_context(); // a fresh one: nothing is read yet
  on_eight_threads([&](std::size_t number) {
    for (std::size_t i = 0; i < kRounds * requests().size(); ++i) {
      const std::size_t at = (i + number) % requests().size();
      EXPECT_EQ(plan_text(context, requests()[at]), expected[at]);
    }
  });
  plimsoll_free(context);
}

TEST(Threads, EachHaveAContext) {
  const std::string expected = plans_of_one_thread().front();
  on_eight_threads([&](std::size_t) {
    for (std::size_t i = 0; i < kRounds; ++i) {
      plimsoll_context* context = make_context();
      EXPECT_EQ(plan_text(context, requests().front()), expected);
      plimsoll_free(context);
    }
  });
}

TEST(Threads, ShareAPlanThatOutlivesItsContext) {
  plimsoll_context* context = make_context();
  plimsoll_plan* plan = nullptr;
  ASSERT_EQ(plimsoll_plan_create(context, requests().front().c_str(), &plan, nullptr), PLIMSOLL_HOST_OK);
  const std::string expected = plan_text(context, requests().front());
  plimsoll_free(context);
  on_eight_threads([&](std::size_t) {
    for (std::size_t i = 0; i < kRounds; ++i) {
      char* text = nullptr;
      EXPECT_EQ(plimsoll_plan_document(plan, 2, &text), PLIMSOLL_HOST_OK);
      EXPECT_EQ(taken(text), expected);
      std::int64_t bytes = 0;
      EXPECT_EQ(plimsoll_plan_rank_bytes(plan, 1, PLIMSOLL_HOST_WEIGHTS_BYTES, &bytes), PLIMSOLL_HOST_OK);
      EXPECT_GT(bytes, 0);
      std::uint64_t pages = 0;
      EXPECT_EQ(plimsoll_plan_limit(plan, PLIMSOLL_HOST_KV_PAGES, &pages), PLIMSOLL_HOST_OK);
      EXPECT_GT(pages, 0U);
    }
  });
  plimsoll_free(plan);
}

// More lists of devices than a context remembers: it forgets while others read.
TEST(Threads, OverflowWhatAContextRemembers) {
  plimsoll_context* context = make_context();
  on_eight_threads([&](std::size_t number) {
    for (std::size_t i = 0; i < 80; ++i) {
      const std::string request =
          R"({"model": "Qwen/Qwen3-0.6B", "devices": ")" + std::to_string(8 + i) + "." + std::to_string(number) + R"(GiB"})";
      EXPECT_NE(plan_text(context, request).find(R"("verdict": "fits")"), std::string::npos);
    }
  });
  plimsoll_free(context);
}

TEST(Threads, Estimate) {
  const std::string request = R"({"accounting": "per_device", "devices": [{"free_bytes": 85899345920}],
    "sizes": {"weights_bytes": 16060522240}, "max_length": 8192,
    "kv_cache": {"caches": [{"kind": "mha", "dtype": "bfloat16", "layers": 32, "kv_heads": 8, "head_dim": 128}]}})";
  const std::string expected = estimate_line(request), refused = estimate_line("{");
  EXPECT_NE(expected.find(R"("fits": true)"), std::string::npos) << expected;
  on_eight_threads([&](std::size_t) {
    for (std::size_t i = 0; i < 50; ++i) {
      EXPECT_EQ(estimate_line(request), expected);
      EXPECT_EQ(estimate_line("{"), refused);
    }
  });
}

class Counter final : public TensorVisitor {
public:
  Result<void> tensor(const TensorEntry&) override {
    ++seen;
    return {};
  }
  std::uint64_t seen = 0;
};

// A profile is settled once for equal facts, and forgets them all when there are too many.
TEST(Threads, SettleAProfile) {
  const auto profile = ProfileSource::load(PLIMSOLL_SOURCE_DIR "/core/catalogue", "vllm", {});
  ASSERT_TRUE(profile) << profile.error().message;
  on_eight_threads([&](std::size_t number) {
    for (std::uint32_t i = 0; i < 100; ++i) {
      ProfileFacts facts;
      facts.card_bytes = 80ULL << 30;
      facts.tp = 1 + i % 2;
      facts.dp = i < 50 ? 1 + i : 1 + static_cast<std::uint32_t>(number) * 100 + i; // first the same ones, then each its own
      const auto settled = profile->settle(facts);
      ASSERT_TRUE(settled) << settled.error().message;
      EXPECT_EQ((*settled)->batch.default_max_batch_size, 1024U);
    }
  });
}

TEST(Threads, OpenAPluginOnce) {
  for (std::size_t round = 0; round < kRounds; ++round) {
    const Registry registry({{PLIMSOLL_BUILD_DIR "/lib/plimsoll/plugins"}, Trust::kOpen}, {});
    std::vector<const plimsoll_family*> got(kThreads, nullptr);
    on_eight_threads([&](std::size_t number) { got[number] = registry.load(registry.for_family("dense")).value_or(nullptr); });
    ASSERT_NE(got.front(), nullptr);
    for (const plimsoll_family* family : got) EXPECT_EQ(family, got.front());
  }
}

TEST(Threads, ScanTheShardsOfOneCheckpoint) {
  const test::TemporaryDirectory folder;
  std::vector<std::vector<test::SparseTensor>> shards;
  for (std::size_t shard = 0; shard < 24; ++shard) {
    std::vector<test::SparseTensor>& tensors = shards.emplace_back();
    for (std::size_t i = 0; i < 50; ++i)
      tensors.push_back({"model.layers." + std::to_string(shard) + ".part" + std::to_string(i) + ".weight", "BF16", {64, 32}});
  }
  test::write_sharded(folder.path(), shards);
  test::write_text(folder / "config.json", "{}");
  const auto files = locate_model(folder.path());
  ASSERT_TRUE(files) << files.error().message;
  const auto checkpoint = open_checkpoint(*files, {});
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  // Eight threads scan at once, each with eight workers of its own.
  on_eight_threads([&](std::size_t) {
    std::vector<Counter> counters(kThreads);
    const auto totals = checkpoint->scan([&](unsigned worker) -> TensorVisitor& { return counters[worker]; }, kThreads);
    ASSERT_TRUE(totals) << totals.error().message;
    EXPECT_EQ(totals->tensor_count, 1200U);
    std::uint64_t seen = 0;
    for (const Counter& counter : counters) seen += counter.seen;
    EXPECT_EQ(seen, totals->tensor_count);
  });
}

} // namespace
} // namespace plimsoll
