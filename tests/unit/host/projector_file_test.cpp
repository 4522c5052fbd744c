// Projectors in files of their own: found, read, counted beside the model and taken for no model.
#include "host/projector_file.hpp"

#include <filesystem>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/built_context.hpp"
#include "support/sparse_checkpoint.hpp"
#include "support/tiny_gguf.hpp"
#include "support/tiny_model.hpp"

namespace plimsoll {
namespace {

using ::testing::HasSubstr;

constexpr std::uint32_t kF32 = 0, kF16 = 1;

class ProjectorFile : public ::testing::Test {
protected:
  // Gemma 3's encoder: 896 pixels, patches of 14, 16 heads, rows of 1,152 and 4,304; here with two tensors.
  std::string projector(const std::string& name, std::uint64_t rows = 1152) const {
    test::GgufWriter writer;
    writer.text("general.architecture", "clip").text("general.type", "mmproj");
    writer.u32("clip.vision.image_size", 896).u32("clip.vision.patch_size", 14).u32("clip.vision.embedding_length", 1152);
    writer.u32("clip.vision.feed_forward_length", 4304).u32("clip.vision.attention.head_count", 16);
    writer.tensor("mm.input_projection.weight", kF16, {1152, rows}, 1152 * rows * 2);
    writer.tensor("mm.soft_emb_norm.weight", kF32, {1152}, 1152 * 4);
    writer.write(folder_ / name);
    return folder_ / name;
  }
  std::string model(const std::string& name = "model.gguf") const {
    test::write_tiny_gguf(test::tiny_model("llama"), folder_ / name);
    return folder_ / name;
  }
  static PlanRequest request() {
    PlanRequest out;
    out.engine = "llama.cpp";
    out.devices = "2x4GiB";
    out.max_length = 256;
    return out;
  }
  static Result<Plan> plan(const std::string& path, const PlanRequest& request) {
    PLIMSOLL_ASSIGN(const Model model, test::built_context().load(path));
    return test::built_context().plan(model, request);
  }
  static std::vector<std::uint64_t> item(const Plan& plan, const std::string& label) {
    for (const Item& item : plan.items)
      if (item.label == label) return item.bytes;
    return {};
  }
  test::TemporaryDirectory folder_;
};

TEST_F(ProjectorFile, IsCountedOnTheFirstDevice) {
  const std::string file = model();
  test::TemporaryDirectory elsewhere;
  std::filesystem::rename(projector("mmproj.gguf"), elsewhere / "mmproj.gguf");
  PlanRequest with = request();
  with.projector = elsewhere / "mmproj.gguf";
  const auto counted = plan(file, with), without = plan(file, request());
  ASSERT_TRUE(counted) << counted.error().message;
  ASSERT_TRUE(without) << without.error().message;
  constexpr std::uint64_t kBytes = 1152 * 1152 * 2 + 1152 * 4;
  EXPECT_EQ(item(*counted, "projector"), (std::vector<std::uint64_t>{kBytes, 0}));
  EXPECT_EQ(counted->devices.at(0).weights_bytes, without->devices.at(0).weights_bytes + kBytes);
  EXPECT_EQ(counted->devices.at(1).weights_bytes, without->devices.at(1).weights_bytes);
  // 4,096 patches: 1,132 MiB were printed for this encoder, the scores 1,024 of them.
  constexpr std::uint64_t kScores = 4096ULL * 4096 * 16 * 4, kRows = 8ULL * 4096 * 4304;
  EXPECT_EQ(item(*counted, "projector.compute_buffer"), (std::vector<std::uint64_t>{kScores + kRows, 0}));
  EXPECT_GE(kScores + kRows, 1132ULL << 20);
  EXPECT_EQ(counted->devices.at(0).activation_bytes, without->devices.at(0).activation_bytes + kScores + kRows);
  EXPECT_EQ(counted->devices.at(1).activation_bytes, without->devices.at(1).activation_bytes);
  EXPECT_TRUE(item(*without, "projector").empty());
}

TEST_F(ProjectorFile, BesideTheModelIsCountedUnlessItIsNotWanted) {
  const std::string file = model();
  projector("mmproj-small-F16.gguf", 16);
  projector("mmproj-F16.gguf", 64);
  for (const std::string& path : {file, folder_.path()}) {
    const auto counted = plan(path, request());
    ASSERT_TRUE(counted) << counted.error().message;
    EXPECT_EQ(item(*counted, "projector"), (std::vector<std::uint64_t>{1152 * 64 * 2 + 1152 * 4, 0})) << "the larger of the two";
  }
  PlanRequest none = request();
  none.projector = "none";
  EXPECT_TRUE(item(plan(file, none).value(), "projector").empty());
  PlanRequest vllm = request();
  vllm.engine = "vllm";
  vllm.tp = 1;
  vllm.devices = "4GiB";
  EXPECT_TRUE(item(plan(file, vllm).value(), "projector").empty()) << "an engine that loads none";
  // Among several models it may be of any.
  model("another.gguf");
  EXPECT_TRUE(item(plan(file, request()).value(), "projector").empty());
}

TEST_F(ProjectorFile, IsNoModel) {
  const std::string file = projector("mmproj-model.gguf");
  const auto loaded = test::built_context().load(file);
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code, ErrorCode::kUnsupportedArchitecture);
  EXPECT_THAT(loaded.error().message, HasSubstr("is the projector of a model"));
  EXPECT_THAT(loaded.error().message, HasSubstr("--mmproj"));
  EXPECT_EQ(loaded.error().where, file);
}

TEST_F(ProjectorFile, RefusesWhatIsNone) {
  const std::string file = model();
  PlanRequest wrong = request();
  wrong.projector = file;
  const auto of_a_model = plan(file, wrong);
  ASSERT_FALSE(of_a_model);
  EXPECT_EQ(of_a_model.error().code, ErrorCode::kBadRequest);
  EXPECT_EQ(of_a_model.error().where, "--mmproj");
  EXPECT_THAT(of_a_model.error().message, HasSubstr("and no projector; give an mmproj file"));
  wrong.projector = folder_ / "missing.gguf";
  EXPECT_EQ(plan(file, wrong).error().code, ErrorCode::kBadRequest);
  test::write_text(folder_ / "text.gguf", "not a GGUF file at all, whatever it is called");
  wrong.projector = folder_ / "text.gguf";
  EXPECT_EQ(plan(file, wrong).error().code, ErrorCode::kBadCheckpoint);
  wrong.projector = folder_.path();
  EXPECT_FALSE(plan(file, wrong));
}

// Numbers that a file leaves out are taken on the safe side.
TEST_F(ProjectorFile, WithoutSizesIsTakenForALargeOne) {
  test::GgufWriter writer;
  writer.text("general.architecture", "clip").u32("clip.audio.embedding_length", 1280);
  writer.tensor("a.weight", kF32, {64}, 256);
  writer.write(folder_ / "sound.gguf");
  const auto found = read_projector(folder_ / "sound.gguf");
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->tokens, 4096U);
  EXPECT_EQ(found->elements, 1280U);
  EXPECT_EQ(found->heads, 1U);
  EXPECT_EQ(found->weights_bytes, 256U);
}

} // namespace
} // namespace plimsoll
