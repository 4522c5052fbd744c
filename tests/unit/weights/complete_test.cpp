// Headers of checkpoints that people have (tests/data/checkpoints.jsonl): whatever the planners make of the names, one rank and
// what is not loaded are what is stored, `weights` and `plan` agree, and more ranks together never hold less.
#include <gmock/gmock.h>

#include <charconv>
#include <fstream>
#include <optional>

#include "unit/weights/checkpoints.hpp"

namespace plimsoll::testing {
namespace {

using ::testing::HasSubstr;

std::vector<Json> checkpoint_cases() {
  std::vector<Json> out;
  std::ifstream file(PLIMSOLL_TEST_DATA "/checkpoints.jsonl");
  for (std::string line; std::getline(file, line);) out.push_back(Json::parse(line));
  return out;
}

// "0-2,5": 0, 1, 2, 5.
std::vector<std::uint32_t> numbers_of(std::string_view text) {
  std::vector<std::uint32_t> out;
  while (!text.empty()) {
    std::uint32_t first = 0, last = 0;
    const char* const end = text.data() + text.size();
    const char* at = std::from_chars(text.data(), end, first).ptr;
    last = first;
    if (at != end && *at == '-') at = std::from_chars(at + 1, end, last).ptr;
    for (std::uint32_t i = first; i <= last; ++i) out.push_back(i);
    text.remove_prefix(static_cast<std::size_t>(at - text.data()) + (at == end ? 0 : 1));
  }
  return out;
}

// Calls `take` with every name of a row: "{}" stands for the numbers behind the row's `columns`.
template <class Take>
void each_name(const Json& row, std::size_t columns, Take take) {
  const std::string name = row[0];
  if (row.size() == columns) return take(name);
  for (const std::uint32_t number : numbers_of(row[columns].get_ref<const std::string&>())) {
    std::string numbered = name;
    numbered.replace(numbered.find("{}"), 2, std::to_string(number));
    take(numbered);
  }
}

std::string raw_value(std::uint32_t type, const Json& value) {
  switch (type) {
  case 4: return test::little_endian(value.get<std::uint32_t>(), 4);
  case 5: return test::little_endian(static_cast<std::uint32_t>(value.get<std::int32_t>()), 4);
  case 7: return test::little_endian(value.get<bool>() ? 1 : 0, 1);
  case 8: return test::gguf_string(value.get<std::string>());
  case 9: {
    const auto of = value[0].get<std::uint32_t>();
    std::string out = test::little_endian(of, 4) + test::little_endian(value[1].size(), 8);
    for (const Json& entry : value[1]) out += raw_value(of, entry);
    return out;
  }
  default: throw std::runtime_error("a GGUF type that this reader of test data does not know");
  }
}

void write_gguf(const Json& file, const std::string& path) {
  test::GgufWriter writer;
  for (const Json& pair : file["gguf"]) {
    const auto type = pair[1].get<std::uint32_t>();
    if (type == 6) writer.f32(pair[0].get<std::string>(), pair[2].get<float>());
    else writer.raw(pair[0].get<std::string>(), test::little_endian(type, 4) + raw_value(type, pair[2]));
  }
  for (const Json& row : file["tensors"])
    each_name(row, 4, [&](const std::string& name) {
      writer.tensor(name, row[1].get<std::uint32_t>(), row[2].get<std::vector<std::uint64_t>>(), row[3].get<std::uint64_t>());
    });
  writer.write(path);
}

void write_safetensors(const Json& file, const test::TemporaryDirectory& directory) {
  Tensors tensors;
  for (const Json& row : file["tensors"])
    each_name(row, 3, [&](const std::string& name) {
      tensors.push_back({name, row[1].get<std::string>(), row[2].get<std::vector<std::uint64_t>>()});
    });
  test::write_text(directory / "config.json", file["config"].dump());
  test::write_safetensors(directory / "model.safetensors", tensors);
}

class Checkpoint : public ::testing::TestWithParam<Json> {
protected:
  void SetUp() override {
    const Json& file = GetParam();
    if (file.contains("gguf")) write_gguf(file, directory_ / "model.gguf");
    else write_safetensors(file, directory_);
    model_ = loaded(file.contains("gguf") ? directory_ / "model.gguf" : directory_.path());
  }
  std::uint64_t stored() const { return GetParam()["stored_bytes"].get<std::uint64_t>(); }
  static std::uint64_t not_loaded(const WeightsReport& report) {
    std::uint64_t sum = 0;
    for (const NotLoaded& part : report.not_loaded) sum += part.bytes;
    return sum;
  }

