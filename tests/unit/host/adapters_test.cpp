// Plans with room for the adapters of PEFT directories: as many slots as there are, of the largest rank.
#include <filesystem>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plimsoll/host.hpp"
#include "support/built_context.hpp"
#include "support/sparse_checkpoint.hpp"

namespace plimsoll {
namespace {

class AdapterDirectories : public ::testing::Test {
protected:
  std::string adapter(const std::string& name, const std::string& config) {
    const std::filesystem::path directory = folder_ / name;
    std::filesystem::create_directories(directory);
    test::write_text(directory / "adapter_config.json", config);
    return directory.string();
  }
  Result<Plan> plan(const std::vector<std::string>& loras, std::optional<std::uint64_t> slots = {},
                    std::optional<std::uint64_t> rank = {}) {
    PlanRequest request;
    request.engine = "vllm";
    request.devices = "1xH100";
    request.loras = loras;
    request.max_loras = slots;
    request.max_lora_rank = rank;
    return test::built_context().plan(test::built_context().load("meta-llama/Llama-3.1-8B").value(), request);
  }
  test::TemporaryDirectory folder_;
};

std::uint64_t lora_bytes(const Result<Plan>& plan) {
  for (const Item& item : plan.value().items)
    if (item.label == "lora") return item.bytes.front();
  return 0;
}

constexpr const char* kRank8 = R"({"peft_type": "LORA", "r": 8, "lora_alpha": 16, "target_modules": ["q_proj", "v_proj"]})";
constexpr const char* kRank64 =
    R"({"peft_type": "LORA", "r": 8, "rank_pattern": {"o_proj": 64}, "lora_alpha": 16, "target_modules": ["o_proj"]})";

TEST_F(AdapterDirectories, MakeRoomForThemselves) {
  const std::string small = adapter("small", kRank8), large = adapter("large", kRank64);
  const Result<Plan> one = plan({small}), both = plan({"a=" + small, large});
  ASSERT_TRUE(one && both);
  EXPECT_EQ(one->request.max_loras, 1U);
  EXPECT_EQ(one->request.max_lora_rank, 8U);
  EXPECT_EQ(both->request.max_loras, 2U);
  EXPECT_EQ(both->request.max_lora_rank, 64U);
  EXPECT_EQ(lora_bytes(both), 16 * lora_bytes(one));
  const Result<Plan> more = plan({small}, 4, 16);
  ASSERT_TRUE(more);
  EXPECT_EQ(lora_bytes(more), 8 * lora_bytes(one));
}

TEST_F(AdapterDirectories, AreRefusedWhereTheyDoNotFitOrAreNone) {
  const std::string large = adapter("large", kRank64);
  EXPECT_EQ(plan({large}, {}, 16).error().where, "--max-lora-rank");
  EXPECT_EQ(plan({large, large}, 1).error().where, "--max-loras");
  EXPECT_EQ(plan({folder_ / "none"}).error().code, ErrorCode::kBadConfig);
  EXPECT_EQ(plan({adapter("broken", "{\"r\": -1}")}).error().code, ErrorCode::kBadConfig);
}

} // namespace
} // namespace plimsoll
