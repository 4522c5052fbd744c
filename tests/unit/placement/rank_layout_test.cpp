// Degrees, stages and ranks: how layers are split, and which layouts are refused.
#include <gmock/gmock.h>

#include <array>
#include <numeric>
#include <tuple>

#include "device/catalogue.hpp"
#include "device/device_file.hpp"
#include "placement/rank_layout.hpp"

namespace plimsoll::testing {
namespace {

using ::testing::HasSubstr;

PlanRequest degrees(std::uint32_t tp, std::uint32_t pp, std::uint32_t dp, std::uint32_t ep = 1) {
  PlanRequest r;
  r.tp = tp;
  r.pp = pp;
  r.dp = dp;
  r.ep = ep;
  return r;
}

TEST(RankLayout, TensorParallelismIsWhatTheDevicesLeave) {
  PlanRequest r;
  EXPECT_EQ(make_rank_layout(r, 8, 32)->tp, 8U);
  r.pp = 2;
  r.dp = 2;
  EXPECT_EQ(make_rank_layout(r, 8, 32)->tp, 2U);
  r.dp = 3;
  const auto odd = make_rank_layout(r, 8, 32);
  ASSERT_FALSE(odd);
  EXPECT_EQ(odd.error().where, "--devices");
}

// rank = (dp x pp + stage) x tp + tp, as engines number them: rank 13 of tp 2, pp 3, dp 3 is half 1 of stage 0 of replica 2.
TEST(RankLayout, NumbersRanksAsEnginesDo) {
  const auto layout = make_rank_layout(degrees(2, 3, 3), 18, 30);
  ASSERT_TRUE(layout);
  EXPECT_EQ(layout->ranks(), 18U);
  EXPECT_EQ(layout->stage_of_rank(13), 0U);
  std::uint32_t rank = 0;
  for (int replica = 0; replica < 3; ++replica)
    for (std::uint32_t stage = 0; stage < 3; ++stage)
      for (int half = 0; half < 2; ++half) EXPECT_EQ(layout->stage_of_rank(rank++), stage);
}

// 61 layers over 4: 15 each, and one more for the stage before the last, which holds neither embedding nor head.
TEST(RankLayout, SpareLayersGoToTheMiddle) {
  using Begins = std::vector<std::uint32_t>;
  EXPECT_EQ(make_rank_layout(degrees(1, 4, 1), 4, 61)->stage_begin, (Begins{0, 15, 30, 46, 61}));
  EXPECT_EQ(make_rank_layout(degrees(1, 4, 1), 4, 63)->stage_begin, (Begins{0, 16, 32, 48, 63}));
  EXPECT_EQ(make_rank_layout(degrees(1, 2, 1), 2, 33)->stage_begin, (Begins{0, 17, 33}));
  EXPECT_EQ(make_rank_layout(degrees(1, 1, 1), 1, 0)->stage_begin, (Begins{0, 0}));
  for (std::uint32_t pp = 1; pp <= 40; ++pp)
    for (std::uint32_t layers : {40U, 61U, 79U, 80U}) {
      const auto layout = make_rank_layout(degrees(1, pp, 1), pp, layers);
      ASSERT_TRUE(layout);
      EXPECT_EQ(layout->stage_begin.back(), layers);
      std::vector<std::uint32_t> all(layers);
      std::iota(all.begin(), all.end(), 0U);
      std::uint64_t sum = 0;
      for (std::uint32_t stage = 0; stage < pp; ++stage) {
        const std::uint64_t here = layout->layers_on_stage(all, stage);
        EXPECT_GE(here, layers / pp);
        EXPECT_LE(here, layers / pp + 1);
        sum += here;
      }
      EXPECT_EQ(sum, layers);
      for (const std::uint32_t layer : all) {
        const std::uint32_t stage = layout->stage_of_layer(layer);
        EXPECT_GE(layer, layout->stage_begin[stage]);
        EXPECT_LT(layer, layout->stage_begin[stage + 1]);
      }
    }
}

TEST(RankLayout, LayersBeyondTheModelBelongToTheLastStage) {
  const auto layout = make_rank_layout(degrees(1, 2, 1), 2, 61);
  ASSERT_TRUE(layout);
  EXPECT_EQ(layout->stage_of_layer(61), 1U); // a multi-token-prediction layer
  EXPECT_EQ(layout->layers_on_stage({0, 61}, 1), 1U);
}

struct Dealt {
  const char* what;
  std::vector<double> shares;
  std::uint32_t layers, draft_layers;
  std::optional<std::uint32_t> gpu_layers;
  std::vector<std::uint32_t> begins;
  std::uint32_t output_stage; // as many as there are shares: the host
};

// The units, the output layer behind the others, to the first device whose cumulative share exceeds their place.
TEST(DealtLayers, GoToDevicesByTheirShares) {
  const std::vector<Dealt> cases{
      {"3 x 24 GiB, 36 layers: 13, 12 and 12 of 37", {24, 24, 24}, 36, 0, std::nullopt, {0, 13, 25, 36}, 2},
      {"one device", {24}, 36, 0, std::nullopt, {0, 36}, 0},
      {"24 and 8 GiB: 25 of 33 and 8", {24, 8}, 32, 0, std::nullopt, {0, 25, 32}, 1},
      {"3 to 1 in other units", {0.75, 0.25}, 32, 0, std::nullopt, {0, 25, 32}, 1},
      {"no share for the first", {0, 1}, 32, 0, std::nullopt, {0, 0, 32}, 1},
      {"no share for the last, nor its output", {1, 0}, 32, 0, std::nullopt, {0, 32, 32}, 0},
      {"none between", {1, 0, 1}, 31, 0, std::nullopt, {0, 16, 16, 31}, 2},
      {"a drafting layer is dealt too", {1, 1, 1}, 64, 1, std::nullopt, {0, 22, 44, 65}, 2},
      {"more devices than units", {1, 1, 1, 1}, 2, 0, std::nullopt, {0, 1, 2, 2, 2}, 2},
      {"the last 11 units: 10 layers and the output", {1, 1}, 32, 0, 11, {22, 28, 32}, 1},
      {"the output alone", {1, 1}, 32, 0, 1, {32, 32, 32}, 0},
      {"nothing", {1, 1}, 32, 0, 0, {32, 32, 32}, 2},
      {"more than there are", {1, 1}, 32, 0, 99, {0, 17, 32}, 1},
      {"a model without layers", {1, 1}, 0, 0, std::nullopt, {0, 0, 0}, 0},
  };
  for (const Dealt& c : cases) {
    LayerDeal deal;
    deal.shares = c.shares;
    deal.draft_layers = c.draft_layers;
    deal.gpu_layers = c.gpu_layers;
    const auto layout = make_rank_layout(PlanRequest{}, c.shares.size(), c.layers, 0, &deal);
    ASSERT_TRUE(layout) << c.what << ": " << layout.error().message;
    EXPECT_EQ(layout->pp, c.shares.size()) << c.what;
    EXPECT_EQ(layout->tp, 1U) << c.what;
    EXPECT_EQ(layout->stage_begin, c.begins) << c.what;
    EXPECT_EQ(layout->last_stage(), c.output_stage) << c.what;
    std::vector<std::uint32_t> all(c.layers + c.draft_layers);
    std::iota(all.begin(), all.end(), 0U);
    std::uint64_t sum = 0;
    for (std::uint32_t stage = 0; stage <= layout->host_stage(); ++stage) sum += layout->layers_on_stage(all, stage);
    EXPECT_EQ(sum, all.size()) << c.what;
    for (const std::uint32_t layer : all) EXPECT_EQ(layout->layers_on_stage({layer}, layout->stage_of_layer(layer)), 1U) << c.what;
  }
}

// The rule as it is written, unit by unit in double, for shares whose sums are exact: no device twice, none out of turn.
TEST(DealtLayers, AreThoseOfTheRule) {
  for (std::uint32_t layers = 1; layers <= 130; ++layers)
    for (const std::vector<double>& shares : std::vector<std::vector<double>>{{1}, {1, 1}, {3, 1}, {2, 1, 1}, {5, 0, 2, 1}, {1, 7}}) {
      double whole = 0;
      for (const double share : shares) whole += share;
      const std::vector<std::uint32_t> dealt = deal_layers(shares, layers);
      ASSERT_EQ(dealt.size(), layers);
      for (std::uint32_t i = 0; i < layers; ++i) {
        std::uint32_t device = 0;
        for (double sum = shares[0]; sum * layers <= whole * i; sum += shares[device]) ++device;
        EXPECT_EQ(dealt[i], device) << i << " of " << layers << " over " << shares.size();
      }
    }
}

TEST(DealtLayers, DegreesThatAreGivenKeepTheirMeaning) {
  LayerDeal deal;
  deal.shares = {1, 1, 1, 1};
  PlanRequest r;
  r.tp = 4;
  EXPECT_EQ(make_rank_layout(r, 4, 32, 0, &deal)->pp, 1U);
  r.tp = 2;
  EXPECT_EQ(make_rank_layout(r, 4, 32, 0, &deal)->pp, 2U);
  r = {};
  r.pp = 2;
  EXPECT_EQ(make_rank_layout(r, 4, 32, 0, &deal)->tp, 2U);
  r = {};
  r.dp = 2;
  EXPECT_EQ(make_rank_layout(r, 4, 32, 0, &deal)->pp, 2U);
  r = {};
  r.tp = 3;
  EXPECT_FALSE(make_rank_layout(r, 4, 32, 0, &deal));
  r = {};
  r.stage_layers = {20, 4, 4, 4};
  EXPECT_EQ(make_rank_layout(r, 4, 32, 0, &deal)->stage_begin, (std::vector<std::uint32_t>{0, 20, 24, 28, 32}));
}

// Replicas: a stage's share is that of its poorest device.
TEST(DealtLayers, ReplicasShareOneDeal) {
  LayerDeal deal;
  deal.shares = {24, 24, 24, 8};
  PlanRequest r;
  r.dp = 2;
  EXPECT_EQ(make_rank_layout(r, 4, 32, 0, &deal)->stage_begin, (std::vector<std::uint32_t>{0, 25, 32}));
}

// Experts that the host holds back are of its stage, whoever has the layers.
TEST(DealtLayers, HeldBackLayersAreTheHosts) {
  LayerDeal deal;
  deal.shares = {1, 1};
  deal.gpu_layers = 7; // layers 2 to 7, and the output
  const auto layout = make_rank_layout(PlanRequest{}, 2, 8, 0, &deal);
  ASSERT_TRUE(layout);
  EXPECT_EQ(layout->stage_begin, (std::vector<std::uint32_t>{2, 6, 8}));
  const std::vector<std::uint32_t> layers{0, 1, 2, 3, 4, 5, 6, 7};
  const auto counts = [&](std::uint32_t held_back) {
    std::vector<std::uint64_t> out;
    for (std::uint32_t stage = 0; stage <= 2; ++stage) out.push_back(layout->layers_on_stage(layers, stage, held_back));
    return out;
  };
  using Counts = std::vector<std::uint64_t>;
  EXPECT_EQ(counts(0), (Counts{4, 2, 2}));
  EXPECT_EQ(counts(1), (Counts{4, 2, 2}));
  EXPECT_EQ(counts(4), (Counts{2, 2, 4}));
  EXPECT_EQ(counts(7), (Counts{0, 1, 7}));
  EXPECT_EQ(counts(8), (Counts{0, 0, 8}));
  EXPECT_EQ(layout->stage_of_layer(3, 4), layout->host_stage());
  EXPECT_EQ(layout->stage_of_layer(4, 4), 0U);
}

TEST(RankLayout, StagesMayBeGiven) {
  PlanRequest r = degrees(1, 3, 1);
  r.stage_layers = {10, 2, 20};
  EXPECT_EQ(make_rank_layout(r, 3, 32)->stage_begin, (std::vector<std::uint32_t>{0, 10, 12, 32}));
  r.stage_layers = {10, 2, 21};
  EXPECT_FALSE(make_rank_layout(r, 3, 32));
  r.stage_layers = {12, 20};
  const auto two = make_rank_layout(r, 3, 32);
  ASSERT_FALSE(two);
  EXPECT_EQ(two.error().where, "--stage-layers");
  EXPECT_THAT(two.error().message, HasSubstr("2 stages with 32 layers in all; pp is 3"));
}

TEST(RankLayout, NodesHoldTheSameNumberOfRanks) {
  PlanRequest r = degrees(2, 2, 3);
  EXPECT_EQ(make_rank_layout(r, 12, 30)->nodes, 1U);
  for (const std::uint32_t nodes : {1U, 2U, 3U, 4U, 6U, 12U}) {
    r.nodes = nodes;
    const auto layout = make_rank_layout(r, 12, 30);
    ASSERT_TRUE(layout) << nodes;
    EXPECT_EQ(layout->nodes, nodes);
  }
  for (const std::uint32_t nodes : {0U, 5U, 24U}) {
    r.nodes = nodes;
    const auto layout = make_rank_layout(r, 12, 30);
    ASSERT_FALSE(layout) << nodes;
    EXPECT_EQ(layout.error().code, ErrorCode::kBadRequest);
    EXPECT_EQ(layout.error().where, "--nodes");
  }
}

using Fields = std::tuple<std::array<std::uint32_t, 5>, std::vector<std::uint32_t>>;
Fields fields(const RankLayout& l) { return {{l.tp, l.pp, l.dp, l.ep, l.nodes}, l.stage_begin}; }

TEST(RankLayout, NodesOfTheDeviceListAreThoseOfTheOption) {
  for (const std::uint32_t nodes : {1U, 2U, 3U, 4U, 6U, 12U}) {
    PlanRequest r = degrees(2, 2, 3);
    const auto listed = make_rank_layout(r, 12, 30, nodes);
    r.nodes = nodes;
    const auto given = make_rank_layout(r, 12, 30), both = make_rank_layout(r, 12, 30, nodes);
    ASSERT_TRUE(listed && given && both) << nodes;
    EXPECT_EQ(listed->nodes, nodes);
    EXPECT_EQ(fields(*listed), fields(*given));
    EXPECT_EQ(fields(*both), fields(*given));
  }
}

// From the text of a list to the layout.
TEST(RankLayout, ListsOfNodesMeanTheSameAsTheOption) {
  const DeviceCatalogue catalogue(PLIMSOLL_SOURCE_DIR "/core/catalogue/devices.yaml");
  const auto layout = [&](const Result<std::vector<Device>>& devices, std::optional<std::uint32_t> nodes) {
    PlanRequest r;
    r.dp = 2;
    r.ep = 16;
    r.nodes = nodes;
    return make_rank_layout(r, devices.value().size(), 61, listed_nodes(*devices)).value();
  };
  const auto plain = parse_devices("16xH200", catalogue);
  const Fields two = fields(layout(plain, 2));
  EXPECT_EQ(fields(layout(parse_devices("2x8xH200", catalogue), {})), two);
  EXPECT_EQ(fields(layout(read_device_text("[{name: H200, count: 8, node: a}, {name: H200, count: 8, node: 7}]", "f", catalogue), {})),
            two);
  EXPECT_EQ(fields(layout(parse_devices("8xH200,8xH200", catalogue), {})), fields(layout(plain, {})));
  EXPECT_EQ(layout(plain, {}).nodes, 1U);
}

TEST(RankLayout, TheOptionMustNotContradictTheList) {
  struct Row {
    std::uint32_t option, listed;
    const char* message;
  };
  for (const Row& row : {Row{1, 2, "is 1, but the devices stand on 2 nodes"}, Row{2, 1, "is 2, but the devices stand on 1 node;"},
                         Row{2, 4, "is 2, but the devices stand on 4 nodes"}, Row{5, 4, "is 5, but the devices stand on 4 nodes"},
                         Row{0, 4, "is 0; a number from 1 to 65536"}}) {
    PlanRequest r;
    r.nodes = row.option;
    const auto layout = make_rank_layout(r, 8, 32, row.listed);
    ASSERT_FALSE(layout) << row.message;
    EXPECT_EQ(layout.error().code, ErrorCode::kBadRequest);
    EXPECT_EQ(layout.error().where, "--nodes");
    EXPECT_THAT(layout.error().message, HasSubstr(row.message));
  }
}

TEST(RankLayout, RefusesWhatCannotBe) {
  struct Case {
    PlanRequest request;
    std::uint64_t devices;
    const char* where;
    const char* message;
  };
  for (const Case& c :
       {Case{degrees(0, 1, 1), 1, "--tp", "is 0; a number from 1 to 65536"},
        {degrees(1, 0, 1), 1, "--pp", "is 0"},
        {degrees(1, 1, 0), 1, "--dp", "is 0"},
        {degrees(1, 1, 1, 0), 1, "--ep", "is 0"},
        {degrees(4294967295U, 1, 1), 1, "--tp", "is 4294967295"},
        {degrees(65536, 65536, 65536), 8, "--devices", "there are 8 devices"},
        {degrees(2, 1, 1), 1, "--devices",
         "tp 2 x pp 1 x dp 1 makes 2 ranks, but there are 1 devices; each rank needs one: give 2 devices, or lower degrees"},
        {degrees(2, 1, 1), 4, "--devices",
         "makes 2 ranks, but there are 4 devices; each rank needs one: --dp 2, --pp 2 or --tp 4 would use all"},
        {degrees(2, 1, 1), 3, "--devices", "3 devices; each rank needs one: give 2 devices, or degrees that make 3"},
        {degrees(4, 1, 2, 3), 8, "--ep", "ep 3 does not divide the 8 ranks of a stage (tp 4 x dp 2)"},
        {degrees(2, 1, 1, 4), 2, "--ep", "ep 4 does not divide"},
        {degrees(1, 33, 1), 33, "--pp", "pp 33 is more than the model's 32 layers"}}) {
    const auto layout = make_rank_layout(c.request, c.devices, 32);
    ASSERT_FALSE(layout) << c.message;
    EXPECT_EQ(layout.error().code, ErrorCode::kBadRequest);
    EXPECT_EQ(layout.error().where, c.where) << c.message;
    EXPECT_THAT(layout.error().message, HasSubstr(c.message));
  }
}

} // namespace
} // namespace plimsoll::testing
