// Weights that are packed in blocks, of every type that is unpacked: what a second engine says to the same file, and float32 that is
// planned and taken to the byte. The witness packs activations too, so its numbers are near and not equal.
#include <filesystem>
#include <fstream>
#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "generation/tiny_models.hpp"
#include "support/sparse_checkpoint.hpp"
#include "support/tiny_blocks.hpp"

namespace plimsoll::testing {
namespace {

class Blocks : public ::testing::TestWithParam<std::string> {
protected:
  static nlohmann::json golden() {
    const auto all = nlohmann::json::parse(std::ifstream(PLIMSOLL_TEST_DATA "/tiny/blocks.json"));
    for (const auto& c : all.at("cases"))
      if (c.at("model") == "blocks_" + GetParam()) return c;
    throw std::runtime_error("no golden of " + GetParam());
  }
  test::TemporaryDirectory folder_;
};

TEST_P(Blocks, SayWhatAnotherEngineReadsInThem) {
  const auto golden = Blocks::golden();
  const std::string path = folder_ / "model.gguf";
  test::write_block_gguf(GetParam(), path);
  auto pipeline = pipeline_of(path, request_of(golden.at("max_length")));
  ASSERT_TRUE(pipeline) << pipeline.error().message;
  TextGenerationRequest request;
  request.prompt_tokens = golden.at("prompt").get<std::vector<Token>>();
  request.max_new_tokens = 1;
  request.log_probabilities = 40;
  const auto output = pipeline->generate(request);
  ASSERT_TRUE(output) << output.error().message;
  ASSERT_FALSE(output->error) << output->error->message;
  const auto& found = output->log_probabilities->top.at(0);
  const auto& top = golden.at("top").at(0);
  for (std::size_t i = 0; i < top.at("tokens").size(); ++i) {
    const auto at = std::find_if(found.begin(), found.end(), [&](const auto& entry) { return entry.first == top["tokens"][i]; });
    ASSERT_NE(at, found.end()) << "token " << top["tokens"][i];
    EXPECT_NEAR(at->second, top["logprobs"][i].get<double>(), golden.at("tolerance").get<double>()) << "token " << top["tokens"][i];
  }
  for (const Usage& usage : pipeline->usage()) EXPECT_EQ(usage.peak_bytes, usage.planned_bytes) << category_name(usage.category);
  // 2 layers of 655,360 elements in matrices, two matrices of 320 x 256, five norms of 256; all of it float32.
  constexpr std::uint64_t kElements = 2 * 589'824 + 2 * 81'920 + 5 * 256;
  EXPECT_EQ(pipeline->plan().devices[0].weights_bytes, kElements * 4);
}

INSTANTIATE_TEST_SUITE_P(Types, Blocks, ::testing::ValuesIn(test::block_type_names()), [](const auto& info) { return info.param; });

// Another engine keeps the blocks, and the input embedding in host memory.
TEST(Blocks, CountAsTheyAreStoredElsewhere) {
  const test::TemporaryDirectory folder;
  test::write_block_gguf("q4_0", folder / "model.gguf");
  const auto model = context().load(folder / "model.gguf");
  ASSERT_TRUE(model) << model.error().message;
  PlanRequest request;
  request.engine = "llama.cpp";
  request.devices = "4GiB";
  const auto plan = context().plan(*model, request);
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(plan->devices[0].weights_bytes, (2 * 589'824 + 81'920) / 32 * 18 + 5 * 256 * 4);
  EXPECT_GE(plan->host_memory_bytes, 81'920U / 32 * 18);
}

} // namespace
} // namespace plimsoll::testing