  test::TemporaryDirectory directory_;
  std::optional<Model> model_;
};

TEST_P(Checkpoint, OneRankAndWhatIsNotLoadedAreWhatIsStored) {
  const auto report = test::built_context().weights(*model_, {});
  ASSERT_TRUE(report) << report.error().where << ": " << report.error().message;
  EXPECT_EQ(report->stored_bytes, stored());
  EXPECT_EQ(report->rank_bytes.at(0) + not_loaded(*report), stored());
  PlanRequest request;
  request.devices = "1x900GiB";
  const auto plan = test::built_context().plan(*model_, request);
  ASSERT_TRUE(plan) << plan.error().where << ": " << plan.error().message;
  EXPECT_EQ(plan->devices[0].weights_bytes, report->rank_bytes[0]);
}

TEST_P(Checkpoint, MoreRanksTogetherNeverHoldLess) {
  for (const auto& [tp, pp] : {std::pair(2U, 1U), std::pair(1U, 2U), std::pair(2U, 2U)}) {
    PlanRequest request;
    request.tp = tp;
    request.pp = pp;
    const auto report = test::built_context().weights(*model_, request);
    if (!report && report.error().code == ErrorCode::kBadRequest) continue; // more stages than a draft has layers
    ASSERT_TRUE(report) << report.error().where << ": " << report.error().message;
    std::uint64_t sum = 0;
    for (const std::uint64_t bytes : report->rank_bytes) {
      sum += bytes;
      if (pp == 1) { // with more, a tied head is a second copy on a stage of its own
        EXPECT_LE(bytes, stored()) << tp;
      }
    }
    EXPECT_GE(sum + not_loaded(*report), stored()) << tp << " x " << pp;
  }
}

std::string name_of(const ::testing::TestParamInfo<Json>& info) {
  std::string name = info.param["id"];
  for (char& c : name)
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  return name;
}
INSTANTIATE_TEST_SUITE_P(Complete, Checkpoint, ::testing::ValuesIn(checkpoint_cases()), name_of);

// A GGUF file is refused by its engine where a tensor is missing, so a layer of which something is there lacks nothing; a whole
// layer that is not there is a hole all the same.
TEST(Gguf, LacksNothingButWholeLayers) {
  const auto shorter = [](std::string_view only) {
    for (Json& file : checkpoint_cases())
      if (file["id"] == "gguf qwen3moe") {
        for (Json& row : file["tensors"])
          if (row.size() == 5 && row[0].get_ref<const std::string&>().find(only) != std::string::npos) row[4] = "0-2"; // of 0-3
        const test::TemporaryDirectory directory;
        write_gguf(file, directory / "model.gguf");
        return report_of(directory / "model.gguf");
      }
    throw std::runtime_error("no such case");
  };
  const WeightsReport whole = shorter("no such tensor"), one = shorter("attn_k_norm"), layer = shorter("blk.");
  EXPECT_EQ(whole.rank_bytes.at(0), whole.stored_bytes);
  EXPECT_LT(one.stored_bytes, whole.stored_bytes);
  EXPECT_EQ(one.rank_bytes.at(0), one.stored_bytes);
  EXPECT_THAT(one.missing, ::testing::ElementsAre(HasSubstr("layers.3.self_attn.k_norm")));
  EXPECT_GT(layer.rank_bytes.at(0), whole.stored_bytes); // as the configuration says: unpacked
}

// Tensors of a small model of experts under names that nobody knows.
class Strangers : public ::testing::Test {
protected:
  static Tensors strange(bool layered = true) {
    Tensors tensors = moe();
    for (SparseTensor& tensor : tensors)
      if (const std::size_t at = tensor.name.find("self_attn.q_proj"); at != std::string::npos)
        tensor.name.replace(at, 16, layered ? "self_attn.strange" : "odd");
    return tensors;
  }
  static WeightsReport report(const Tensors& tensors, std::uint32_t tp = 1, std::uint32_t pp = 1, std::uint32_t ep = 1) {
    PlanRequest request;
    request.tp = tp;
    request.pp = pp;
    request.ep = ep;
    return report_of(moe_config(), tensors, request);
  }
  static constexpr std::uint64_t kQuery = 64 * 64 * 2;
};

TEST_F(Strangers, LargeMatricesOfALayerAreSplitAndTheClassIsNotCountedTwice) {
  EXPECT_EQ(report(strange()).rank_bytes.at(0), bytes_of(moe()));
  EXPECT_EQ(report(strange(), 2).rank_bytes, report(moe(), 2).rank_bytes); // q is [64, 64]: as wide as the model
  EXPECT_EQ(report(strange(), 1, 2).rank_bytes, report(moe(), 1, 2).rank_bytes);
  EXPECT_EQ(report(strange(), 2, 2).rank_bytes, report(moe(), 2, 2).rank_bytes);
  EXPECT_THAT(report(strange()).missing, ::testing::SizeIs(2));
}

TEST_F(Strangers, NarrowMatricesAndHeadsThatDoNotDivideAreOnEveryRank) {
  Tensors tensors = moe();
  drop(tensors, "k_proj");
  for (const char* layer : {"0", "1"})
    tensors.push_back({std::string("model.layers.") + layer + ".self_attn.strange.weight", "BF16", {32, 64}});
  const std::uint64_t narrow = 2 * 32 * 64 * 2;
  const std::vector<std::uint64_t> split = report(moe(), 2).rank_bytes;
  EXPECT_THAT(report(tensors, 2).rank_bytes, ::testing::ElementsAre(split[0] + narrow / 2, split[1] + narrow / 2));
}

TEST_F(Strangers, StackedExpertsAreSplitOverTensorAndExpertParallelRanks) {
  Tensors tensors = moe(Experts::kStacked);
  for (SparseTensor& tensor : tensors)
    if (const std::size_t at = tensor.name.find("experts.up_proj"); at != std::string::npos) tensor.name.replace(at, 15, "crowd.rise");
  EXPECT_EQ(report(tensors).rank_bytes, report(moe()).rank_bytes);
  EXPECT_EQ(report(tensors, 2).rank_bytes, report(moe(), 2).rank_bytes);
  EXPECT_EQ(report(tensors, 2, 1, 2).rank_bytes, report(moe(), 2, 1, 2).rank_bytes);
}

TEST_F(Strangers, NamesWithoutALayerAreOnEveryRank) {
  Tensors tensors = moe();
  tensors.push_back({"odd.weight", "BF16", {64, 64}});
  for (const auto& [tp, pp] : {std::pair(2U, 1U), std::pair(1U, 2U), std::pair(2U, 2U)}) {
    const std::vector<std::uint64_t> with = report(tensors, tp, pp).rank_bytes, without = report(moe(), tp, pp).rank_bytes;
    for (std::size_t rank = 0; rank < with.size(); ++rank) EXPECT_EQ(with[rank], without[rank] + kQuery);
  }
}

TEST_F(Strangers, AreCastWhereTheModelIs) {
  PlanRequest cast;
  cast.dtype = "float32";
  EXPECT_EQ(report_of(moe_config(), strange(), cast).rank_bytes, report_of(moe_config(), moe(), cast).rank_bytes);
}

TEST_F(Strangers, AreABoundAndAWarningOfThePlan) {
  const Directory directory(moe_config(), strange());
  PlanRequest request;
  request.devices = "2x24GiB";
  request.explain = true;
  const auto plan = test::built_context().plan(loaded(directory.path()), request);
  ASSERT_TRUE(plan) << plan.error().message;
  const auto item = std::find_if(plan->items.begin(), plan->items.end(), [](const Item& i) { return i.label == "unclaimed"; });
  ASSERT_NE(item, plan->items.end());
  EXPECT_EQ(item->basis, Basis::kBound);
  EXPECT_THAT(item->bytes, ::testing::ElementsAre(kQuery, kQuery)); // two layers, half of each on a rank
  std::vector<WarningCode> codes;
  for (const Warning& warning : plan->warnings) codes.push_back(warning.code);
  EXPECT_THAT(codes, ::testing::IsSupersetOf({WarningCode::kMissingTensors, WarningCode::kUnclaimedTensors}));
}

TEST_F(Strangers, DoNotStandInForLayersOrAnEmbeddingThatTheFileLacks) {
  Tensors tensors = moe();
  drop(tensors, "layers.1.");
  EXPECT_EQ(report(tensors).rank_bytes.at(0), bytes_of(moe()));
  tensors = moe();
  drop(tensors, "embed_tokens");
  EXPECT_EQ(report(tensors).rank_bytes.at(0), bytes_of(moe()));
  tensors.push_back({"odd.bias", "BF16", {64}}); // too small to be one
  EXPECT_EQ(report(tensors).rank_bytes.at(0), bytes_of(moe()) + 128);
  tensors.push_back({"wte.weight", "BF16", {128, 64}});
  EXPECT_EQ(report(tensors).rank_bytes.at(0), bytes_of(moe()) + 128);
}

TEST_F(Strangers, AHeadThatIsNotStoredIsNotCounted) {
  Tensors tensors = moe();
  drop(tensors, "lm_head");
  const WeightsReport without = report(tensors);
  EXPECT_EQ(without.rank_bytes.at(0), bytes_of(tensors));
  EXPECT_THAT(without.missing, ::testing::ElementsAre("lm_head.weight"));
  EXPECT_THAT(without.notes, ::testing::Contains(HasSubstr("lm_head.weight")));
}

} // namespace
} // namespace plimsoll::testing
